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
    AutosavedAnnotation,
    AutosavedFrame,
    AutosavedFrames,
    AutosaveFolder,
    AutosaveState,
    PendingCommand,
    Record,
    annotations_record,
    command_record,
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

    annotations: tuple[FrameAnnotation, ...]
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
    quarantine  move the earlier state out of the way
    """

    now: SessionSnapshot
    base: str | None = None
    count: int = 0
    frames: Mapping[int, AutosavedFrame] = field(default_factory=dict)
    done: frozenset[int] = frozenset()
    quarantine: bool = False


Event = CommandReceived | CommandDone | SessionReplaced


# Seconds until it is looked again whether the disk has kept up, and until what failed is tried again.
_SYNC_AGAIN, _TRY_AGAIN = 0.1, 1.0
# The log is written anew when it has grown to so many times what it needs, and so many bytes beyond.
_GROWTH, _SLACK = 4, 2**18


class Autosave:
    """The log of a session's annotations in a folder; every method may be called from any thread.

    state   in the folder, to be restored; it stays there until ``begin``
    source  where the frames come from
    """

    def __init__(
        self,
        store: AutosaveFolder,
        state: AutosaveState,
        source: str,
        megabytes: int,
        heartbeat_seconds: float,
        failed: Callable[[Exception], None],
    ) -> None:
        """Begin to write into a folder, which nothing else writes to.

        megabytes  for pixels of annotated frames; the oldest are let go
        beat       seconds between signs of life
        failed     told what went wrong, which ends nothing
        """
        self.state = state
        self._store, self._source, self._limit, self._heartbeat_seconds, self._failed = (
            store,
            source,
            megabytes * 2**20,
            heartbeat_seconds,
            failed,
        )
        self._numbers = count(max(state.asked, default=0) + 1)
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        # What the records say, and the annotations it is about; these may go before what undo took is let go.
        self._now = AutosaveState(
            state.base, list(state.annotations), dict(state.asked), state.attempts + (not state.empty)
        )
        self._annotations: tuple[FrameAnnotation, ...] = ()
        self._known: dict[int, tuple[FrameAnnotation, AutosavedAnnotation]] = {}
        self._frames = AutosavedFrames(store, state.pixels, failed)
        self._bytes = self._needed = 0
        # The log says less than ``_now``, or something else.
        self._behind = True
        # What was kept before is in the session, or was refused.
        self._begun = state.empty
        # Something was written that the machine might lose.
        self._unsynced = False
        self._syncing: Future[None] | None = None
        self._syncer = ThreadPoolExecutor(1, "neural_seg_sync")
        store.forget_others(state)
        self._append([])
        self._thread = threading.Thread(target=self._run, name="neural_seg_autosave")
        self._thread.start()

    # -- what others tell it -------------------------------------------------------------------------------------------

    def ask(self, do: str, annotations: Sequence[Annotation], frame: Frame | None, key: int | None) -> int:
        """Log a command that was received; ``frame`` is the one it would go to now. Returns its number."""
        number = next(self._numbers)
        self._events.put(CommandReceived(number, do, tuple(annotations), frame, key))
        return number

    def answered(self, number: int, now: SessionSnapshot | None = None) -> None:
        """Log the session after a command was executed; without ``now`` the command will not be executed."""
        self._events.put(CommandDone(number, now))

    def begin(self, now: SessionSnapshot, base: Path | None = None) -> None:
        """Log that a new session, or that of a file, replaced the one before."""
        name = None
        if base is not None:
            try:
                name = self._store.take_base(base)
            except OSError as error:
                self._failed(error)
        self._events.put(SessionReplaced(now, name, len(now.annotations)))

    def restored(
        self, now: SessionSnapshot, frames: Mapping[int, AutosavedFrame], base: Sequence[FrameAnnotation]
    ) -> None:
        """Log that the session has the autosaved annotations; ``base``: annotations of the base it began with."""
        count = _common(base, now.annotations)
        done = frozenset(self.state.asked)
        self._events.put(SessionReplaced(now, self.state.base if count else None, count, frames, done))

    def refused(self, now: SessionSnapshot) -> None:
        """Log that the autosaved state cannot be restored; it is moved to quarantine."""
        self._events.put(SessionReplaced(now, done=frozenset(self.state.asked), quarantine=True))

    def pixels(self, name: str) -> NDArray[np.uint8]:
        """Read the pixels of an autosaved frame. Raises SessionFileError."""
        return self._store.read_pixels(name)

    def base(self) -> Path | None:
        """Return the session file that the log continues from."""
        return None if self.state.base is None else self._store.base(self.state.base)

    def close(self) -> None:
        """Write the rest of the log and, unless a restore is still due, that the shutdown was clean."""
        self._events.put(None)
        self._thread.join()
        self._syncer.shutdown()
        self._store.close()

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        last_heartbeat = time.monotonic()
        going = True
        while going:
            waiting = _SYNC_AGAIN if self._unsynced else self._heartbeat_seconds
            events = self._next(_TRY_AGAIN if self._behind else waiting)
            going = None not in events
            try:
                self._now.ended = not going and self._begun
                self._write([event for event in events if event is not None])
                if time.monotonic() - last_heartbeat >= self._heartbeat_seconds:
                    last_heartbeat = time.monotonic()
                    self._store.touch()
            except Exception as error:  # a full disk must not be the end; all is written anew next time
                self._behind = True
                self._failed(error)

    def _next(self, seconds: float) -> list[Event | None]:
        """Return the waiting events; none after ``seconds``."""
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
        """Return the records of an event."""
        if isinstance(event, SessionReplaced):
            self._begin(event)
            return []
        if isinstance(event, CommandDone):
            return self._changed(event)
        asked = PendingCommand(event.do, _shapes(event.annotations), self._frames.offered(event.frame), event.key)
        self._now.asked[event.number] = asked
        return [command_record(event.number, asked)]

    def _changed(self, change: CommandDone) -> list[Record]:
        waited = self._now.asked.pop(change.number, None) is not None
        answered = [change.number] if waited else []
        now = change.now
        if now is None:
            # Nothing has changed; an earlier state may still wait to be restored.
            return [annotations_record(len(self._now.annotations), [], answered)] if waited else []
        annotations = now.annotations
        state = _common(self._annotations, annotations)
        if state == len(self._annotations) == len(annotations) and not waited:
            return []
        new = [each for each in annotations[state:] if each.id not in self._known]
        if new:
            # What was undone cannot be made again any more.
            self._known = {each.id: self._known[each.id] for each in annotations if each.id in self._known}
            frame = self._frames.numbered(now.frame_number, now.stamp, now.frame)
            self._known |= {each.id: (each, _entry(each, now, {now.frame_number: frame})) for each in new}
        entries = [self._known[each.id][1] for each in annotations[state:]]
        self._annotations = annotations
        self._now.annotations[state:] = entries
        return [annotations_record(state, entries, answered)]

    def _begin(self, begin: SessionReplaced) -> None:
        now = begin.now
        self._begun = True
        if begin.quarantine:
            self._quarantine()
        asked = {} if begin.quarantine else {n: each for n, each in self._now.asked.items() if n not in begin.done}
        entries = [
            OF_BASE if at < begin.count else _entry(each, now, begin.frames) for at, each in enumerate(now.annotations)
        ]
        if begin.base is None:
            # Only the file would have had them.
            entries[: begin.count] = [AutosavedAnnotation(None, None)] * begin.count
        self._now = AutosaveState(begin.base, entries, asked)
        self._annotations = now.annotations
        self._known = {each.id: (each, entry) for each, entry in zip(now.annotations, entries, strict=True)}
        self._frames.begin(begin.frames)
        self._behind = True

    def _quarantine(self) -> None:
        try:
            self._store.quarantine()
        except OSError as error:  # the session goes on all the same
            self._failed(error)
        else:
            self._frames.lose()

    def _append(self, records: Sequence[Record]) -> None:
        """Write records, or all that they and those before them have come to."""
        if self._behind or self._bytes > _GROWTH * self._needed + _SLACK:
            self._bytes = self._needed = self._store.begin(self._source, self._now.records())
            self._behind = False
        else:
            self._bytes += self._store.append(records)
        self._unsynced = True

    def _shrink(self) -> list[Record]:
        """Let the oldest frames go while there are more than the limit."""
        records: list[Record] = []
        names = list(dict.fromkeys(e.frame.pixels for e in self._now.annotations if e.frame is not None))
        sizes = [self._store.size_of(name) for name in names]
        total = sum(sizes)
        for name, size in zip(names[:-1], sizes, strict=False):
            if total <= self._limit:
                break
            total -= size
            records.append({"forgotten": name})
            self._now.apply(records[-1])
            # There are no annotations while an earlier state waits to be restored.
            self._known = {p.id: (p, e) for p, e in zip(self._annotations, self._now.annotations, strict=False)}
        return records

    def _forget(self, bases: Collection[str | None]) -> None:
        """Delete the pixels that no annotation is on, nor one that may be made again, and bases of before."""
        undone = {entry.frame.pixels for _, entry in self._known.values() if entry.frame is not None}
        self._frames.forget_but(undone | self._now.pixels)
        for base in bases:
            if base is not None and base != self._now.base:
                self._store.forget((), base)

    def _sync(self) -> None:
        if not self._unsynced or (self._syncing is not None and not self._syncing.done()):
            return
        before, written = self._syncing, self._frames.written
        self._frames.written, self._unsynced = set(), False
        self._syncing = self._syncer.submit(self._store.sync, written)
        if before is not None:
            before.result()


def _entry(
    annotations: FrameAnnotation, now: SessionSnapshot, frames: Mapping[int, AutosavedFrame | None]
) -> AutosavedAnnotation:
    annotation = annotations.annotation
    shape = None if isinstance(annotation, Mask) else annotation
    return AutosavedAnnotation(shape, frames.get(annotations.frame_number), now.keys.get(annotations.id))


def _shapes(annotations: Sequence[Annotation]) -> tuple[Any, ...]:
    return tuple(each for each in annotations if not isinstance(each, Mask))


def _common(old: Sequence[FrameAnnotation], new: Sequence[FrameAnnotation]) -> int:
    """Count the first annotations that are the same."""
    same = 0
    while same < min(len(old), len(new)) and old[same] is new[same]:
        same += 1
    return same
