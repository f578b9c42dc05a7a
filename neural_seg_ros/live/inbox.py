"""The inbox of a worker: the newest frame, a ring of recent frames, and commands from other threads."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.errors import SessionError

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class IncomingFrame:
    """A frame not yet decoded.

    decode  returns (H, W, 3) uint8 RGB
    stamp   seconds
    header  returned with the frame's results, for example its message header
    size    bytes that ``decode`` keeps alive
    arrived seconds on the monotonic clock
    """

    decode: Callable[[], NDArray[np.uint8]]
    stamp: float
    header: Any
    size: int
    arrived: float

    @property
    def age(self) -> float:
        """Seconds since it arrived."""
        return time.monotonic() - self.arrived


class Inbox:
    """A slot for the newest frame, a ring of recent frames and a queue of commands, for one worker to wait on."""

    def __init__(self, ring: int, ring_bytes: int, enabled: bool) -> None:
        self._wake = threading.Condition()
        self._enabled = enabled
        self._closed = False
        self._slot: IncomingFrame | None = None
        self._ring: deque[IncomingFrame] = deque()
        self._ring_bytes = 0
        self._limits = (ring, ring_bytes)
        self._commands: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        # The ring when the oldest pending command arrived: the command's sender may mean any of these frames.
        self._ring_at_command: tuple[IncomingFrame, ...] = ()
        # The past frame annotated last. Drawing on a frozen picture takes longer than the ring reaches back.
        self.pinned_frame: IncomingFrame | None = None

    def put_frame(self, frame: IncomingFrame) -> bool | None:
        """Make this the newest frame. Returns True if it replaced an untaken one; None while disabled."""
        with self._wake:
            if not self._enabled:
                return None
            replaced, self._slot = self._slot is not None, frame
            self._add_to_ring(frame)
            self._wake.notify_all()
        return replaced

    def take_frame(self) -> IncomingFrame | None:
        """Take the newest frame, once."""
        with self._wake:
            frame, self._slot = self._slot, None
        return frame

    def recent_frames(self) -> list[IncomingFrame]:
        """Return the frames of the ring now and when the oldest pending command arrived, oldest first."""
        with self._wake:
            oldest = self._ring[0] if self._ring else None
            gone = takewhile(lambda frame: frame is not oldest, self._ring_at_command)
            return [*gone, *self._ring]

    def frame_at(self, stamp: float | None) -> IncomingFrame | None:
        """Return the frame that an annotation with this stamp would go to now; None before the first."""
        recent = self.recent_frames()
        return nearest_frame(recent, stamp, self.pinned_frame) or (recent[-1] if recent else None)

    def forget_frames(self) -> None:
        """Forget the recent frames."""
        with self._wake:
            self._ring.clear()
            self._ring_at_command, self.pinned_frame = (), None
            self._ring_bytes = 0

    def set_limits(self, ring: int, ring_bytes: int) -> None:
        """Keep at most ``ring`` recent frames and, beside the newest, at most ``ring_bytes``."""
        with self._wake:
            self._limits = (ring, ring_bytes)
            self._trim_ring()

    def submit(self, command: Callable[[], T]) -> Future[T]:
        """Queue a command; the Future carries what it returns or raises, SessionError when the inbox is closed."""
        future: Future[T] = Future()
        with self._wake:
            if self._closed:
                future.set_exception(_closed_error())
            else:
                if not self._commands and not self._ring_at_command:
                    self._ring_at_command = tuple(self._ring)
                self._commands.append((future, command))
                self._wake.notify_all()
        return future

    def run_commands(self) -> None:
        """Execute the pending commands in this thread, oldest first."""
        while True:
            with self._wake:
                if self._closed or not self._commands:
                    self._ring_at_command = ()
                    return
                future, command = self._commands.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(command())
            except Exception as error:  # raised where the command's sender reads the result
                future.set_exception(error)

    def wait(self, for_frame: bool, busy: bool, pause: float | None) -> bool:
        """Sleep until there is a command, a frame (if ``for_frame``) or own work; return False when closed.

        While enabled, own work is due at once when ``busy`` and else after ``pause`` seconds, None for never.
        """
        until = None if pause is None else time.monotonic() + pause
        with self._wake:
            while not self._closed:
                if self._commands or (self._enabled and (busy or (for_frame and self._slot is not None))):
                    return True
                left = None if until is None or not self._enabled else until - time.monotonic()
                if left is not None and left <= 0:
                    return True
                self._wake.wait(left)
            return False

    @property
    def enabled(self) -> bool:
        """True if frames are accepted; False too once closed."""
        with self._wake:
            return self._enabled and not self._closed

    @property
    def closed(self) -> bool:
        """True if the worker must stop."""
        with self._wake:
            return self._closed

    def enable(self, enabled: bool) -> None:
        """Accept or ignore frames. Either way the slot is emptied, as its frame would be stale."""
        with self._wake:
            self._enabled = enabled
            self._slot = None
            self._wake.notify_all()

    def close(self) -> None:
        """Wake the worker for the last time and refuse the pending commands."""
        with self._wake:
            self._closed = True
            pending, self._commands = self._commands, deque()
            self._slot = None
            self._wake.notify_all()
        for future, _ in pending:
            if future.set_running_or_notify_cancel():
                future.set_exception(_closed_error())

    @property
    def command_count(self) -> int:
        """The number of pending commands."""
        with self._wake:
            return len(self._commands)

    def _add_to_ring(self, frame: IncomingFrame) -> None:
        self._ring.append(frame)
        self._ring_bytes += frame.size
        self._trim_ring()

    def _trim_ring(self) -> None:
        frames, ring_bytes = self._limits
        while len(self._ring) > frames or (len(self._ring) > 1 and self._ring_bytes > ring_bytes):
            self._ring_bytes -= self._ring.popleft().size


def _closed_error() -> SessionError:
    return SessionError("cannot execute the command, because the session is closed")


def nearest_frame(
    frames: Sequence[IncomingFrame], stamp: float | None, pinned: IncomingFrame | None = None
) -> IncomingFrame | None:
    """Return the frame nearest to a stamp; None for the newest frame, as with a later stamp.

    pinned: an older frame beside these, returned only for exactly its own stamp
    """
    if pinned is not None and pinned.stamp == stamp and all(frame.stamp != stamp for frame in frames):
        return pinned
    if stamp is None or not frames or stamp > max(frame.stamp for frame in frames):
        return None
    # The newest of equals, as stamps repeat when a bag is looped.
    return min(reversed(frames), key=lambda frame: abs(frame.stamp - stamp))
