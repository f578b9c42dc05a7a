"""The autosave folder: its log of records, its pixels, and the state that they describe.

Every line of the log begins with the checksum of its record. An incomplete last line is a record that a killed process
did not finish, and is ignored. Any other line that does not match its checksum is damage.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations.shapes import Shape, shape_from_json, shape_to_json
from neural_seg_ros.errors import SessionError, SessionFileError, one_line
from neural_seg_ros.files import sync, whole_file, write_bytes
from neural_seg_ros.live.inbox import IncomingFrame

Record = Mapping[str, Any]
COMMANDS = ("annotate", "draw", "undo", "redo", "clear")
_FORMAT = {"format": "neural_seg_ros annotations", "version": 1}
_LOG, _PIXELS, _BASE = "annotations.log", ".npy", "base-"
# The only names of files that a record may have, so that none leads out of the folder.
_PIXELS_NAME, _BASE_NAME = re.compile(r"[0-9a-f]{32}"), re.compile(r"base-[0-9]{1,9}\.safetensors")
# Folders in quarantine; beyond that the oldest are deleted.
_MAX_QUARANTINED = 3


@dataclass(frozen=True)
class AutosavedFrame:
    """The frame of an annotation: its stamp in seconds, and the name of its pixels."""

    stamp: float
    pixels: str


@dataclass(frozen=True)
class AutosavedAnnotation:
    """An annotation, its frame, and the key of its drawing; without a shape or a frame only the base can restore it.

    shape    None for a dense mask
    frame    None if its pixels were not written, or are deleted
    in_base  True if the base has the annotation
    """

    shape: Shape | None
    frame: AutosavedFrame | None
    key: int | None = None
    in_base: bool = False


@dataclass(frozen=True)
class PendingCommand:
    """A command that was received and not executed, with the frame that it would have gone to."""

    name: str
    shapes: tuple[Shape, ...]
    frame: AutosavedFrame | None
    key: int | None


@dataclass
class AutosaveState:
    """A session's annotations, oldest first, and its pending commands.

    base      name of the session file that the session continued from; the first annotations are those of that file
    pending   pending commands by their numbers
    attempts  number of nodes that began to restore this state and ended before they were done
    ended     True after a clean shutdown
    """

    base: str | None = None
    annotations: list[AutosavedAnnotation] = field(default_factory=list)
    pending: dict[int, PendingCommand] = field(default_factory=dict)
    attempts: int = 0
    ended: bool = False

    def apply(self, record: Record) -> None:
        """Apply a record. Raises SessionFileError for an invalid one."""
        try:
            self._apply(record)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SessionFileError(f"record {str(record)[:80]!r}: {type(error).__name__}: {error}") from None

    def records(self) -> Iterator[Record]:
        """Return the fewest records that describe this state."""
        count = self.base_count
        yield session_record(self.base, count)
        yield annotations_record(count, self.annotations[count:], [])
        for number, command in self.pending.items():
            yield command_record(number, command)
        yield from [{"restoring": True}] * self.attempts
        if self.ended:
            yield {"ended": True}

    @property
    def base_count(self) -> int:
        """The number of remaining annotations of the base; they are the first ones."""
        return sum(entry.in_base for entry in self.annotations)

    @property
    def pixels(self) -> set[str]:
        """The names of all pixels that the state needs."""
        frames = [*(entry.frame for entry in self.annotations), *(command.frame for command in self.pending.values())]
        return {frame.pixels for frame in frames if frame is not None}

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to restore."""
        return not (self.base or self.annotations or self.pending)

    def _apply(self, record: Record) -> None:
        if "session" in record:
            base, count = record["session"]["base"], int(record["session"]["count"])
            self.base = None if base is None else _check_name(_BASE_NAME, base)
            self.annotations = [IN_BASE] * count
        elif "asked" in record:
            if record["do"] not in COMMANDS:
                raise ValueError(f"do: got {record['do']!r}")
            shapes = tuple(shape_from_json(shape) for shape in record["annotations"])
            frame, key = _frame_from_json(record["frame"]), _int_or_none(record["key"])
            self.pending[int(record["asked"])] = PendingCommand(record["do"], shapes, frame, key)
        elif "keep" in record:
            first = record["keep"]
            if not 0 <= first <= len(self.annotations):
                raise ValueError(f"keep: got {first} of {len(self.annotations)}")
            del self.annotations[first:]
            self.annotations.extend(_annotation_from_json(entry) for entry in record["add"])
            for number in record["answered"]:
                self.pending.pop(number, None)
        elif "forgotten" in record:
            self.annotations = [
                dataclasses.replace(entry, frame=None)
                if entry.frame is not None and entry.frame.pixels == record["forgotten"]
                else entry
                for entry in self.annotations
            ]
        elif "restoring" in record:
            self.attempts += 1
        else:
            self.ended = record["ended"]


