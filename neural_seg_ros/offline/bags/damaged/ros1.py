"""Bags of ROS 1 without the index at their end: truncated ones, and those of a recorder that was killed (.bag.active).

A bag is a line of version, a bag header record that says where the index is, and chunks, each followed by records with
the times and offsets of its messages, one a connection. The index has the connections, which are in the chunks too,
and one record a chunk (https://wiki.ros.org/Bags/Format/2.0), so it can be rebuilt from the whole chunks.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO

from rosbags.rosbag1.reader import Header, ReaderError, RecordType, decompressors, read_uint32

from neural_seg_ros.offline.bags.damaged.patched_file import RepairedFile

_VERSION = b"#ROSBAG V2.0\n"
_LENGTH = struct.Struct("<I")
_ENTRY = struct.Struct("<III")  # seconds, nanoseconds, offset in the chunk


@dataclass
class _Chunk:
    """A chunk: ``counts`` of messages by connection; ``times``: (first, last) as (seconds, nanoseconds)."""

    position: int
    counts: dict[int, int] = field(default_factory=dict)
    times: list[tuple[int, int]] = field(default_factory=list)


def is_unindexed_bag1(path: Path) -> bool:
    """Return whether a file is a ROS 1 bag without its index."""
    if path.suffix not in (".bag", ".active") or not path.is_file():
        return False
    with path.open("rb") as file:
        if file.read(len(_VERSION)) != _VERSION:
            return False
        try:
            index: int = Header.read(file, RecordType.BAGHEADER).get_uint64("index_pos")
        except ReaderError:
            return False
        return index == 0 or index >= path.stat().st_size


def repaired_bag1(path: Path) -> RepairedFile:
    """Return the whole chunks of a bag, with a new index."""
    chunks: list[_Chunk] = []
    connections: dict[int, bytes] = {}
    with path.open("rb") as file:
        start, whole = len(_VERSION), 0
        for position, header, length in _records(file, start, path.stat().st_size):
            kind = header.get_uint8("op")
            if kind == RecordType.CHUNK:
                chunks.append(_Chunk(position))
            elif kind == RecordType.IDXDATA and chunks:
                _add_entries(chunks[-1], header.get_uint32("conn"), file.read(length))
            elif kind != RecordType.BAGHEADER:
                break
            whole = file.seek(_end(file, position))
        chunks = [chunk for chunk in chunks if chunk.counts]
        for chunk in chunks:
            if chunk.counts.keys() - connections.keys():
                connections |= _connections(file, chunk.position)
        known = [connections[number] for number in sorted(connections)]
        head = _bag_header(file, start, whole, len(known), len(chunks))
    return RepairedFile(path, whole, b"".join([*known, *map(_chunk_info, chunks)]), _VERSION + head, suffix=".bag")


def _records(file: IO[bytes], start: int, end: int) -> Iterator[tuple[int, Header, int]]:
    """Yield (position, header, data length) of each whole record, with the file at its data."""
    position = start
    while position < end:
        file.seek(position)
        try:
            header = Header.read(file)
            length = read_uint32(file)
        except ReaderError:
            return
        after = file.tell() + length
        if after > end:
            return
        yield position, header, length
        position = after


def _end(file: IO[bytes], position: int) -> int:
    """Return the end of the record at ``position``."""
    file.seek(position)
    file.seek(read_uint32(file), 1)
    length: int = read_uint32(file)
    return file.tell() + length


def _add_entries(chunk: _Chunk, connection: int, entries: bytes) -> None:
    times = [(seconds, nanoseconds) for seconds, nanoseconds, _ in _ENTRY.iter_unpack(entries)]
    chunk.counts[connection] = len(times)
    found = sorted([*chunk.times, *times])
    chunk.times = [found[0], found[-1]] if found else []


def _connections(file: IO[bytes], position: int) -> dict[int, bytes]:
    """Return the connection records, as they are, inside the chunk at ``position``."""
    file.seek(position)
    compression = Header.read(file, RecordType.CHUNK).get_string("compression")
    content = decompressors[compression](file.read(read_uint32(file)))
    inner = BytesIO(content)
    return {
        header.get_uint32("conn"): content[at : _end(inner, at)]
        for at, header, _ in _records(inner, 0, len(content))
        if header.get_uint8("op") == RecordType.CONNECTION
    }


def _bag_header(file: IO[bytes], start: int, index: int, connections: int, chunks: int) -> bytes:
    """Return a bag header record as long as the file's own."""
    fields = {
        "op": bytes([RecordType.BAGHEADER]),
        "index_pos": struct.pack("<Q", index),
        "conn_count": _LENGTH.pack(connections),
        "chunk_count": _LENGTH.pack(chunks),
    }
    padding = _end(file, start) - start - len(_record(fields, b""))
    return _record(fields, b" " * padding)


def _chunk_info(chunk: _Chunk) -> bytes:
    first, last = chunk.times[0], chunk.times[-1]
    fields = {
        "op": bytes([RecordType.CHUNK_INFO]),
        "ver": _LENGTH.pack(1),
        "chunk_pos": struct.pack("<Q", chunk.position),
        "start_time": struct.pack("<II", *first),
        "end_time": struct.pack("<II", *last),
        "count": _LENGTH.pack(len(chunk.counts)),
    }
    return _record(fields, b"".join(struct.pack("<II", *item) for item in chunk.counts.items()))


def _record(fields: dict[str, bytes], data: bytes) -> bytes:
    named = [name.encode() + b"=" + value for name, value in fields.items()]
    header = b"".join(_LENGTH.pack(len(each)) + each for each in named)
    return _LENGTH.pack(len(header)) + header + _LENGTH.pack(len(data)) + data
