"""MCAP files without an end, as a recorder leaves them that lost its power: given an end in memory only.

An MCAP file is magic, records (one byte of kind, eight of length, content), a footer record and the magic again
(https://mcap.dev/spec). Readers refuse a file without the footer, though its records are whole up to the last one.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import IO

_MAGIC = b"\x89MCAP0\r\n"
_HEADER = struct.Struct("<BQ")
_DATA_END = _HEADER.pack(0x0F, 4) + bytes(4)
_FOOTER = _HEADER.pack(0x02, 20) + bytes(20)  # no summary: readers then scan the records
_END = _DATA_END + _FOOTER + _MAGIC


def is_truncated_mcap(path: Path) -> bool:
    """Whether a file starts as MCAP but does not end as MCAP."""
    if path.suffix != ".mcap" or not path.is_file() or path.stat().st_size < 2 * len(_MAGIC):
        return False
    with path.open("rb") as file:
        starts = file.read(len(_MAGIC)) == _MAGIC
        file.seek(-len(_MAGIC), io.SEEK_END)
        return starts and file.read() != _MAGIC


class TruncatedMcap:
    """Stands in for the path of a truncated MCAP file: opens as its whole records and a footer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = path.name
        self.suffix = path.suffix

    def __str__(self) -> str:
        return str(self._path)

    def exists(self) -> bool:
        return self._path.exists()

    def is_dir(self) -> bool:
        return False

    def open(self, mode: str) -> IO[bytes]:
        """A seekable stream of bytes for reading; ``mode`` is ``rb``."""
        return io.BufferedReader(_Repaired(self._path, _whole_records(self._path)))


class _Repaired(io.RawIOBase):
    """The first ``whole`` bytes of a file, then an MCAP end."""

    def __init__(self, path: Path, whole: int) -> None:
        self._file = path.open("rb")
        self._whole = whole
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._whole + len(_END)}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._position < self._whole:
            self._file.seek(self._position)
            data = self._file.read(min(len(buffer), self._whole - self._position))
        else:
            data = _END[self._position - self._whole :][: len(buffer)]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def _whole_records(path: Path) -> int:
    """Length of the file up to the end of its last whole record, the end-of-data and summary records left out."""
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
