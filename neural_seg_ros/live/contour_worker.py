"""Contours and segments of the newest frame, now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.live.background import give_way
from neural_seg_ros.live.config import LiveConfig
from neural_seg_ros.live.inbox import Frame

if TYPE_CHECKING:
    from neural_seg_ros.contours import Contours

# Ids of segments are 16 bits wide, and the last one means unlabelled.
MOST_SEGMENTS = 65_535


@dataclass(frozen=True, eq=False)
class ContourResult:
    """The contours of one frame.

    contours  of the frame, at its full size
    segments  (H, W) uint16, 0, 1, ...: what the contours above ``live.segment_threshold`` enclose
    token     what ``offer_frame`` was given with the frame
    """

    contours: Contours
    segments: NDArray[np.uint16]
    header: Any


@dataclass(frozen=True)
class ContourCallbacks:
    """Whom the contours are told, in a thread of their own.

    output  given the contours of a frame
    wanted  whether anyone wants them; for nobody none are found
    """

    output: Callable[[ContourResult], None]
    wanted: Callable[[], bool]


class ContourWorker:
    """A thread that finds the contours of the newest frame, up to ``live.contour_rate`` times a second."""

    def __init__(self, options: LiveConfig, callbacks: ContourCallbacks, failed: Callable[[Exception], None]) -> None:
        """Take ``failed``, which is called with every exception."""
        self.options = options
        self._callbacks, self._failed = callbacks, failed
        self._wake = threading.Condition()
        self._newest: Frame | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="neural_seg_contours")
        self._thread.start()

    def offer(self, frame: Frame) -> None:
        """Make this the newest frame; returns at once."""
        with self._wake:
            self._newest = frame
            self._wake.notify()

    def close(self) -> None:
        """End, after the frame that is under way."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        give_way()
        due = time.monotonic()
        while (frame := self._next(due)) is not None:
            began = time.monotonic()
            options = self.options
            try:
                if self._callbacks.wanted() and options.contour_rate > 0:
                    self._callbacks.output(_found(frame, options))
                    due = began + 1 / options.contour_rate
            except Exception as error:  # the frame's or the listener's fault: the next one may do
                self._failed(error)
                due = began + 1 / (options.contour_rate or 1.0)

    def _next(self, due: float) -> Frame | None:
        """Return the newest frame, once, when it is due; None at the end."""
        with self._wake:
            while not self._closed:
                left = due - time.monotonic()
                if self._newest is not None and left <= 0:
                    frame, self._newest = self._newest, None
                    return frame
                self._wake.wait(left if left > 0 else None)
        return None


def _found(frame: Frame, options: LiveConfig) -> ContourResult:
    # Loads much that nobody needs who wants no contours.
    from neural_seg_ros.contours import find_contours

    found = find_contours(frame.decode(), options.contours, "cpu")
    if found.segments is None:
        segments = np.zeros(found.strength.shape, np.uint16)
    else:
        segments = np.minimum(found.segments(options.segment_threshold), MOST_SEGMENTS - 1).astype(np.uint16)
    return ContourResult(found, segments, frame.header)
