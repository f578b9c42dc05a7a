"""The writer of an autosave folder: every change of a session's annotations on disk at once.

A command is logged twice: when it arrives, as the worker may be busy for longer than the time that a kill may cost, and
when it is done, with the annotations after it. Both are written by a background thread; they survive a kill
of the process. A second thread syncs them to disk as fast as the disk allows, so that they survive a power cut too.
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
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation, Mask
from neural_seg_ros.live.autosave.store import (
    IN_BASE,
    AutosavedAnnotation,
    AutosavedFrame,
    AutosaveFolder,
    AutosaveState,
    FrameStore,
    PendingCommand,
    Record,
    annotations_record,
    command_record,
)
from neural_seg_ros.live.inbox import IncomingFrame

if TYPE_CHECKING:
    from neural_seg_ros.annotations.implied import FrameAnnotation

# Periods of checking on an unfinished sync, and of retrying a failed write.
_SYNC_CHECK_SECONDS, _RETRY_SECONDS = 0.1, 1.0
# The log is rewritten when it is larger than this factor times what the state needs, plus these bytes.
_MAX_GROWTH, _SLACK_BYTES = 4, 2**18


@dataclass(frozen=True)
class SessionSnapshot:
    """A session's annotations, and the frame that the newest of them are on.

    frame_number  of that frame, as in ``FrameAnnotation``
    frame         (H, W, 3) uint8, None before the first
    keys          the keys of drawn annotations by running number
    """

    annotations: tuple[FrameAnnotation, ...]
    frame_number: int
    stamp: float
    frame: NDArray[np.uint8] | None
    keys: Mapping[int, int]


@dataclass(frozen=True)
class CommandReceived:
    """The arrival of a command for that frame; the worker has not executed it yet."""

    number: int
    name: str
    annotations: tuple[Annotation, ...]
    frame: IncomingFrame | None
    key: int | None


@dataclass(frozen=True)
class CommandDone:
    """The execution of a command, or (without ``snapshot``) the end of a command that will not be executed."""

    number: int
    snapshot: SessionSnapshot | None


@dataclass(frozen=True)
class SessionReplaced:
    """The replacement of the session by another.

    base        name of the file whose annotations are the first ``count``
    frames      frames of the other annotations, by frame number
    done        numbers of pending commands that the session has executed
    quarantine  True to move the earlier state to quarantine
    """

    snapshot: SessionSnapshot
    base: str | None = None
    count: int = 0
    frames: Mapping[int, AutosavedFrame] = field(default_factory=dict)
    done: frozenset[int] = frozenset()
    quarantine: bool = False


Event = CommandReceived | CommandDone | SessionReplaced


class Autosave:
    """The log of a session's annotations in a folder; every method may be called from any thread.

    state   read from the folder, to be restored; it stays there until ``log_restored`` or ``log_new_session``
    source  of the frames, such as their image topic
    """

    def __init__(
        self,
        folder: AutosaveFolder,
        state: AutosaveState,
        source: str,
        megabytes: int,
        heartbeat_seconds: float,
        failed: Callable[[Exception], None],
    ) -> None:
        """Start to write into a folder that nothing else writes to.

        megabytes          for pixels of annotated frames; beyond it the oldest are deleted
        heartbeat_seconds  between signs of life
        failed             called with every error; none ends the autosave
        """
        self.state = state
        self._folder, self._source, self._failed = folder, source, failed
        self._max_bytes, self._heartbeat_seconds = megabytes * 2**20, heartbeat_seconds
        self._command_numbers = count(max(state.pending, default=0) + 1)
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        # The state that the log describes or is about to; an attempt to restore counts as failed until it is done.
        self._logged = AutosaveState(
            state.base, list(state.annotations), dict(state.pending), state.attempts + (not state.is_empty)
        )
        # The session's annotations that this state is about.
        self._annotations: tuple[FrameAnnotation, ...] = ()
        # These and the undone ones, which redo may bring back, by running number.
        self._entries: dict[int, tuple[FrameAnnotation, AutosavedAnnotation]] = {}
        self._frames = FrameStore(folder, state.pixels, failed)
        # Size of the log, and its size when it was last rewritten.
        self._log_bytes = self._rewritten_bytes = 0
        # The log does not match ``_logged`` and must be rewritten.
        self._log_stale = True
        # The earlier state is in the session, or was refused.
        self._restore_done = state.is_empty
        # Records or pixels were written that a power cut would lose.
        self._unsynced = False
        # The last sync, in flight or done.
        self._sync_future: Future[None] | None = None
        self._sync_executor = ThreadPoolExecutor(1, "neural_seg_sync")
        folder.delete_except(state)
        self._append([])
        self._thread = threading.Thread(target=self._run, name="neural_seg_autosave")
        self._thread.start()

    # -- for all threads -----------------------------------------------------------------------------------------------

    def log_command(
        self, name: str, annotations: Sequence[Annotation], frame: IncomingFrame | None, key: int | None
    ) -> int:
        """Log a command that was received; ``frame`` is the one it would go to now. Returns its number."""
        number = next(self._command_numbers)
        self._events.put(CommandReceived(number, name, tuple(annotations), frame, key))
        return number

    def log_outcome(self, number: int, snapshot: SessionSnapshot | None = None) -> None:
        """Log the session after a command was executed; without ``snapshot`` the command will not be executed."""
        self._events.put(CommandDone(number, snapshot))

    def log_new_session(self, snapshot: SessionSnapshot, base: Path | None = None) -> None:
        """Log that a new session, or that of a file, replaced the one before."""
        name = None
        if base is not None:
            try:
                name = self._folder.copy_base(base)
            except OSError as error:
                self._failed(error)
        self._events.put(SessionReplaced(snapshot, name, len(snapshot.annotations)))

    def log_restored(
        self, snapshot: SessionSnapshot, frames: Mapping[int, AutosavedFrame], base: Sequence[FrameAnnotation]
    ) -> None:
        """Log that the session has the autosaved annotations; ``base``: annotations of the base it began with."""
        from_base = _count_common(base, snapshot.annotations)
        done = frozenset(self.state.pending)
        self._events.put(SessionReplaced(snapshot, self.state.base if from_base else None, from_base, frames, done))

    def log_refused(self, snapshot: SessionSnapshot) -> None:
        """Log that the autosaved state cannot be restored; it is moved to quarantine."""
        self._events.put(SessionReplaced(snapshot, done=frozenset(self.state.pending), quarantine=True))

    def read_pixels(self, name: str) -> NDArray[np.uint8]:
        """Read the pixels of an autosaved frame. Raises SessionFileError."""
        return self._folder.read_pixels(name)

    def base_path(self) -> Path | None:
        """Return the session file that the log continues from."""
        return None if self.state.base is None else self._folder.base_path(self.state.base)

    def close(self) -> None:
        """Write the rest of the log and, unless a restore is still due, that the shutdown was clean."""
        self._events.put(None)
        self._thread.join()
        self._sync_executor.shutdown()
        self._folder.close()

    # -- the writing thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        last_heartbeat = time.monotonic()
        closing = False
        while not closing:
            period = _SYNC_CHECK_SECONDS if self._unsynced else self._heartbeat_seconds
            events = self._wait_for_events(_RETRY_SECONDS if self._log_stale else period)
            closing = None in events
            try:
                self._logged.ended = closing and self._restore_done
                self._write([event for event in events if event is not None])
                if time.monotonic() - last_heartbeat >= self._heartbeat_seconds:
                    last_heartbeat = time.monotonic()
                    self._folder.touch()
            except Exception as error:  # such as a full disk; the next write rewrites the whole log
                self._log_stale = True
                self._failed(error)

    def _wait_for_events(self, seconds: float) -> list[Event | None]:
        """Return all queued events; none after ``seconds`` without any."""
        events: list[Event | None] = []
        with suppress(queue.Empty):
            events.append(self._events.get(timeout=seconds))
            while True:
                events.append(self._events.get_nowait())
        return events

    def _write(self, events: Sequence[Event]) -> None:
        bases = {self._logged.base}
        done = {event.number for event in events if isinstance(event, CommandDone)}
        records: list[Record] = []
        for event in events:
            if isinstance(event, SessionReplaced):
                bases.add(event.base)
            elif isinstance(event, CommandReceived) and event.number in done:
                continue
            try:
                records.extend(self._apply(event))
            except Exception as error:  # the events after it are independent of it
                self._log_stale = True
                self._failed(error)
        records.extend(self._drop_oldest_frames() if self._frames.unsynced else ())
        records.extend([{"ended": True}] if self._logged.ended else ())
        if records or self._log_stale:
            self._append(records)
        self._delete_unneeded(bases)
        self._sync()

    def _apply(self, event: Event) -> list[Record]:
        """Apply an event to the logged state and return its records."""
        if isinstance(event, SessionReplaced):
            self._replace_session(event)
            return []
        if isinstance(event, CommandDone):
            return self._finish_command(event)
        shapes = tuple(each for each in event.annotations if not isinstance(each, Mask))
        command = PendingCommand(event.name, shapes, self._frames.add_received(event.frame), event.key)
        self._logged.pending[event.number] = command
        return [command_record(event.number, command)]

    def _finish_command(self, event: CommandDone) -> list[Record]:
        was_pending = self._logged.pending.pop(event.number, None) is not None
        done = [event.number] if was_pending else []
        snapshot = event.snapshot
        if snapshot is None:
            # The annotations stay as logged; they may be an earlier state whose restore is still due.
            return [annotations_record(len(self._logged.annotations), [], done)] if was_pending else []
        annotations = snapshot.annotations
        unchanged = _count_common(self._annotations, annotations)
        if unchanged == len(self._annotations) == len(annotations) and not was_pending:
            return []
        new = [each for each in annotations[unchanged:] if each.id not in self._entries]
        if new:
            # A new annotation ends redo, so that the entries of undone ones can go.
            self._entries = {each.id: self._entries[each.id] for each in annotations if each.id in self._entries}
            frame = self._frames.add_observed(snapshot.frame_number, snapshot.stamp, snapshot.frame)
            self._entries |= {each.id: (each, _entry(each, snapshot, {snapshot.frame_number: frame})) for each in new}
        entries = [self._entries[each.id][1] for each in annotations[unchanged:]]
        self._annotations = annotations
        self._logged.annotations[unchanged:] = entries
        return [annotations_record(unchanged, entries, done)]

    def _replace_session(self, event: SessionReplaced) -> None:
        annotations = event.snapshot.annotations
        self._restore_done = True
        if event.quarantine:
            self._quarantine()
        pending = {} if event.quarantine else {n: c for n, c in self._logged.pending.items() if n not in event.done}
        entries = [
            IN_BASE if at < event.count else _entry(each, event.snapshot, event.frames)
            for at, each in enumerate(annotations)
        ]
        if event.base is None:
            # Only the base could have restored them.
            entries[: event.count] = [AutosavedAnnotation(None, None)] * event.count
        self._logged = AutosaveState(event.base, entries, pending)
        self._annotations = annotations
        self._entries = {each.id: (each, entry) for each, entry in zip(annotations, entries, strict=True)}
        self._frames.begin(event.frames)
        self._log_stale = True

    def _quarantine(self) -> None:
        try:
            self._folder.quarantine()
        except OSError as error:  # the session continues all the same
            self._failed(error)
        else:
            self._frames.forget_all()

    def _append(self, records: Sequence[Record]) -> None:
        """Append records to the log, or rewrite it if it is stale or too large."""
        if self._log_stale or self._log_bytes > _MAX_GROWTH * self._rewritten_bytes + _SLACK_BYTES:
            self._log_bytes = self._rewritten_bytes = self._folder.begin(self._source, self._logged.records())
            self._log_stale = False
        else:
            self._log_bytes += self._folder.append(records)
        self._unsynced = True

    def _drop_oldest_frames(self) -> list[Record]:
        """Drop the oldest frames until the others fit into the limit; return the records of that."""
        records: list[Record] = []
        names = list(dict.fromkeys(e.frame.pixels for e in self._logged.annotations if e.frame is not None))
        sizes = [self._folder.size_of(name) for name in names]
        total = sum(sizes)
        for name, size in zip(names[:-1], sizes, strict=False):
            if total <= self._max_bytes:
                break
            total -= size
            records.append({"forgotten": name})
            self._logged.apply(records[-1])
            # While a restore is due there are logged annotations, and none of the session.
            pairs = zip(self._annotations, self._logged.annotations, strict=False)
            self._entries = {each.id: (each, entry) for each, entry in pairs}
        return records

    def _delete_unneeded(self, bases: Collection[str | None]) -> None:
        """Delete pixels that no annotation needs, undone ones included, and all ``bases`` but the present one."""
        with_undone = {entry.frame.pixels for _, entry in self._entries.values() if entry.frame is not None}
        self._frames.delete_except(with_undone | self._logged.pixels)
        for base in bases:
            if base is not None and base != self._logged.base:
                self._folder.delete((), base)

    def _sync(self) -> None:
        """Start a sync to disk unless one is in flight, and raise the error of the one before."""
        if not self._unsynced or (self._sync_future is not None and not self._sync_future.done()):
            return
        before, pixels = self._sync_future, self._frames.unsynced
        self._frames.unsynced, self._unsynced = set(), False
        self._sync_future = self._sync_executor.submit(self._folder.sync, pixels)
        if before is not None:
            before.result()


def _entry(
    each: FrameAnnotation, snapshot: SessionSnapshot, frames: Mapping[int, AutosavedFrame | None]
) -> AutosavedAnnotation:
    shape = None if isinstance(each.annotation, Mask) else each.annotation
    return AutosavedAnnotation(shape, frames.get(each.frame_number), snapshot.keys.get(each.id))


def _count_common(old: Sequence[FrameAnnotation], new: Sequence[FrameAnnotation]) -> int:
    """Count the first annotations that are the same."""
    same = 0
    while same < min(len(old), len(new)) and old[same] is new[same]:
        same += 1
    return same