IN_BASE = AutosavedAnnotation(None, None, in_base=True)


def session_record(base: str | None, count: int) -> Record:
    """Return the record of a session that starts with ``count`` annotations of a file, or empty."""
    return {"session": {"base": base, "count": count}}


def command_record(number: int, command: PendingCommand) -> Record:
    """Return the record of a pending command."""
    return {
        "asked": number,
        "do": command.name,
        "annotations": [shape_to_json(shape) for shape in command.shapes],
        "frame": _frame_to_json(command.frame),
        "key": command.key,
    }


def annotations_record(first: int, added: Sequence[AutosavedAnnotation], done: Sequence[int]) -> Record:
    """Return the record that ``added`` follow the ``first`` annotations, and that the commands ``done`` are."""
    entries = [
        {
            "annotation": None if entry.shape is None else shape_to_json(entry.shape),
            "frame": _frame_to_json(entry.frame),
            "key": entry.key,
            "base": entry.in_base,
        }
        for entry in added
    ]
    return {"keep": first, "add": entries, "answered": list(done)}


def _annotation_from_json(values: Mapping[str, Any]) -> AutosavedAnnotation:
    shape = None if values["annotation"] is None else shape_from_json(values["annotation"])
    frame = _frame_from_json(values["frame"])
    return AutosavedAnnotation(shape, frame, _int_or_none(values["key"]), bool(values["base"]))


def _frame_to_json(frame: AutosavedFrame | None) -> list[Any] | None:
    return None if frame is None else [frame.stamp, frame.pixels]


def _frame_from_json(values: Sequence[Any] | None) -> AutosavedFrame | None:
    return None if values is None else AutosavedFrame(float(values[0]), _check_name(_PIXELS_NAME, values[1]))


def _int_or_none(value: Any) -> int | None:
    return None if value is None else int(value)


def _check_name(pattern: re.Pattern[str], name: Any) -> str:
    if not isinstance(name, str) or not pattern.fullmatch(name):
        raise ValueError(f"file: got {name!r}")
    return name


def encode(record: Record) -> bytes:
    """Encode a record as a line of the log."""
    text = json.dumps(record, separators=(",", ":"), allow_nan=False).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def decode(content: bytes) -> list[dict[str, Any]]:
    """Decode the records of a log, except an incomplete last one. Raises SessionFileError naming the line."""
    lines = content.split(b"\n")
    records: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        checksum, _, text = line.partition(b" ")
        if checksum == b"%08x" % zlib.crc32(text) and text:
            records.append(json.loads(text))
        elif number < len(lines) - 1:
            raise SessionFileError(f"line {number} of {len(lines)} does not match its checksum")
    if not records:
        raise SessionFileError("no whole record")
    return records


