"""Masks as a bag: one MCAP file that plays back beside the recording it was made from."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from neural_seg_ros.drawing import confidence_image
from neural_seg_ros.files import whole_file
from neural_seg_ros.images.arrays import Labels
from neural_seg_ros.offline.bags.frames import BagFrame
from neural_seg_ros.offline.bags.ground_truth import labels_from
from neural_seg_ros.offline.records import Record
from neural_seg_ros.session.result import Result


@dataclass(frozen=True)
class Labeled:
    """The final result of a frame; ``backward``: it comes from an annotated frame after it."""

    record: Record
    masks: MaskPair
    backward: bool


MASK_TOPIC = "/segmenter/mask"
CONFIDENCE_TOPIC = "/segmenter/confidence"
_IMAGE = "sensor_msgs/msg/Image"
_TYPES = get_typestore(Stores.ROS2_JAZZY)


@dataclass(frozen=True)
class MaskPair:
    """The serialized mask and confidence of one frame, recorded at ``timestamp`` nanoseconds."""

    timestamp: int
    mask: bytes
    confidence: bytes

    def labels(self) -> Labels:
        """Return (H, W) class ids."""
        return labels_from(_TYPES.deserialize_cdr(self.mask, _IMAGE))


class MaskWriter:
    """A writer of ``/segmenter/mask`` (mono8 or mono16) and ``/segmenter/confidence`` (mono8, 0-255)."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._mask = writer.add_connection(MASK_TOPIC, _IMAGE, typestore=_TYPES)
        self._confidence = writer.add_connection(CONFIDENCE_TOPIC, _IMAGE, typestore=_TYPES)

    def write(self, frame: BagFrame, result: Result) -> None:
        """Append the result of a frame with the frame's own header and time of recording."""
        mask, confidence = (
            bytes(_TYPES.serialize_cdr(_message(frame.header, image), _IMAGE))
            for image in (result.labels, confidence_image(result.confidence))
        )
        self.copy(MaskPair(frame.place.timestamp, mask, confidence))

    def copy(self, pair: MaskPair) -> None:
        """Append the messages of another bag of masks."""
        self._writer.write(self._mask, pair.timestamp, pair.mask)
        self._writer.write(self._confidence, pair.timestamp, pair.confidence)


def _message(header: Any, image: NDArray[Any]) -> Any:
    types = _TYPES.types
    stamp = types["builtin_interfaces/msg/Time"](sec=header.stamp.sec, nanosec=header.stamp.nanosec)
    return types[_IMAGE](
        header=types["std_msgs/msg/Header"](stamp=stamp, frame_id=header.frame_id),
        height=image.shape[0],
        width=image.shape[1],
        encoding="mono8" if image.dtype == np.uint8 else "mono16",
        is_bigendian=0,
        step=image.shape[1] * image.itemsize,
        data=np.ascontiguousarray(image).view(np.uint8).ravel(),
    )


@contextmanager
def open_mask_bag(path: str | Path) -> Iterator[MaskWriter]:
    """Open a bag of masks in one .mcap file, which appears when the context ends without an error."""
    path = Path(path)
    with whole_file(path) as temporary, tempfile.TemporaryDirectory(dir=path.parent, prefix=".masks-") as folder:
        # rosbags writes a folder with metadata.yaml; its MCAP file holds the same metadata and plays alone.
        bag = Path(folder) / path.stem
        writer = Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP)
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        with writer:
            yield MaskWriter(writer)
        (bag / f"{bag.name}.mcap").replace(temporary)


def read_mask_bag(path: Path) -> Iterator[MaskPair]:
    """Read a bag of ``open_mask_bag``, in the order of time."""
    with AnyReader([path]) as reader:
        masks: list[bytes] = []
        for connection, timestamp, data in reader.messages():
            if connection.topic == MASK_TOPIC:
                masks.append(bytes(data))
            else:
                yield MaskPair(timestamp, masks.pop(0), bytes(data))
