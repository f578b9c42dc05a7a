"""What autosave keeps of a session, and the records that tell how it came about: written one after the other, and read
back in that order.

A record is a JSON object:

    {"session": {"base": "base-3.safetensors", "count": 2}}   a session begins, anew or with what a file has
    {"asked": 7, "do": "annotate", ...}                       a command came, and waits for the worker
    {"keep": 3, "add": [...], "answered": [7]}                the first 3 annotations stayed, these were made after them
    {"forgotten": "9f..."}                                    the pixels of that frame are gone
    {"restoring": true}, {"ended": true}                      a node began to take it up again; it ended as it was told
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neural_seg_ros.annotation_json import Shape, shape_from_json, shape_to_json
from neural_seg_ros.errors import SessionFileError

Record = Mapping[str, Any]
# What names a file of the folder in a record, and nothing beyond it.
_PIXELS, _BASE = re.compile(r"[0-9a-f]{32}"), re.compile(r"base-[0-9]{1,9}\.safetensors")
COMMANDS = ("annotate", "draw", "undo", "redo", "clear")


@dataclass(frozen=True)
class KeptFrame:
    """The frame of an annotation: its stamp in seconds, and the name of its pixels."""

    stamp: float
    pixels: str


@dataclass(frozen=True)
class KeptAnnotation:
    """An annotation, its frame, and the key it was drawn under.

    Without a shape or a frame it cannot be taken up again, unless the base has it: it is a dense mask, or on a frame
    whose pixels were let go.
    """

    shape: Shape | None
    frame: KeptFrame | None
    key: int | None = None
    of_base: bool = False


@dataclass(frozen=True)
class Asked:
    """A command that nobody has executed yet, on the frame that it would have gone to."""

    do: str
    shapes: tuple[Shape, ...]
    frame: KeptFrame | None
    key: int | None


@dataclass
class Kept:
    """A session's annotations, oldest first, and the commands that wait.

    base      name of the session file that it went on from; its first annotations are those of that file
    attempts  how often a node began to take this up, and did not live to say that it had
    ended     the node was told to end
    """

    base: str | None = None
    placed: list[KeptAnnotation] = field(default_factory=list)
    asked: dict[int, Asked] = field(default_factory=dict)
    attempts: int = 0
    ended: bool = False

    def apply(self, record: Record) -> None:
        """Go on by a record. Raises SessionFileError for one that cannot be."""
        try:
            self._apply(record)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SessionFileError(f"record {str(record)[:80]!r}: {type(error).__name__}: {error}") from None

    def records(self) -> Iterator[Record]:
        """The fewest records that tell all this."""
        count = self.base_count
        yield session_record(self.base, count)
        yield placed_record(count, self.placed[count:], [])
        for number, asked in self.asked.items():
            yield asked_record(number, asked)
        yield from [{"restoring": True}] * self.attempts
        if self.ended:
            yield {"ended": True}

    @property
    def base_count(self) -> int:
        """How many of the base's annotations are there; they are the first ones."""
        return sum(entry.of_base for entry in self.placed)

    @property
    def pixels(self) -> set[str]:
        """The names of all pixels that it needs."""
        frames = [*(entry.frame for entry in self.placed), *(asked.frame for asked in self.asked.values())]
        return {frame.pixels for frame in frames if frame is not None}

    @property
    def empty(self) -> bool:
        """Whether there is nothing to take up."""
        return not (self.base or self.placed or self.asked)

    def _apply(self, record: Record) -> None:
        if "session" in record:
            base, count = record["session"]["base"], int(record["session"]["count"])
            self.base = None if base is None else _named(_BASE, base)
            self.placed = [OF_BASE] * count
        elif "asked" in record:
            if record["do"] not in COMMANDS:
                raise ValueError(f"do: got {record['do']!r}")
            shapes = tuple(shape_from_json(shape) for shape in record["annotations"])
            asked = Asked(record["do"], shapes, _frame_from(record["frame"]), _key(record["key"]))
            self.asked[int(record["asked"])] = asked
        elif "keep" in record:
            keep = record["keep"]
            if not 0 <= keep <= len(self.placed):
                raise ValueError(f"keep: got {keep} of {len(self.placed)}")
            del self.placed[keep:]
            self.placed.extend(_entry_from(entry) for entry in record["add"])
            for number in record["answered"]:
                self.asked.pop(number, None)
        elif "forgotten" in record:
            self.placed = [
                dataclasses.replace(entry, frame=None)
                if entry.frame is not None and entry.frame.pixels == record["forgotten"]
                else entry
                for entry in self.placed
            ]
        elif "restoring" in record:
            self.attempts += 1
        else:
            self.ended = record["ended"]


OF_BASE = KeptAnnotation(None, None, of_base=True)


def session_record(base: str | None, count: int) -> Record:
    """A session begins, with so many annotations of a file, or anew."""
    return {"session": {"base": base, "count": count}}


def asked_record(number: int, asked: Asked) -> Record:
    """A command waits."""
    return {
        "asked": number,
        "do": asked.do,
        "annotations": [shape_to_json(shape) for shape in asked.shapes],
        "frame": _frame_to(asked.frame),
        "key": asked.key,
    }


def placed_record(keep: int, add: Sequence[KeptAnnotation], answered: Sequence[int]) -> Record:
    """The first ``keep`` annotations stayed, others came after them, and these commands wait no longer."""
    entries = [
        {
            "annotation": None if entry.shape is None else shape_to_json(entry.shape),
            "frame": _frame_to(entry.frame),
            "key": entry.key,
            "base": entry.of_base,
        }
        for entry in add
    ]
    return {"keep": keep, "add": entries, "answered": list(answered)}


def _entry_from(values: Mapping[str, Any]) -> KeptAnnotation:
    shape = values["annotation"]
    frame = _frame_from(values["frame"])
    made = None if shape is None else shape_from_json(shape)
    return KeptAnnotation(made, frame, _key(values["key"]), bool(values["base"]))


def _frame_to(frame: KeptFrame | None) -> list[Any] | None:
    return None if frame is None else [frame.stamp, frame.pixels]


def _frame_from(values: Sequence[Any] | None) -> KeptFrame | None:
    return None if values is None else KeptFrame(float(values[0]), _named(_PIXELS, values[1]))


def _key(value: Any) -> int | None:
    return None if value is None else int(value)


def _named(pattern: re.Pattern[str], name: Any) -> str:
    if not isinstance(name, str) or not pattern.fullmatch(name):
        raise ValueError(f"file: got {name!r}")
    return name
