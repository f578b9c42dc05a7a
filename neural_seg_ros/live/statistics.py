"""The statistics of a live session: counters, rates and latencies, written and read by several threads."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

WINDOW = 5.0
_RECENT = 30.0
_SAMPLES = 256


@dataclass(frozen=True)
class LiveStatus:
    """A snapshot of a live session. Times are seconds, rates are per second over the last 5 s, -1 is not known.

    began         when the session was made, seconds of the system's clock
    frames_in     frames offered while enabled
    processed     frames taken by the worker: fitted, or recognised as a still scene
    dropped       frames never fitted: replaced by a newer one before the worker took them, or stale
    stale         those of the dropped that were refused because they had waited longer than ``max_age``
    masks_out     results handed to the output
    errors        exceptions in the worker; ``last_error`` is the text of the newest
    click_latency p50 and p95 from an annotation's arrival to the first mask that knows it
    mask_latency  p50 and p95 from a frame's arrival to its first mask
    recent_click_latency, recent_mask_latency  median of the last 30 s
    silent        since the last frame, or since frames were first taken
    dropped_rate, error_rate  frames dropped and exceptions a second
    input_age     how long the frame taken last had waited; ``input_age_max`` of all so far
    queue_depth   commands waiting for the worker
    waiting       annotations waiting for their frame, in lock-step
    lost          ids of the classes that the session has lost on the frame of the last mask
    steps, loss, psnr  of the fit, read once a second; psnr in dB
    """

    enabled: bool
    began: float
    frames_in: int
    processed: int
    dropped: int
    stale: int
    masks_out: int
    errors: int
    last_error: str
    fps_in: float
    fps_out: float
    steps_per_second: float
    click_latency: tuple[float, float]
    mask_latency: tuple[float, float]
    recent_click_latency: float
    recent_mask_latency: float
    silent: float
    dropped_rate: float
    error_rate: float
    input_age: float
    input_age_max: float
    queue_depth: int
    waiting: int
    lost: tuple[int, ...]
    steps: int
    loss: float
    psnr: float


class Rate:
    """A rate of events per second over the last 5 s."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._events: deque[tuple[float, int]] = deque()
        self._started = clock()

    def add(self, count: int = 1) -> None:
        self._events.append((self._clock(), count))
        self._forget()

    def value(self) -> float:
        self._forget()
        span = min(WINDOW, self._clock() - self._started)
        return sum(count for _, count in self._events) / span if span > 0 else 0.0

    def _forget(self) -> None:
        oldest = self._clock() - WINDOW
        while self._events and self._events[0][0] < oldest:
            self._events.popleft()


class Recent:
    """The newest 256 samples of the last 30 s."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._samples: deque[tuple[float, float]] = deque(maxlen=_SAMPLES)

    def add(self, value: float) -> None:
        self._samples.append((self._clock(), value))

    def median(self) -> float:
        """Return the median, -1 without samples."""
        oldest = self._clock() - _RECENT
        return percentile((value for moment, value in self._samples if moment >= oldest), 50)


class Counters:
    """The mutable side of LiveStatus; every method may be called from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._began = time.time()
        self._counts = dict.fromkeys(("frames_in", "processed", "dropped", "stale", "masks_out", "errors"), 0)
        self._last_error = ""
        self._in, self._out, self._steps, self._dropped, self._errors = (Rate(clock) for _ in range(5))
        self._recent_clicks, self._recent_masks = Recent(clock), Recent(clock)
        self._heard = clock()
        self._click_latency: deque[float] = deque(maxlen=_SAMPLES)
        self._mask_latency: deque[float] = deque(maxlen=_SAMPLES)
        self._age = self._age_max = -1.0
        self._fit = (0, -1.0, -1.0)
        self._waiting = 0
        self._lost: tuple[int, ...] = ()

    def listening(self) -> None:
        """Start the clocks of silence and rate: frames are accepted from now on."""
        with self._lock:
            self._heard = self._clock()
            self._in = Rate(self._clock)

    def frame_in(self, replaced: bool) -> None:
        with self._lock:
            self._counts["frames_in"] += 1
            self._in.add()
            self._heard = self._clock()
            if replaced:
                self._drop()

    def frame_taken(self, age: float) -> None:
        with self._lock:
            self._counts["processed"] += 1
            self._age = age
            self._age_max = max(self._age_max, age)

    def frame_stale(self) -> None:
        with self._lock:
            self._counts["stale"] += 1
            self._drop()

    def mask_out(self, click_latencies: Iterable[float], mask_latency: float | None) -> None:
        with self._lock:
            self._counts["masks_out"] += 1
            self._out.add()
            for latency in click_latencies:
                self._click_latency.append(latency)
                self._recent_clicks.add(latency)
            if mask_latency is not None:
                self._mask_latency.append(mask_latency)
                self._recent_masks.add(mask_latency)

    def fitted(self, steps: int) -> None:
        with self._lock:
            self._steps.add(steps)

    def fit_status(self, steps: int, loss: float, psnr: float) -> None:
        with self._lock:
            self._fit = (steps, loss, psnr)

    def waiting(self, count: int) -> None:
        with self._lock:
            self._waiting = count

    def lost(self, classes: tuple[int, ...]) -> None:
        with self._lock:
            self._lost = classes

    def error(self, text: str) -> None:
        with self._lock:
            self._counts["errors"] += 1
            self._errors.add()
            self._last_error = text

    def snapshot(self, enabled: bool, queue_depth: int) -> LiveStatus:
        with self._lock:
            steps, loss, psnr = self._fit
            return LiveStatus(
                enabled=enabled,
                began=self._began,
                **self._counts,
                last_error=self._last_error,
                fps_in=self._in.value(),
                fps_out=self._out.value(),
                steps_per_second=self._steps.value(),
                click_latency=(percentile(self._click_latency, 50), percentile(self._click_latency, 95)),
                mask_latency=(percentile(self._mask_latency, 50), percentile(self._mask_latency, 95)),
                recent_click_latency=self._recent_clicks.median(),
                recent_mask_latency=self._recent_masks.median(),
                silent=self._clock() - self._heard,
                dropped_rate=self._dropped.value(),
                error_rate=self._errors.value(),
                input_age=self._age,
                input_age_max=self._age_max,
                queue_depth=queue_depth,
                waiting=self._waiting,
                lost=self._lost,
                steps=steps,
                loss=loss,
                psnr=psnr,
            )

    def _drop(self) -> None:
        self._counts["dropped"] += 1
        self._dropped.add()


def percentile(samples: Iterable[float], percent: float) -> float:
    """Compute a percentile of samples, -1 without any."""
    values = np.fromiter(samples, np.float64)
    return float(np.percentile(values, percent)) if values.size else -1.0
