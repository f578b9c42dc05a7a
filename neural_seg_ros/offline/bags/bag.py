"""Messages out of a rosbag (SQLite3, MCAP, ROS 1) in the order they were recorded, one at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.typesys import Stores, get_typestore

from neural_seg_ros.errors import SourceError, one_line
from neural_seg_ros.offline.bags.damaged.mcap import is_truncated_mcap, repaired_mcap
from neural_seg_ros.offline.bags.damaged.ros1 import is_unindexed_bag1, repaired_bag1
from neural_seg_ros.offline.bags.damaged.sqlite import DamagedSqlite

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
_STORAGES = (".mcap", ".db3")


class Bag:
    """An open bag: a context manager around one reader.

    ``damage`` says why reading ended before the end of the bag, None if it did not.
    """

    def __init__(self, path: str | Path) -> None:
        """Open a folder with metadata.yaml, or a file .mcap, .db3 or .bag. Raises SourceError if it is none."""
        self.path = Path(path)
        self.damage: str | None = None
        self._stack = ExitStack()
        try:
            self._reader = AnyReader(self._storage_files(), default_typestore=get_typestore(Stores.LATEST))
        except (AnyReaderError, OSError) as error:
            raise SourceError(f"{self.path}: cannot be read as a bag: {one_line(error)}") from None

    def __enter__(self) -> Bag:
        try:
            self._stack.enter_context(self._reader)
        except Exception as error:  # a damaged bag can fail anywhere in rosbags
            if not self._open_damaged(one_line(error)):
                raise SourceError(f"{self.path}: cannot be read as a bag: {one_line(error)}") from None
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def image_topics(self) -> dict[str, int]:
        """Number of messages of each topic of raw or compressed images."""
        counts: Counter[str] = Counter()
        for connection in self._reader.connections:
            if connection.msgtype in IMAGE_TYPES:
                counts[connection.topic] += connection.msgcount
        return dict(sorted(counts.items()))

    @property
    def start(self) -> int:
        """Nanoseconds of the first message of the bag."""
        return int(self._reader.start_time)

    @property
    def duration(self) -> float:
        """Seconds from the first to the last message of the bag."""
        return max(0.0, float(self._reader.duration) * 1e-9)

    def type_of(self, topic: str) -> str | None:
        """Return the type of a topic's messages, such as ``sensor_msgs/msg/Image``; None without such a topic."""
        return next((each.msgtype for each in self._reader.connections if each.topic == topic), None)

    def check_topic(self, topic: str) -> None:
        """Raise SourceError naming the bag's image topics unless ``topic`` is one of them."""
        if topic not in self.image_topics:
            topics = ", ".join(self.image_topics) or "none, this bag has no image topics"
            raise SourceError(f"image topic: got {topic!r}, accepted: {topics}")

    def messages(self, topic: str, start: int | None = None, stop: int | None = None) -> Iterator[tuple[int, Any]]:
        """Yield (timestamp in nanoseconds, message) of a topic; None for a message that cannot be deserialized.

        start, stop: nanoseconds; those recorded before ``start``, or at ``stop`` and later, are left out.
        """
        connections = [connection for connection in self._reader.connections if connection.topic == topic]
        stream = self._reader.messages(connections, start, stop)
        while True:
            try:
                connection, timestamp, data = next(stream)
            except StopIteration:
                return
            except Exception as error:  # as above: messages so far are whole, later ones are lost
                self.damage = one_line(error)
                return
            try:
                message = self._reader.deserialize(data, connection.msgtype)
            except Exception:  # the generated code of rosbags can raise anything
                message = None
            yield timestamp, message

    def _storage_files(self) -> list[Any]:
        if not self.path.exists():
            raise SourceError(f"{self.path}: no such bag, accepted: a bag folder, .mcap, .db3 or .bag")
        if not self.path.is_dir():
            return [self._whole(self.path)]
        files = storage_files(self.path)
        has_metadata = (self.path / "metadata.yaml").exists()
        if has_metadata and not any(is_truncated_mcap(path) for path in files):
            return [self.path]
        if not files:
            raise SourceError(f"{self.path}: no bag in this folder, accepted: metadata.yaml, .mcap or .db3 files")
        # A recorder that was killed leaves its storage files without metadata, the last of them without an end.
        if not has_metadata:
            self.damage = "metadata.yaml is missing"
        return [self._whole(path) for path in files]

    def _whole(self, path: Path) -> Any:
        if is_truncated_mcap(path):
            self.damage = f"{path.name} ends in the middle"
            return repaired_mcap(path)
        if is_unindexed_bag1(path):
            self.damage = f"{path.name} has no index"
            return repaired_bag1(path)
        return path

    def _open_damaged(self, damage: str) -> bool:
        """Open the bag as damaged SQLite3 files; return False if it is none or not even its topics can be read."""
        files = storage_files(self.path)
        if not files or any(path.suffix != ".db3" for path in files):
            return False
        self._reader = AnyReader(files, default_typestore=get_typestore(Stores.LATEST))
        for reader, path in zip(self._reader.readers, files, strict=True):
            reader.storage = DamagedSqlite(path)
        try:
            self._stack.enter_context(self._reader)
        except Exception:  # not even the topics can be read
            return False
        self.damage = damage
        return True


def storage_files(path: Path) -> list[Path]:
    """Return the files with the messages of a bag, in the order of their names."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if file.suffix in _STORAGES)


def stamp_of(header: Any, timestamp: int) -> float:
    """Return the seconds of a header's stamp, or of the recording's ``timestamp`` (ns) where the stamp is zero."""
    nanoseconds = int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)
    return (nanoseconds or timestamp) * 1e-9
