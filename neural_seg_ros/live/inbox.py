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
class Frame:
    """A frame not yet decoded.

    decode  gives (H, W, 3) uint8 RGB
    stamp   seconds
    token   handed out again with the frame's results, for example its message header
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
        self._slot: Frame | None = None
        self._ring: deque[Frame] = deque()
        self._held_bytes = 0
        self._limits = (ring, ring_bytes)
        self._commands: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        # The ring as it was when the oldest command that waits came: who sent it may mean any of these frames.
        self._meant: tuple[Frame, ...] = ()
        # The past frame that was asked for last: who draws on a frozen picture takes longer than the ring reaches back.
        self.asked: Frame | None = None

    def put_frame(self, frame: Frame) -> bool | None:
        """Make this the newest frame. Returns whether one was replaced that nobody took; None while disabled."""
        with self._wake:
            if not self._enabled:
                return None
            replaced, self._slot = self._slot is not None, frame
            self._keep(frame)
            self._wake.notify_all()
        return replaced

    def take_frame(self) -> Frame | None:
        """Take the newest frame, once."""
        with self._wake:
            frame, self._slot = self._slot, None
        return frame

    def recent_frames(self) -> list[Frame]:
        """Return the frames of the ring now, and when the oldest pending command arrived, oldest first."""
        with self._wake:
            oldest = self._ring[0] if self._ring else None
            gone = takewhile(lambda frame: frame is not oldest, self._meant)
            return [*gone, *self._ring]

    def frame_at(self, stamp: float | None) -> Frame | None:
        """Return the frame that an annotation with this stamp would go to now; None before the first."""
        recent = self.recent_frames()
        return nearest(recent, stamp, self.asked) or (recent[-1] if recent else None)

    def forget_frames(self) -> None:
        """Let the recent frames go."""
        with self._wake:
            self._ring.clear()
            self._meant, self.asked = (), None
            self._held_bytes = 0

    def set_limits(self, ring: int, ring_bytes: int) -> None:
        """Keep at most ``ring`` recent frames and, beside the newest, at most ``ring_bytes``."""
        with self._wake:
            self._limits = (ring, ring_bytes)
            self._trim()

    def submit(self, command: Callable[[], T]) -> Future[T]:
        """Queue a command; the Future carries what it returns or raises, SessionError when the inbox is closed."""
        future: Future[T] = Future()
        with self._wake:
            if self._closed:
                future.set_exception(SessionError("command: got one after the session was closed, accepted: before it"))
            else:
                if not self._commands and not self._meant:
                    self._meant = tuple(self._ring)
                self._commands.append((future, command))
                self._wake.notify_all()
        return future

    def run_commands(self) -> None:
        """Execute the queued commands in this thread, oldest first."""
        while True:
            with self._wake:
                if self._closed or not self._commands:
                    self._meant = ()
                    return
                future, command = self._commands.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(command())
            except Exception as error:  # belongs to whoever sent the command
                future.set_exception(error)

    def wait(self, for_frame: bool, busy: bool, pause: float | None) -> bool:
        """Sleep until there is a command, a frame (if ``for_frame``) or own work; False when the inbox is closed.

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
        """Take frames, or let them pass. The frame in the slot is let go, as it would be stale."""
        with self._wake:
            self._enabled = enabled
            self._slot = None
            self._wake.notify_all()

    def close(self) -> None:
        """Wake the worker for the last time and refuse the commands that wait."""
        with self._wake:
            self._closed = True
            waiting, self._commands = self._commands, deque()
            self._slot = None
            self._wake.notify_all()
        for future, _ in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(SessionError("command: the session was closed before it ran"))

    @property
    def depth(self) -> int:
        """Commands that wait."""
        with self._wake:
            return len(self._commands)

    def _keep(self, frame: Frame) -> None:
        self._ring.append(frame)
        self._held_bytes += frame.size
        self._trim()

    def _trim(self) -> None:
        frames, held_bytes = self._limits
        while len(self._ring) > frames or (len(self._ring) > 1 and self._held_bytes > held_bytes):
            self._held_bytes -= self._ring.popleft().size


def nearest(frames: Sequence[Frame], stamp: float | None, asked: Frame | None = None) -> Frame | None:
    """Return the frame nearest to a stamp; None for the newest frame, as with a later stamp.

    asked: a frame from before the others, which is meant by no stamp but its own
    """
    if asked is not None and asked.stamp == stamp and all(frame.stamp != stamp for frame in frames):
        return asked
    if stamp is None or not frames or stamp > max(frame.stamp for frame in frames):
        return None
    # The newest of equals, as stamps come again when a bag is looped.
    return min(reversed(frames), key=lambda frame: abs(frame.stamp - stamp))
