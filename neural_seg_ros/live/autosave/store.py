"""The autosave folder: its log of records, its pixels, and the state that they describe.

Every line of the log has the checksum of its record. What a process did not live to write whole is the end of the last
line, and is not there; anything else that does not fit its checksum is damage.
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
from neural_seg_ros.live.inbox import Frame

Record = Mapping[str, Any]
# What names a file of the folder in a record, and nothing beyond it.
_PIXELS_NAME, _BASE_NAME = re.compile(r"[0-9a-f]{32}"), re.compile(r"base-[0-9]{1,9}\.safetensors")
COMMANDS = ("annotate", "draw", "undo", "redo", "clear")


@dataclass(frozen=True)
class AutosavedFrame:
    """The frame of an annotation: its stamp in seconds, and the name of its pixels."""

    stamp: float
    pixels: str


@dataclass(frozen=True)
class AutosavedAnnotation:
    """An annotation, its frame, and the key it was drawn under.

    Without a shape or a frame it cannot be restored, unless the base has it: it is a dense mask, or on a frame
    whose pixels were let go.
    """

    shape: Shape | None
    frame: AutosavedFrame | None
    key: int | None = None
    of_base: bool = False


@dataclass(frozen=True)
class PendingCommand:
    """A command that nobody has executed yet, on the frame that it would have gone to."""

    do: str
    shapes: tuple[Shape, ...]
    frame: AutosavedFrame | None
    key: int | None


@dataclass
class AutosaveState:
    """A session's annotations, oldest first, and the commands that wait.

    base      name of the session file that it went on from; its first annotations are those of that file
    attempts  how often a node began to take this up, and did not live to say that it had
    ended     the node was told to end
    """

    base: str | None = None
    annotations: list[AutosavedAnnotation] = field(default_factory=list)
    asked: dict[int, PendingCommand] = field(default_factory=dict)
    attempts: int = 0
    ended: bool = False

    def apply(self, record: Record) -> None:
        """Go on by a record. Raises SessionFileError for one that cannot be."""
        try:
            self._apply(record)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SessionFileError(f"record {str(record)[:80]!r}: {type(error).__name__}: {error}") from None

    def records(self) -> Iterator[Record]:
        """Return the fewest records that describe this state."""
        count = self.base_count
        yield session_record(self.base, count)
        yield annotations_record(count, self.annotations[count:], [])
        for number, asked in self.asked.items():
            yield command_record(number, asked)
        yield from [{"restoring": True}] * self.attempts
        if self.ended:
            yield {"ended": True}

    @property
    def base_count(self) -> int:
        """The number of annotations of the base that are left; they are the first ones."""
        return sum(entry.of_base for entry in self.annotations)

    @property
    def pixels(self) -> set[str]:
        """The names of all pixels that it needs."""
        frames = [*(entry.frame for entry in self.annotations), *(asked.frame for asked in self.asked.values())]
        return {frame.pixels for frame in frames if frame is not None}

    @property
    def empty(self) -> bool:
        """True if there is nothing to restore."""
        return not (self.base or self.annotations or self.asked)

    def _apply(self, record: Record) -> None:
        if "session" in record:
            base, count = record["session"]["base"], int(record["session"]["count"])
            self.base = None if base is None else _named(_BASE_NAME, base)
            self.annotations = [OF_BASE] * count
        elif "asked" in record:
            if record["do"] not in COMMANDS:
                raise ValueError(f"do: got {record['do']!r}")
            shapes = tuple(shape_from_json(shape) for shape in record["annotations"])
            asked = PendingCommand(record["do"], shapes, _frame_from(record["frame"]), _key(record["key"]))
            self.asked[int(record["asked"])] = asked
        elif "keep" in record:
            first = record["keep"]
            if not 0 <= first <= len(self.annotations):
                raise ValueError(f"keep: got {first} of {len(self.annotations)}")
            del self.annotations[first:]
            self.annotations.extend(_entry_from(entry) for entry in record["add"])
            for number in record["answered"]:
                self.asked.pop(number, None)
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


OF_BASE = AutosavedAnnotation(None, None, of_base=True)


def session_record(base: str | None, count: int) -> Record:
    """Return the record of a session that starts with so many annotations of a file, or empty."""
    return {"session": {"base": base, "count": count}}


def command_record(number: int, asked: PendingCommand) -> Record:
    """Return the record of a command that waits."""
    return {
        "asked": number,
        "do": asked.do,
        "annotations": [shape_to_json(shape) for shape in asked.shapes],
        "frame": _frame_to(asked.frame),
        "key": asked.key,
    }


def annotations_record(first: int, add: Sequence[AutosavedAnnotation], answered: Sequence[int]) -> Record:
    """Return the record that the ``first`` annotations stayed, others follow, and these commands are done."""
    entries = [
        {
            "annotation": None if entry.shape is None else shape_to_json(entry.shape),
            "frame": _frame_to(entry.frame),
            "key": entry.key,
            "base": entry.of_base,
        }
        for entry in add
    ]
    return {"keep": first, "add": entries, "answered": list(answered)}


def _entry_from(values: Mapping[str, Any]) -> AutosavedAnnotation:
    shape = values["annotation"]
    frame = _frame_from(values["frame"])
    made = None if shape is None else shape_from_json(shape)
    return AutosavedAnnotation(made, frame, _key(values["key"]), bool(values["base"]))


def _frame_to(frame: AutosavedFrame | None) -> list[Any] | None:
    return None if frame is None else [frame.stamp, frame.pixels]


def _frame_from(values: Sequence[Any] | None) -> AutosavedFrame | None:
    return None if values is None else AutosavedFrame(float(values[0]), _named(_PIXELS_NAME, values[1]))


def _key(value: Any) -> int | None:
    return None if value is None else int(value)


def _named(pattern: re.Pattern[str], name: Any) -> str:
    if not isinstance(name, str) or not pattern.fullmatch(name):
        raise ValueError(f"file: got {name!r}")
    return name


_FORMAT = {"format": "neural_seg_ros annotations", "version": 1}
_LOG, _PIXELS, _BASE = "annotations.log", ".npy", "base-"
# Folders that were moved to quarantine; those that were first are deleted.
_ASIDE = 3


class AutosaveFolder:
    """One folder, which one process at a time may have.

    Nothing outside of it is written, and no name in a record leads out of it.
    """

    def __init__(self, folder: Path) -> None:
        """Have the folder. Raises SessionError where another process has it, or where it is a link that leads away."""
        self.folder = folder
        self._log: int | None = None
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            if folder.is_symlink() or folder.parent.is_symlink():
                raise SessionError(f"autosave: got {folder}, a link, accepted: a folder")
            self._lock = _locked(folder.with_name(folder.name + ".lock"))
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise SessionError(f"autosave: {folder}: {error.strerror}, accepted: a folder to write to") from None

    def close(self) -> None:
        """Let another process have it."""
        self._close_log()
        self._lock.close()

    # -- the log -------------------------------------------------------------------------------------------------------

    def read(self) -> tuple[AutosaveState, str]:
        """Read the state and the source of the log. Raises SessionFileError where it is damaged."""
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
        """Replace the log, whole or not at all; gives its bytes."""
        self._close_log()
        content = b"".join(encode(record) for record in ({**_FORMAT, "source": source}, *records))
        write_bytes(self.folder / _LOG, content, synced=False)
        self._log = os.open(self.folder / _LOG, os.O_WRONLY | os.O_APPEND)
        return len(content)

    def append(self, records: Iterable[Record]) -> int:
        """Write records at the end of the log; gives their bytes. The machine may go down before they are on disk."""
        if self._log is None:
            self._log = os.open(self.folder / _LOG, os.O_WRONLY | os.O_APPEND)
        content = b"".join(map(encode, records))
        written = 0
        while written < len(content):
            written += os.write(self._log, content[written:])
        return len(content)

    def touch(self) -> None:
        """Say that whoever has it lives."""
        os.utime(self.folder / _LOG)

    @property
    def age(self) -> float:
        """Seconds since somebody who had it was alive, by the clock on the wall, which may be set back: below 0."""
        try:
            return time.time() - (self.folder / _LOG).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    # -- pixels and base -----------------------------------------------------------------------------------------------

    def write_pixels(self, pixels: NDArray[np.uint8]) -> str:
        """Write (H, W, 3) uint8 unless they are there; gives their name, which is their checksum."""
        pixels = np.ascontiguousarray(pixels)
        name = _digest(pixels)
        path = self._pixels(name)
        if not path.exists():
            with whole_file(path, synced=False) as temporary, temporary.open("wb") as file:
                np.save(file, pixels, allow_pickle=False)
        return name

    def read_pixels(self, name: str) -> NDArray[np.uint8]:
        """Read pixels of ``write_pixels``. Raises SessionFileError where they are missing or damaged."""
        path = self._pixels(name)
        try:
            pixels: NDArray[np.uint8] = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise SessionFileError(f"{path}: missing or damaged: {one_line(error)[:200]}") from None
        if _digest(pixels) != name:
            raise SessionFileError(f"{path}: damaged: its content does not match its name")
        return pixels

    def size_of(self, name: str) -> int:
        """Return the bytes of pixels, 0 where they are missing."""
        try:
            return self._pixels(name).stat().st_size
        except OSError:
            return 0

    def take_base(self, path: Path) -> str:
        """Keep what a session file has now, on the disk; gives its name here."""
        number = 1 + max((int(re.sub(r"\D", "", old.stem)) for old in self.folder.glob(_BASE + "*")), default=0)
        name = f"{_BASE}{number}.safetensors"
        # Not a link, as others may write into the file without replacing it.
        shutil.copyfile(path, self.folder / name)
        sync(self.folder / name)
        return name

    def base(self, name: str) -> Path:
        """Return the path of a base."""
        return self.folder / name

    def forget(self, pixels: Iterable[str], base: str | None = None) -> None:
        """Delete pixels and a base."""
        for path in (*map(self._pixels, pixels), *(() if base is None else (self.base(base),))):
            path.unlink(missing_ok=True)

    def forget_others(self, state: AutosaveState) -> None:
        """Delete all that is not needed for this: what was half-written, too."""
        wanted = {_LOG, state.base or _LOG, *(name + _PIXELS for name in state.pixels)}
        for path in self.folder.iterdir():
            if path.name not in wanted:
                path.unlink(missing_ok=True)

    def quarantine(self) -> Path:
        """Put all of it beside, under another name, and begin with nothing. Gives where it went."""
        self._close_log()
        old = sorted(self.folder.parent.glob(f"{self.folder.name}.aside-*"), key=lambda path: path.stat().st_mtime)
        for path in old[: max(0, len(old) - _ASIDE + 1)]:
            shutil.rmtree(path, ignore_errors=True)
        quarantine = self.folder.with_name(f"{self.folder.name}.aside-{time.time_ns() // 1000}")
        self.folder.rename(quarantine)
        self.folder.mkdir()
        return quarantine

    def sync(self, pixels: Iterable[str]) -> None:
        """Have the log and these pixels on the disk when this returns; what was deleted meanwhile is left out."""
        for path in (*map(self._pixels, pixels), self.folder / _LOG, self.folder):
            with suppress(FileNotFoundError):
                sync(path)

    def _pixels(self, name: str) -> Path:
        return self.folder / (name + _PIXELS)

    def _close_log(self) -> None:
        log, self._log = self._log, None
        if log is not None:
            os.close(log)


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


def _digest(pixels: NDArray[Any]) -> str:
    digest = hashlib.blake2b(f"{pixels.dtype} {pixels.shape}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def _locked(path: Path) -> IO[bytes]:
    """Open a file that no other process can open until this one closes it or ends."""
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "rb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise SessionError(
            f"autosave: {path.with_suffix('')} is of another process, accepted: one node of a name for each "
            "session_directory; nothing is kept"
        ) from None
    return file


class AutosavedFrames:
    """The pixels of a session's annotated frames, and of frames that waiting commands go to; for one thread.

    written  names of pixels that the machine might lose if it went down
    """

    def __init__(self, store: AutosaveFolder, there: Iterable[str], failed: Callable[[Exception], None]) -> None:
        """Take the names of pixels in the folder; ``failed`` is called when some cannot be written."""
        self._store, self._failed = store, failed
        self._on_disk = set(there)
        self.written: set[str] = set()
        self._by_number: dict[int, AutosavedFrame] = {}
        # The frame that the last command would have gone to.
        self._asked: tuple[Frame, AutosavedFrame] | None = None

    def begin(self, frames: Mapping[int, AutosavedFrame]) -> None:
        """Start over with the frames of another session, which are on disk."""
        self._by_number = dict(frames)

    def lose(self) -> None:
        """Forget all frames: the folder is empty."""
        self._on_disk, self.written = set(), set()

    def numbered(self, number: int, stamp: float, pixels: NDArray[np.uint8] | None) -> AutosavedFrame | None:
        """Return the session's frame of a number; None where it cannot be written."""
        known = self._by_number.get(number)
        if known is None and pixels is not None:
            known = self._write(stamp, pixels)
            if known is not None:
                self._by_number[number] = known
        return known

    def offered(self, frame: Frame | None) -> AutosavedFrame | None:
        """Return a frame as received; None where it cannot be decoded or written."""
        if frame is None:
            return None
        last = self._asked
        if last is not None and last[0] is frame and last[1].pixels in self._on_disk:
            return last[1]
        try:
            pixels = frame.decode()
        except Exception:  # whoever executes the command decodes it too, and reports that
            return None
        state = self._write(frame.stamp, pixels)
        self._asked = None if state is None else (frame, state)
        return state

    def forget_but(self, needed: set[str]) -> None:
        """Delete all other pixels."""
        unneeded = self._on_disk - needed
        if not unneeded:
            return
        self._store.forget(unneeded)
        self._on_disk -= unneeded
        self.written -= unneeded
        self._by_number = {number: frame for number, frame in self._by_number.items() if frame.pixels in self._on_disk}

    def _write(self, stamp: float, pixels: NDArray[np.uint8]) -> AutosavedFrame | None:
        try:
            name = self._store.write_pixels(pixels)
        except OSError as error:
            self._failed(error)
            return None
        self._on_disk.add(name)
        self.written.add(name)
        return AutosavedFrame(stamp, name)
