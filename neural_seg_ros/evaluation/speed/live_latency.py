"""The latency of a live session with a moving camera: from a click to its mask, and of contours."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.config import SessionConfig
from neural_seg_ros.errors import SessionError
from neural_seg_ros.evaluation.speed.latency import random_click
from neural_seg_ros.live.callbacks import ContourCallbacks, ContourResult, LiveCallbacks, LiveResult
from neural_seg_ros.live.config import LiveConfig
from neural_seg_ros.live.live_session import LiveSession
from neural_seg_ros.session import Session

RATE = 30.0
# The camera sways by this share of the frame's width, with this period in seconds: every frame is a new one.
SWAY, PERIOD = 0.1, 2.0
# A user looks at the mask, in seconds, before the next click.
LOOK = 1.5
# Seconds without clicks at the end, for the mask rate while the fit continues. Then as long again with
# contours beside them, as often as there is time.
FOLLOWING = 10.0
CONTOUR_RATE = 60.0
PATIENCE = 60.0


@dataclass(frozen=True)
class LiveLatency:
    """The latencies of a moving camera, at 30 new frames a second.

    click_p50, click_p95  seconds from a click to the first mask that answers it
    masks_per_second      between the clicks and what they bring
    masks_following       a second, without clicks, while the fit continues
    steps_following       of the fit a second, meanwhile
    contours_beside       contours and segments a second (``fast``, at the live size) while somebody wants them as well
    masks_beside          masks a second, meanwhile
    """

    click_p50: float
    click_p95: float
    masks_per_second: float
    masks_following: float
    steps_following: float
    contours_beside: float
    masks_beside: float


def measure_live_latency(
    config: SessionConfig, device: str, image: NDArray[np.uint8], clicks: int, seed: int = 0
) -> LiveLatency:
    """Click on a camera that sways over ``image`` (H, W, 3) uint8 RGB: random pixels of the newest frame, classes 0, 1.

    The clock runs from handing a click over to the mask of the clicked frame. Raises SessionError.
    """
    generator = np.random.default_rng(seed)
    masks, contours = _Arrivals(), _Arrivals()
    wanted = threading.Event()
    live = LiveSession(
        make=lambda config: Session(config, device),
        load=lambda path: Session.load(path, device),
        config=config,
        options=LiveConfig(contour_rate=CONTOUR_RATE),
        callbacks=LiveCallbacks(masks.add, lambda: True, masks.fail, lambda notice: None),
        contours=ContourCallbacks(contours.add, wanted.is_set),
    )
    camera = _Camera(live, image)
    waits = []
    try:
        masks.wait_for(0.0)
        for number in range(clicks):
            stamp, started = camera.newest, time.monotonic()
            live.annotate(random_click(generator, image, number % 2), stamp)
            waits.append(masks.wait_for(started, stamp) - started)
            time.sleep(LOOK)
        until, masks_with_clicks = time.monotonic(), masks.rate()
        time.sleep(FOLLOWING)
        masks_following, steps = masks.rate(until), live.status().steps_per_second
        wanted.set()
        until = contours.wait_for(0.0)  # the first loads what contours need
        time.sleep(FOLLOWING)
        beside = contours.rate(until), masks.rate(until)
    finally:
        camera.stop()
        live.close()
    p50, p95 = np.quantile(waits, [0.5, 0.95])
    return LiveLatency(float(p50), float(p95), masks_with_clicks, masks_following, steps, *beside)


class _Arrivals:
    """The arrivals of masks and contours by frame, in the clock of ``time.monotonic``."""

    def __init__(self) -> None:
        self._came: list[tuple[float, float]] = []
        self._changed = threading.Condition()
        self._error: Exception | None = None

    def add(self, output: LiveResult | ContourResult) -> None:
        with self._changed:
            self._came.append((time.monotonic(), output.header))
            self._changed.notify_all()

    def fail(self, error: Exception) -> None:
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def wait_for(self, after: float, stamp: float | None = None) -> float:
        """Wait for the first arrival after a time, of any frame or that of a stamp. Raises SessionError."""

        def first() -> float | None:
            return next((at for at, of in self._came if at > after and stamp in (None, of)), None)

        with self._changed:
            self._changed.wait_for(lambda: self._error or first(), PATIENCE)
            came = first()
            if came is None:
                raise SessionError(f"mask, contours: got none in {PATIENCE:g} s, {self._error or 'no error'}")
            return came

    def rate(self, after: float = 0.0) -> float:
        """Count arrivals a second since a time."""
        with self._changed:
            came = [at for at, _ in self._came if at > after]
        return (len(came) - 1) / (came[-1] - came[0]) if len(came) > 1 else 0.0


class _Camera:
    """A camera that offers ``RATE`` frames a second of a swaying picture, until it is stopped."""

    def __init__(self, live: LiveSession, image: NDArray[np.uint8]) -> None:
        self.newest = 0.0
        self._live, self._image = live, image
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camera")
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        began, number = time.monotonic(), 0
        while not self._stopped.wait(max(0.0, began + number / RATE - time.monotonic())):
            number += 1
            stamp = number / RATE
            self._live.offer_frame(_seen(self._image, stamp), stamp, header=stamp, size=self._image.nbytes)
            self.newest = stamp


def _seen(image: NDArray[np.uint8], stamp: float) -> Callable[[], NDArray[np.uint8]]:
    """Return the decoder of the frame of a stamp."""
    moved = round(SWAY * image.shape[1] * np.sin(2 * np.pi * stamp / PERIOD))
    return lambda: np.roll(image, moved, axis=1)
