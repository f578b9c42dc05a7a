"""The statistics of a live session: counters, rates and latencies, written and read by several threads."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

RATE_WINDOW_SECONDS = 5.0
_LATENCY_WINDOW_SECONDS = 30.0
_MAX_SAMPLES = 256


@dataclass(frozen=True)
class LiveStatus:
    """A snapshot of a live session. Times are in seconds, rates per second over the last 5 s; -1 is unknown.

    began         time at which the session was made, seconds on the system clock
    frames_in     frames offered while enabled
    processed     frames taken by the worker: fitted, or recognized as a still scene
    dropped       frames never fitted: replaced by a newer one before the worker took them, or stale
    stale         dropped frames that had waited longer than ``max_age``
    masks_out     results handed to the output
    errors        exceptions in the worker; ``last_error`` is the text of the newest
    click_latency p50 and p95 from an annotation's arrival to the first mask that answers it
    mask_latency  p50 and p95 from a frame's arrival to its first mask
    recent_click_latency, recent_mask_latency  median of the last 30 s
    silent        time since the last frame, or since frames were first accepted
    dropped_rate, error_rate  frames dropped and exceptions a second
    input_age     wait of the frame taken last; ``input_age_max`` of all so far
    queue_depth   pending commands
    waiting       annotations whose frame has not arrived yet, in lock-step
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
        self._forget_old()

    def value(self) -> float:
        self._forget_old()
        span = min(RATE_WINDOW_SECONDS, self._clock() - self._started)
        return sum(count for _, count in self._events) / span if span > 0 else 0.0

    def _forget_old(self) -> None:
        oldest = self._clock() - RATE_WINDOW_SECONDS
        while self._events and self._events[0][0] < oldest:
            self._events.popleft()


class RecentSamples:
    """The newest 256 samples of the last 30 s."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._samples: deque[tuple[float, float]] = deque(maxlen=_MAX_SAMPLES)

    def add(self, value: float) -> None:
        self._samples.append((self._clock(), value))

    def median(self) -> float:
        """Return the median; -1 without samples."""
        oldest = self._clock() - _LATENCY_WINDOW_SECONDS
        return percentile((value for moment, value in self._samples if moment >= oldest), 50)


class Counters:
    """The counters behind LiveStatus; every method may be called from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._began = time.time()
        self._counts = dict.fromkeys(("frames_in", "processed", "dropped", "stale", "masks_out", "errors"), 0)
        self._last_error = ""
        self._frame_rate, self._mask_rate, self._step_rate, self._drop_rate, self._error_rate = (
            Rate(clock) for _ in range(5)
        )
        self._recent_clicks, self._recent_masks = RecentSamples(clock), RecentSamples(clock)
        self._last_frame_at = clock()
        self._click_latency: deque[float] = deque(maxlen=_MAX_SAMPLES)
        self._mask_latency: deque[float] = deque(maxlen=_MAX_SAMPLES)
        self._input_age = self._input_age_max = -1.0
        self._fit = (0, -1.0, -1.0)
        self._waiting = 0
        self._lost: tuple[int, ...] = ()

    def start_listening(self) -> None:
        """Measure silence and the input rate from now on, as frames are accepted from now on."""
        with self._lock:
            self._last_frame_at = self._clock()
            self._frame_rate = Rate(self._clock)

    def add_frame(self, replaced: bool) -> None:
        with self._lock:
            self._counts["frames_in"] += 1
            self._frame_rate.add()
            self._last_frame_at = self._clock()
            if replaced:
                self._add_drop()

    def add_taken_frame(self, age: float) -> None:
        with self._lock:
            self._counts["processed"] += 1
            self._input_age = age
            self._input_age_max = max(self._input_age_max, age)

    def add_stale_frame(self) -> None:
        with self._lock:
            self._counts["stale"] += 1
            self._add_drop()

    def add_mask(self, click_latencies: Iterable[float], mask_latency: float | None) -> None:
        with self._lock:
            self._counts["masks_out"] += 1
            self._mask_rate.add()
            for latency in click_latencies:
                self._click_latency.append(latency)
                self._recent_clicks.add(latency)
            if mask_latency is not None:
                self._mask_latency.append(mask_latency)
                self._recent_masks.add(mask_latency)

    def add_steps(self, steps: int) -> None:
        with self._lock:
            self._step_rate.add(steps)

    def set_fit_status(self, steps: int, loss: float, psnr: float) -> None:
        with self._lock:
            self._fit = (steps, loss, psnr)

    def set_waiting(self, count: int) -> None:
        with self._lock:
            self._waiting = count

    def set_lost(self, classes: tuple[int, ...]) -> None:
        with self._lock:
            self._lost = classes

    def add_error(self, text: str) -> None:
        with self._lock:
            self._counts["errors"] += 1
            self._error_rate.add()
            self._last_error = text

    def snapshot(self, enabled: bool, queue_depth: int) -> LiveStatus:
        with self._lock:
            steps, loss, psnr = self._fit
            return LiveStatus(
                enabled=enabled,
                began=self._began,
                **self._counts,
                last_error=self._last_error,
                fps_in=self._frame_rate.value(),
                fps_out=self._mask_rate.value(),
                steps_per_second=self._step_rate.value(),
                click_latency=(percentile(self._click_latency, 50), percentile(self._click_latency, 95)),
                mask_latency=(percentile(self._mask_latency, 50), percentile(self._mask_latency, 95)),
                recent_click_latency=self._recent_clicks.median(),
                recent_mask_latency=self._recent_masks.median(),
                silent=self._clock() - self._last_frame_at,
                dropped_rate=self._drop_rate.value(),
                error_rate=self._error_rate.value(),
                input_age=self._input_age,
                input_age_max=self._input_age_max,
                queue_depth=queue_depth,
                waiting=self._waiting,
                lost=self._lost,
                steps=steps,
                loss=loss,
                psnr=psnr,
            )

    def _add_drop(self) -> None:
        self._counts["dropped"] += 1
        self._drop_rate.add()


def percentile(samples: Iterable[float], percent: float) -> float:
    """Compute a percentile of samples; -1 without any."""
    values = np.fromiter(samples, np.float64)
    return float(np.percentile(values, percent)) if values.size else -1.0
