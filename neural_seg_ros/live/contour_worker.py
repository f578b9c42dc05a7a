"""The worker that finds contours and segments of the newest frame at a limited rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from neural_seg_ros.live.background import lower_priority
from neural_seg_ros.live.callbacks import ContourCallbacks, ContourResult
from neural_seg_ros.live.config import LiveConfig
from neural_seg_ros.live.inbox import IncomingFrame

# Segment ids are uint16, and the highest one means unlabeled.
MAX_SEGMENTS = 65_535


class ContourWorker:
    """A thread that finds the contours of the newest frame, up to ``live.contour_rate`` times a second."""

    def __init__(self, options: LiveConfig, callbacks: ContourCallbacks, failed: Callable[[Exception], None]) -> None:
        """Take ``failed``, which is called with every exception."""
        self.options = options
        self._callbacks, self._failed = callbacks, failed
        self._wake = threading.Condition()
        self._newest: IncomingFrame | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="neural_seg_contours")
        self._thread.start()

    def offer(self, frame: IncomingFrame) -> None:
        """Make this the newest frame and return at once."""
        with self._wake:
            self._newest = frame
            self._wake.notify()

    def close(self) -> None:
        """Stop after the frame in flight."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        lower_priority()
        due = time.monotonic()
        while (frame := self._wait_for_frame(due)) is not None:
            began = time.monotonic()
            options = self.options
            try:
                if self._callbacks.wanted() and options.contour_rate > 0:
                    self._callbacks.output(_find_contours(frame, options))
                    due = began + 1 / options.contour_rate
            except Exception as error:  # a failure of this frame or of a callback; the next frame may succeed
                self._failed(error)
                due = began + 1 / (options.contour_rate or 1.0)

    def _wait_for_frame(self, due: float) -> IncomingFrame | None:
        """Return the newest frame, once, not before ``due``; None at the end."""
        with self._wake:
            while not self._closed:
                left = due - time.monotonic()
                if self._newest is not None and left <= 0:
                    frame, self._newest = self._newest, None
                    return frame
                self._wake.wait(left if left > 0 else None)
        return None


def _find_contours(frame: IncomingFrame, options: LiveConfig) -> ContourResult:
    # Imported here, as it loads much that sessions without contours do not need.
    from neural_seg_ros.contours import find_contours

    contours = find_contours(frame.decode(), options.contours, "cpu")
    if contours.segments is None:
        segments = np.zeros(contours.strength.shape, np.uint16)
    else:
        segments = np.minimum(contours.segments(options.segment_threshold), MAX_SEGMENTS - 1).astype(np.uint16)
    return ContourResult(contours, segments, frame.header)
