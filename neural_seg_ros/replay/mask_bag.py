"""Masks as a bag: one MCAP file that plays back beside the recording it was made from."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from neural_seg_ros.draw import confidence_image
from neural_seg_ros.files import whole_file
from neural_seg_ros.replay.bag import BagFrame
from neural_seg_ros.result import Result

MASK_TOPIC = "/segmenter/mask"
CONFIDENCE_TOPIC = "/segmenter/confidence"
_IMAGE = "sensor_msgs/msg/Image"


class MaskWriter:
    """Writes ``/segmenter/mask`` (mono8 or mono16) and ``/segmenter/confidence`` (mono8, 0-255)."""

    def __init__(self, writer: Writer) -> None:
        self._types = get_typestore(Stores.ROS2_JAZZY)
        self._writer = writer
        self._mask = writer.add_connection(MASK_TOPIC, _IMAGE, typestore=self._types)
        self._confidence = writer.add_connection(CONFIDENCE_TOPIC, _IMAGE, typestore=self._types)

    def write(self, frame: BagFrame, result: Result) -> None:
        """Append the result of a frame with the frame's own header and time of recording."""
        confidence = confidence_image(result.confidence)
        for connection, image in ((self._mask, result.labels), (self._confidence, confidence)):
            message = self._types.serialize_cdr(self._message(frame.header, image), _IMAGE)
            self._writer.write(connection, frame.timestamp, message)

    def _message(self, header: Any, image: NDArray[Any]) -> Any:
        types = self._types.types
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
    """A bag of masks in one .mcap file, which appears when the context ends without an error."""
    path = Path(path)
    with whole_file(path) as temporary, tempfile.TemporaryDirectory(dir=path.parent, prefix=".masks-") as folder:
        # rosbags writes a folder with metadata.yaml; its MCAP file holds the same metadata and plays alone.
        bag = Path(folder) / path.stem
        writer = Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP)
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        with writer:
            yield MaskWriter(writer)
        (bag / f"{bag.name}.mcap").replace(temporary)
