"""Every change of a session's annotations on disk at once, so that a process that is killed loses none.

A command is written down when it comes, as the worker may be busy for longer than anything may be lost, and once more
as what became of it: which annotations there are now. A thread writes both, and nobody waits for it. What it wrote
survives the end of the process; a second thread has it on the disk, for when the machine goes down, as fast as the disk
allows.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation, Mask
from neural_seg_ros.live.autosave.store import (
    OF_BASE,
    Asked,
    AutosavedAnnotation,
    AutosavedFrame,
    AutosavedFrames,
    AutosaveFolder,
    AutosaveState,
    Record,
    asked_record,
    placed_record,
)
from neural_seg_ros.live.inbox import Frame

if TYPE_CHECKING:
    from neural_seg_ros.annotations.implied import FrameAnnotation


@dataclass(frozen=True)
class SessionSnapshot:
    """A session's annotations, and the frame that the newest of them are on.

    frame_number  of that frame, as in ``FrameAnnotation``
    frame         (H, W, 3) uint8, None before the first
    keys          the keys of annotations that were drawn under one, by running number
    """

    placed: tuple[FrameAnnotation, ...]
    frame_number: int
    stamp: float
    frame: NDArray[np.uint8] | None
    keys: Mapping[int, int]


@dataclass(frozen=True)
class CommandReceived:
    """A command came, for that frame; nobody has executed it yet."""

    number: int
    do: str
    annotations: tuple[Annotation, ...]
    frame: Frame | None
    key: int | None


@dataclass(frozen=True)
class CommandDone:
    """A command was executed, or will not be (then without ``now``)."""

    number: int
    now: SessionSnapshot | None


@dataclass(frozen=True)
class SessionReplaced:
    """A session took the place of the one before.

    base    whose annotations are the first ``count``
    frames  of the others, by frame number
    done    commands that it knows of
    aside   move what was kept before out of the way
    """

    now: SessionSnapshot
    base: str | None = None
    count: int = 0
    frames: Mapping[int, AutosavedFrame] = field(default_factory=dict)
    done: frozenset[int] = frozenset()
    aside: bool = False


Event = CommandReceived | CommandDone | SessionReplaced


# Seconds until it is looked again whether the disk has kept up, and until what failed is tried again.
_SYNC_AGAIN, _TRY_AGAIN = 0.1, 1.0
# The log is written anew when it has grown to so many times what it needs, and so many bytes beyond.
_GROWTH, _SLACK = 4, 2**18


class Autosave:
    """Keeps a session's annotations in a folder; every method may be called from any thread.

    kept    what the folder has, to be taken up again: it stays there until ``begin``
    source  where the frames come from
    """

    def __init__(
        self,
        keep: AutosaveFolder,
        kept: AutosaveState,
        source: str,
        megabytes: int,
        beat: float,
        failed: Callable[[Exception], None],
    ) -> None:
        """Begin to write into a folder, which nothing else writes to.

        megabytes  for pixels of annotated frames; the oldest are let go
        beat       seconds between signs of life
        failed     told what went wrong, which ends nothing
        """
        self.kept = kept
        self._keep, self._source, self._limit, self._beat, self._failed = keep, source, megabytes * 2**20, beat, failed
        self._numbers = count(max(kept.asked, default=0) + 1)
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        # What the records say, and the annotations it is about; these may go before what undo took is let go.
        self._now = AutosaveState(kept.base, list(kept.placed), dict(kept.asked), kept.attempts + (not kept.empty))
        self._placed: tuple[FrameAnnotation, ...] = ()
        self._known: dict[int, tuple[FrameAnnotation, AutosavedAnnotation]] = {}
        self._frames = AutosavedFrames(keep, kept.pixels, failed)
        self._bytes = self._needed = 0
        # The log says less than ``_now``, or something else.
        self._behind = True
        # What was kept before is in the session, or was refused.
        self._begun = kept.empty
        # Something was written that the machine might lose.
        self._unsynced = False
        self._syncing: Future[None] | None = None
        self._syncer = ThreadPoolExecutor(1, "neural_seg_sync")
        keep.forget_others(kept)
        self._append([])
        self._thread = threading.Thread(target=self._run, name="neural_seg_autosave")
        self._thread.start()

    # -- what others tell it -------------------------------------------------------------------------------------------

    def ask(self, do: str, annotations: Sequence[Annotation], frame: Frame | None, key: int | None) -> int:
        """A command came; ``frame`` is the one it would go to by now. Gives its number."""
        number = next(self._numbers)
        self._events.put(CommandReceived(number, do, tuple(annotations), frame, key))
        return number

    def answered(self, number: int, now: SessionSnapshot | None = None) -> None:
        """A command was executed, and this is the session now; without that, it will not be executed."""
        self._events.put(CommandDone(number, now))

    def begin(self, now: SessionSnapshot, base: Path | None = None) -> None:
        """A new session, or that of a file, is in the place of the one before."""
        name = None
        if base is not None:
            try:
                name = self._keep.take_base(base)
            except OSError as error:
                self._failed(error)
        self._events.put(SessionReplaced(now, name, len(now.placed)))

    def restored(
        self, now: SessionSnapshot, frames: Mapping[int, AutosavedFrame], base: Sequence[FrameAnnotation]
    ) -> None:
        """What was kept is in the session, which began with ``base``: annotations of the base that it had then."""
        count = _common(base, now.placed)
        done = frozenset(self.kept.asked)
        self._events.put(SessionReplaced(now, self.kept.base if count else None, count, frames, done))

    def refused(self, now: SessionSnapshot) -> None:
        """What was kept cannot be taken up: it is moved aside."""
        self._events.put(SessionReplaced(now, done=frozenset(self.kept.asked), aside=True))

    def pixels(self, name: str) -> NDArray[np.uint8]:
        """Those of a kept frame. Raises SessionFileError."""
        return self._keep.read_pixels(name)

    def base(self) -> Path | None:
        """The session file that what is kept goes on from."""
        return None if self.kept.base is None else self._keep.base(self.kept.base)

    def close(self) -> None:
        """Write what is left and, unless what was kept has yet to be taken up, that the end was meant."""
        self._events.put(None)
        self._thread.join()
        self._syncer.shutdown()
        self._keep.close()

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        beaten = time.monotonic()
        going = True
        while going:
            waiting = _SYNC_AGAIN if self._unsynced else self._beat
            events = self._next(_TRY_AGAIN if self._behind else waiting)
            going = None not in events
            try:
                self._now.ended = not going and self._begun
                self._write([event for event in events if event is not None])
                if time.monotonic() - beaten >= self._beat:
                    beaten = time.monotonic()
                    self._keep.touch()
            except Exception as error:  # a full disk must not be the end; all is written anew next time
                self._behind = True
                self._failed(error)

    def _next(self, seconds: float) -> list[Event | None]:
        """The events that wait; none after ``seconds``."""
        events: list[Event | None] = []
        with suppress(queue.Empty):
            events.append(self._events.get(timeout=seconds))
            while True:
                events.append(self._events.get_nowait())
        return events

    def _write(self, events: Sequence[Event]) -> None:
        bases = {self._now.base}
        done = {event.number for event in events if isinstance(event, CommandDone)}
        records: list[Record] = []
        for event in events:
            if isinstance(event, SessionReplaced):
                bases.add(event.base)
            elif isinstance(event, CommandReceived) and event.number in done:
                continue
            try:
                records.extend(self._taken(event))
            except Exception as error:  # those after it are others' changes
                self._behind = True
                self._failed(error)
        records.extend(self._shrink() if self._frames.written else ())
        records.extend([{"ended": True}] if self._now.ended else ())
        if records or self._behind:
            self._append(records)
        self._forget(bases)
        self._sync()

    def _taken(self, event: Event) -> list[Record]:
        """The records of an event."""
        if isinstance(event, SessionReplaced):
            self._begin(event)
            return []
        if isinstance(event, CommandDone):
            return self._changed(event)
        asked = Asked(event.do, _shapes(event.annotations), self._frames.offered(event.frame), event.key)
        self._now.asked[event.number] = asked
        return [asked_record(event.number, asked)]

    def _changed(self, change: CommandDone) -> list[Record]:
        waited = self._now.asked.pop(change.number, None) is not None
        answered = [change.number] if waited else []
        now = change.now
        if now is None:
            # Nothing is another, nor is what was kept before and has yet to be taken up.
            return [placed_record(len(self._now.placed), [], answered)] if waited else []
        placed = now.placed
        kept = _common(self._placed, placed)
        if kept == len(self._placed) == len(placed) and not waited:
            return []
        new = [each for each in placed[kept:] if each.id not in self._known]
        if new:
            # What was undone cannot be made again any more.
            self._known = {each.id: self._known[each.id] for each in placed if each.id in self._known}
            frame = self._frames.numbered(now.frame_number, now.stamp, now.frame)
            self._known |= {each.id: (each, _entry(each, now, {now.frame_number: frame})) for each in new}
        entries = [self._known[each.id][1] for each in placed[kept:]]
        self._placed = placed
        self._now.placed[kept:] = entries
        return [placed_record(kept, entries, answered)]

    def _begin(self, begin: SessionReplaced) -> None:
        now = begin.now
        self._begun = True
        if begin.aside:
            self._move_aside()
        asked = {} if begin.aside else {n: each for n, each in self._now.asked.items() if n not in begin.done}
        entries = [
            OF_BASE if at < begin.count else _entry(each, now, begin.frames) for at, each in enumerate(now.placed)
        ]
        if begin.base is None:
            # Only the file would have had them.
            entries[: begin.count] = [AutosavedAnnotation(None, None)] * begin.count
        self._now = AutosaveState(begin.base, entries, asked)
        self._placed = now.placed
        self._known = {each.id: (each, entry) for each, entry in zip(now.placed, entries, strict=True)}
        self._frames.begin(begin.frames)
        self._behind = True

    def _move_aside(self) -> None:
        try:
            self._keep.move_aside()
        except OSError as error:  # the session goes on all the same
            self._failed(error)
        else:
            self._frames.lose()

    def _append(self, records: Sequence[Record]) -> None:
        """Write records, or all that they and those before them have come to."""
        if self._behind or self._bytes > _GROWTH * self._needed + _SLACK:
            self._bytes = self._needed = self._keep.begin(self._source, self._now.records())
            self._behind = False
        else:
            self._bytes += self._keep.append(records)
        self._unsynced = True

    def _shrink(self) -> list[Record]:
        """Let the oldest frames go while there are more than the limit."""
        records: list[Record] = []
        names = list(dict.fromkeys(e.frame.pixels for e in self._now.placed if e.frame is not None))
        sizes = [self._keep.size_of(name) for name in names]
        total = sum(sizes)
        for name, size in zip(names[:-1], sizes, strict=False):
            if total <= self._limit:
                break
            total -= size
            records.append({"forgotten": name})
            self._now.apply(records[-1])
            # None are placed while what was kept before has yet to be taken up.
            self._known = {p.id: (p, e) for p, e in zip(self._placed, self._now.placed, strict=False)}
        return records

    def _forget(self, bases: Collection[str | None]) -> None:
        """Delete the pixels that no annotation is on, nor one that may be made again, and bases of before."""
        undone = {entry.frame.pixels for _, entry in self._known.values() if entry.frame is not None}
        self._frames.forget_but(undone | self._now.pixels)
        for base in bases:
            if base is not None and base != self._now.base:
                self._keep.forget((), base)

    def _sync(self) -> None:
        if not self._unsynced or (self._syncing is not None and not self._syncing.done()):
            return
        before, written = self._syncing, self._frames.written
        self._frames.written, self._unsynced = set(), False
        self._syncing = self._syncer.submit(self._keep.sync, written)
        if before is not None:
            before.result()


def _entry(
    placed: FrameAnnotation, now: SessionSnapshot, frames: Mapping[int, AutosavedFrame | None]
) -> AutosavedAnnotation:
    annotation = placed.annotation
    shape = None if isinstance(annotation, Mask) else annotation
    return AutosavedAnnotation(shape, frames.get(placed.frame_number), now.keys.get(placed.id))


def _shapes(annotations: Sequence[Annotation]) -> tuple[Any, ...]:
    return tuple(each for each in annotations if not isinstance(each, Mask))


def _common(old: Sequence[FrameAnnotation], new: Sequence[FrameAnnotation]) -> int:
    """How many of the first annotations are the same."""
    same = 0
    while same < min(len(old), len(new)) and old[same] is new[same]:
        same += 1
    return same