class AutosaveFolder:
    """A folder that one process at a time may use.

    Nothing outside of it is written, and no name in a record leads out of it.
    """

    def __init__(self, folder: Path) -> None:
        """Lock the folder. Raises SessionError if it is a link, not writable, or used by another process."""
        self.folder = folder
        self._log: int | None = None
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            if folder.is_symlink() or folder.parent.is_symlink():
                raise SessionError(f"autosave: cannot use {folder}, because it is a link; replace it by a folder")
            self._lock = _lock(folder.with_name(folder.name + ".lock"))
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise SessionError(f"autosave: cannot write to {folder}: {error.strerror}; nothing is saved") from None

    def close(self) -> None:
        """Unlock the folder."""
        self._close_log()
        self._lock.close()

    # -- the log -------------------------------------------------------------------------------------------------------

    def read(self) -> tuple[AutosaveState, str]:
        """Read the state and the source of the log. Raises SessionFileError if the log is damaged."""
        try:
            content = (self.folder / _LOG).read_bytes()
        except FileNotFoundError:
            return AutosaveState(), ""
        except OSError as error:
            raise SessionFileError(f"{self.folder / _LOG}: {error.strerror}") from None
        try:
            head, *records = decode(content)
            if {name: head.get(name) for name in _FORMAT} != _FORMAT:
                raise SessionFileError(f"format: got {str(head)[:80]!r}, accepted: {_FORMAT}")
            state = AutosaveState()
            for record in records:
                state.apply(record)
        except (SessionFileError, ValueError) as error:
            raise SessionFileError(f"{self.folder / _LOG}: damaged: {error}") from None
        return state, str(head.get("source", ""))

    def begin(self, source: str, records: Iterable[Record]) -> int:
        """Replace the log, whole or not at all, and return its size in bytes."""
        self._close_log()
        content = b"".join(encode(record) for record in ({**_FORMAT, "source": source}, *records))
        write_bytes(self.folder / _LOG, content, synced=False)
        self._log = os.open(self.folder / _LOG, os.O_WRONLY | os.O_APPEND)
        return len(content)

    def append(self, records: Iterable[Record]) -> int:
        """Append records to the log and return their size in bytes. Only ``sync`` makes them survive a power cut."""
        if self._log is None:
            self._log = os.open(self.folder / _LOG, os.O_WRONLY | os.O_APPEND)
        content = b"".join(map(encode, records))
        written = 0
        while written < len(content):
            written += os.write(self._log, content[written:])
        return len(content)

    def touch(self) -> None:
        """Record a sign of life of this process in the modification time of the log."""
        os.utime(self.folder / _LOG)

    @property
    def age(self) -> float:
        """Seconds since the last sign of life of a process; negative if the system clock was set back."""
        try:
            return time.time() - (self.folder / _LOG).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    # -- pixels and base -----------------------------------------------------------------------------------------------

    def write_pixels(self, pixels: NDArray[np.uint8]) -> str:
        """Write (H, W, 3) uint8 unless the file exists, and return its name, which is the checksum of the pixels."""
        pixels = np.ascontiguousarray(pixels)
        name = _digest(pixels)
        path = self._pixels(name)
        if not path.exists():
            with whole_file(path, synced=False) as temporary, temporary.open("wb") as file:
                np.save(file, pixels, allow_pickle=False)
        return name

    def read_pixels(self, name: str) -> NDArray[np.uint8]:
        """Read pixels of ``write_pixels``. Raises SessionFileError if they are missing or damaged."""
        path = self._pixels(name)
        try:
            pixels: NDArray[np.uint8] = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise SessionFileError(f"{path}: missing or damaged: {one_line(error)[:200]}") from None
        if _digest(pixels) != name:
            raise SessionFileError(f"{path}: damaged: its content does not match its name")
        return pixels

    def size_of(self, name: str) -> int:
        """Return the size of pixels in bytes; 0 if they are missing."""
        try:
            return self._pixels(name).stat().st_size
        except OSError:
            return 0

    def copy_base(self, path: Path) -> str:
        """Copy a session file into the folder, synced to disk, and return its name there."""
        number = 1 + max((int(re.sub(r"\D", "", old.stem)) for old in self.folder.glob(_BASE + "*")), default=0)
        name = f"{_BASE}{number}.safetensors"
        # A link would not do, as another program may write into the file in place.
        shutil.copyfile(path, self.folder / name)
        sync(self.folder / name)
        return name

    def base_path(self, name: str) -> Path:
        """Return the path of a base."""
        return self.folder / name

    def delete(self, pixels: Iterable[str], base: str | None = None) -> None:
        """Delete pixels and a base."""
        for path in (*map(self._pixels, pixels), *(() if base is None else (self.base_path(base),))):
            path.unlink(missing_ok=True)

    def delete_except(self, state: AutosaveState) -> None:
        """Delete all files that a state does not need, incomplete ones too."""
        needed = {_LOG, state.base or _LOG, *(name + _PIXELS for name in state.pixels)}
        for path in self.folder.iterdir():
            if path.name not in needed:
                path.unlink(missing_ok=True)

    def quarantine(self) -> Path:
        """Move the folder to quarantine beside it, continue with an empty one, and return the new path."""
        self._close_log()
        old = sorted(self.folder.parent.glob(f"{self.folder.name}.aside-*"), key=lambda path: path.stat().st_mtime)
        for path in old[: max(0, len(old) - _MAX_QUARANTINED + 1)]:
            shutil.rmtree(path, ignore_errors=True)
        quarantine = self.folder.with_name(f"{self.folder.name}.aside-{time.time_ns() // 1000}")
        self.folder.rename(quarantine)
        self.folder.mkdir()
        return quarantine

    def sync(self, pixels: Iterable[str]) -> None:
        """Flush the log and these pixels to disk, except files deleted meanwhile."""
        for path in (*map(self._pixels, pixels), self.folder / _LOG, self.folder):
            with suppress(FileNotFoundError):
                sync(path)

    def _pixels(self, name: str) -> Path:
        return self.folder / (name + _PIXELS)

    def _close_log(self) -> None:
        log, self._log = self._log, None
        if log is not None:
            os.close(log)


