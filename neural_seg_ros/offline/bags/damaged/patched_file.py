"""A repaired view of a damaged file: its whole part, with another beginning or end that exists in memory only."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO


class RepairedFile:
    """A repaired file with the part of ``pathlib.Path`` that rosbags uses.

    whole   number of bytes of the file that are read
    end     bytes that follow them
    head    bytes that replace the first bytes of the file
    suffix  suffix of such files, if not the file's own
    """

    def __init__(self, path: Path, whole: int, end: bytes, head: bytes = b"", suffix: str = "") -> None:
        self._path = path
        self._whole = whole
        self._end = end
        self._head = head
        self.name = path.name
        self.suffix = suffix or path.suffix

    def __str__(self) -> str:
        return str(self._path)

    def exists(self) -> bool:
        return self._path.exists()

    def is_dir(self) -> bool:
        return False

    def open(self, mode: str) -> IO[bytes]:
        """Open a seekable stream of bytes for reading; ``mode`` is ``rb``."""
        return io.BufferedReader(_Stream(self._path, self._head, self._whole, self._end))


class _Stream(io.RawIOBase):
    def __init__(self, path: Path, head: bytes, whole: int, end: bytes) -> None:
        self._file = path.open("rb")
        self._head, self._whole, self._end = head, whole, end
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._whole + len(self._end)}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._position < len(self._head):
            data = self._head[self._position :][: len(buffer)]
        elif self._position < self._whole:
            self._file.seek(self._position)
            data = self._file.read(min(len(buffer), self._whole - self._position))
        else:
            data = self._end[self._position - self._whole :][: len(buffer)]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
