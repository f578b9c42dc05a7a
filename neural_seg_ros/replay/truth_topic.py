"""Ground truth as a topic of label images in the bag."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from neural_seg_ros.annotations import Labels
from neural_seg_ros.errors import SourceError
from neural_seg_ros.label_file import from_binary, is_binary
from neural_seg_ros.replay.bag import Bag, stamp_of
from neural_seg_ros.video import Frame

_ENCODINGS = {"mono8": "u1", "8UC1": "u1", "mono16": "u2", "16UC1": "u2"}


class TruthTopic:
    """Pairs frames with label images of the same stamp; both topics must be in the order of their stamps.

    The first label image decides whether all are black and white masks of class 1. ``bag`` is read here and must not
    be the reader of the frames.
    """

    def __init__(self, bag: Bag, topic: str) -> None:
        """Raises SourceError naming the bag's image topics if ``topic`` is none of them."""
        bag.check_topic(topic)
        self._messages: Iterator[tuple[int, Any]] = bag.messages(topic)
        self._next: tuple[float, Any] | None = None
        self._binary: bool | None = None

    def labels_of(self, frame: Frame) -> Labels | None:
        """(H, W) class ids with the stamp of the frame, or None where there are none. Raises SourceError."""
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
    """(H, W) uint8 or uint16 class ids of a ``sensor_msgs/msg/Image``. Raises SourceError."""
    encoding = getattr(message, "encoding", "compressed")
    if encoding not in _ENCODINGS:
        raise SourceError(f"ground truth: got encoding {encoding!r}, accepted: {', '.join(_ENCODINGS)}")
    kind = np.dtype(_ENCODINGS[encoding]).newbyteorder(">" if message.is_bigendian else "<")
    height, width, step = int(message.height), int(message.width), int(message.step)
    data = np.frombuffer(message.data, np.uint8)
    if step < width * kind.itemsize or len(data) < height * step:
        raise SourceError(f"ground truth: got {len(data)} bytes, accepted: {height} rows of {step} bytes")
    rows = data[: height * step].reshape(height, step)[:, : width * kind.itemsize]
    return np.ascontiguousarray(rows).view(kind).astype(kind.newbyteorder("="))
