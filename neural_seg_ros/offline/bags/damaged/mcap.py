"""Repair of MCAP files without an end, as a recorder leaves them when it loses power.

An MCAP file is magic, records (one byte of kind, eight of length, content), a footer record and the magic again
(https://mcap.dev/spec). Readers refuse a file without the footer, though its records are whole up to the last one.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path

from neural_seg_ros.offline.bags.damaged.patched_file import RepairedFile

_MAGIC = b"\x89MCAP0\r\n"
_HEADER = struct.Struct("<BQ")
_DATA_END = _HEADER.pack(0x0F, 4) + bytes(4)
_FOOTER = _HEADER.pack(0x02, 20) + bytes(20)  # no summary: readers then scan the records
_END = _DATA_END + _FOOTER + _MAGIC


def is_truncated_mcap(path: Path) -> bool:
    """Return whether a file starts as MCAP but does not end as MCAP."""
    if path.suffix != ".mcap" or not path.is_file() or path.stat().st_size < 2 * len(_MAGIC):
        return False
    with path.open("rb") as file:
        starts = file.read(len(_MAGIC)) == _MAGIC
        file.seek(-len(_MAGIC), io.SEEK_END)
        return starts and file.read() != _MAGIC


def repaired_mcap(path: Path) -> RepairedFile:
    """Return a truncated MCAP file as its whole records and a footer."""
    return RepairedFile(path, _whole_records(path), _END)


def _whole_records(path: Path) -> int:
    """Return the length up to the end of the last whole record, without end-of-data and summary records."""
    size = path.stat().st_size
    position = len(_MAGIC)
    with path.open("rb") as file:
        while position + _HEADER.size <= size:
            file.seek(position)
            kind, length = _HEADER.unpack(file.read(_HEADER.size))
            end = position + _HEADER.size + length
            if kind in (0x02, 0x0F) or end > size:
                break
            position = end
    return position
