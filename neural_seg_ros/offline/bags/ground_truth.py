"""Ground truth as a folder of label images, or as a topic of a bag."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neural_seg_ros.errors import ImageError, SourceError
from neural_seg_ros.images.arrays import Labels
from neural_seg_ros.images.files import Frame, FrameSource, ImageFiles, from_binary, image_paths, is_binary, read_labels
from neural_seg_ros.images.ros_messages import to_pixels
from neural_seg_ros.offline.bags.bag import Bag, stamp_of


@dataclass(frozen=True)
class TruthFolder:
    """A folder of label images: ``paths`` by frame index; ``binary``: black and white masks of class 1."""

    paths: Mapping[int, Path]
    binary: bool

    def labels_of(self, frame: Frame) -> Labels | None:
        """Return (H, W) class ids of a frame, or None where it has no file. Raises SourceError."""
        path = self.paths.get(frame.index)
        if path is None:
            return None
        labels = read_labels(path)
        return from_binary(labels) if self.binary else labels


def open_truth_folder(folder: str | Path, frames: FrameSource | None) -> TruthFolder:
    """Open label images named as their frame's image, or by index (``00012.png``) for videos and bags (``None``).

    The first one decides whether all are black and white masks. Raises SourceError if none belongs to a frame.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise SourceError(f"{folder}: no such folder, accepted: a folder of label images")
    by_name = {path.stem: path for path in image_paths(folder)}
    if isinstance(frames, ImageFiles):
        found = {index: by_name[path.stem] for index, path in enumerate(frames.paths) if path.stem in by_name}
        accepted = f"the names of the frames, such as {frames.paths[0].stem}.png"
    else:
        found = {int(name): path for name, path in by_name.items() if name.isdecimal()}
        accepted = "frame indices, such as 00000.png"
    if not found:
        raise SourceError(f"{folder}: {len(by_name)} images, none belongs to a frame, accepted: {accepted}")
    return TruthFolder(found, is_binary(read_labels(found[min(found)])))


_ENCODINGS = ("mono8", "8UC1", "mono16", "16UC1")


class TruthTopic:
    """The label images of a topic, paired with frames by equal stamps; both topics are in the order of stamps.

    The first label image decides whether all are black and white masks of class 1. ``bag`` is read here and must not
    be the reader of the frames.
    """

    def __init__(self, bag: Bag, topic: str) -> None:
        """Open a topic. Raises SourceError naming the bag's image topics if ``topic`` is none of them."""
        bag.check_topic(topic)
        self._messages: Iterator[tuple[int, Any]] = bag.messages(topic)
        self._next: tuple[float, Any] | None = None
        self._binary: bool | None = None

    def labels_of(self, frame: Frame) -> Labels | None:
        """Return (H, W) class ids with the stamp of the frame, or None without any. Raises SourceError."""
        while self._next is None or self._next[0] < frame.stamp:
            timestamp, message = next(self._messages, (0, None))
            if timestamp == 0:
                return None
            if message is not None:
                self._next = stamp_of(message.header, timestamp), message
        if self._next[0] > frame.stamp:
            return None
        labels = labels_from(self._next[1])
        if self._binary is None:
            self._binary = is_binary(labels)
        return from_binary(labels) if self._binary else labels


def labels_from(message: Any) -> Labels:
    """Convert a ``sensor_msgs/msg/Image`` to (H, W) uint8 or uint16 class ids. Raises SourceError."""
    if hasattr(message, "format"):
        raise SourceError(f"ground truth: got a compressed image, accepted: {', '.join(_ENCODINGS)}")
    try:
        return np.array(to_pixels(message, _ENCODINGS))
    except ImageError as error:
        raise SourceError(f"ground truth: {error}") from None