def _digest(pixels: NDArray[Any]) -> str:
    digest = hashlib.blake2b(f"{pixels.dtype} {pixels.shape}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def _lock(path: Path) -> IO[bytes]:
    """Open and lock a file; no other process can lock it until this one closes it or ends."""
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "rb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise SessionError(
            f"autosave: cannot use {path.with_suffix('')}, because another process uses it; "
            "give each node its own name or session_directory; nothing is saved"
        ) from None
    return file


class FrameStore:
    """The frames of a session's annotations and of pending commands, with their pixels on disk; for one thread.

    unsynced  names of pixels that were written and not synced to disk
    """

    def __init__(self, folder: AutosaveFolder, pixels: Iterable[str], failed: Callable[[Exception], None]) -> None:
        """Take the names of pixels in the folder; ``failed`` is called with the error of a write."""
        self._folder, self._failed = folder, failed
        self._on_disk = set(pixels)
        self.unsynced: set[str] = set()
        self._by_number: dict[int, AutosavedFrame] = {}
        # The frame of the command received last.
        self._last_received: tuple[IncomingFrame, AutosavedFrame] | None = None

    def begin(self, frames: Mapping[int, AutosavedFrame]) -> None:
        """Start over with the frames of another session, which are on disk."""
        self._by_number = dict(frames)

    def forget_all(self) -> None:
        """Forget all frames, as the folder is empty."""
        self._on_disk, self.unsynced = set(), set()

    def add_observed(self, number: int, stamp: float, pixels: NDArray[np.uint8] | None) -> AutosavedFrame | None:
        """Save the session's frame of a number; returns None if it cannot be written."""
        frame = self._by_number.get(number)
        if frame is None and pixels is not None:
            frame = self._write(stamp, pixels)
            if frame is not None:
                self._by_number[number] = frame
        return frame

    def add_received(self, incoming: IncomingFrame | None) -> AutosavedFrame | None:
        """Save the frame of a command; returns None if it cannot be decoded or written."""
        if incoming is None:
            return None
        last = self._last_received
        if last is not None and last[0] is incoming and last[1].pixels in self._on_disk:
            return last[1]
        try:
            pixels = incoming.decode()
        except Exception:  # the worker decodes the frame too, and reports the error
            return None
        frame = self._write(incoming.stamp, pixels)
        self._last_received = None if frame is None else (incoming, frame)
        return frame

    def delete_except(self, needed: set[str]) -> None:
        """Delete all other pixels."""
        unneeded = self._on_disk - needed
        if not unneeded:
            return
        self._folder.delete(unneeded)
        self._on_disk -= unneeded
        self.unsynced -= unneeded
        self._by_number = {number: frame for number, frame in self._by_number.items() if frame.pixels in self._on_disk}

    def _write(self, stamp: float, pixels: NDArray[np.uint8]) -> AutosavedFrame | None:
        try:
            name = self._folder.write_pixels(pixels)
        except OSError as error:
            self._failed(error)
            return None
        self._on_disk.add(name)
        self.unsynced.add(name)
        return AutosavedFrame(stamp, name)
