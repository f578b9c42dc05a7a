"""The health of a live session: warnings and errors from its status."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from neural_seg_ros.live.statistics import RATE_WINDOW_SECONDS, LiveStatus
from neural_seg_ros.options import option, validate

_BYTES_PER_MEGABYTE = 2**20
_MS_PER_SECOND = 1e3


class Level(IntEnum):
    """A level of severity, as in diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class Problem:
    """A problem in a few words."""

    level: Level
    text: str


@dataclass(frozen=True)
class HealthConfig:
    """The limits beyond which a figure of the status is a warning or an error; 0 is never."""

    silent_warn: float = option(5.0, "seconds without a frame that give a warning; 0: never", low=0.0, high=86400.0)
    silent_error: float = option(30.0, "seconds without a frame that give an error; 0: never", low=0.0, high=86400.0)
    input_rate_warn: float = option(
        0.0, "input rate in Hz, over 5 s, below which there is a warning; 0: never", low=0.0, high=1000.0
    )
    input_rate_error: float = option(
        0.0, "input rate in Hz, over 5 s, below which there is an error; 0: never", low=0.0, high=1000.0
    )
    mask_latency_warn_ms: float = option(
        1000.0,
        "milliseconds from a frame to its mask, median over 30 s, above which there is a warning; 0: never",
        low=0.0,
        high=600_000.0,
    )
    mask_latency_error_ms: float = option(
        5000.0,
        "milliseconds from a frame to its mask, median over 30 s, above which there is an error; 0: never",
        low=0.0,
        high=600_000.0,
    )
    click_latency_warn_ms: float = option(
        3000.0,
        "milliseconds from an annotation to its mask, median over 30 s, above which there is a warning; 0: never",
        low=0.0,
        high=600_000.0,
    )
    click_latency_error_ms: float = option(
        10_000.0,
        "milliseconds from an annotation to its mask, median over 30 s, above which there is an error; 0: never",
        low=0.0,
        high=600_000.0,
    )
    # A camera faster than the masks is no fault: only the newest frame counts.
    dropped_warn: float = option(
        0.0, "fraction of dropped frames, over 5 s, above which there is a warning; 0: never", low=0.0, high=1.0
    )
    dropped_error: float = option(
        0.0, "fraction of dropped frames, over 5 s, above which there is an error; 0: never", low=0.0, high=1.0
    )
    errors_warn: float = option(
        0.1,
        "session errors per second, over 5 s, above which there is a warning; a single error counts 0.2; 0: never",
        low=0.0,
        high=1000.0,
    )
    errors_error: float = option(
        2.0,
        "session errors per second, over 5 s, above which there is an error; 0: never",
        low=0.0,
        high=1000.0,
    )
    memory_warn_mb: float = option(
        8192.0,
        "resident memory of the process in megabytes above which there is a warning; 0: never",
        low=0.0,
        high=1e6,
    )
    memory_error_mb: float = option(
        0.0, "resident memory of the process in megabytes above which there is an error; 0: never", low=0.0, high=1e6
    )

    def __post_init__(self) -> None:
        validate(self)


def find_problems(status: LiveStatus, limits: HealthConfig, memory: int, lock_step: bool) -> list[Problem]:
    """Find the problems of an enabled session, the worst first.

    memory    resident bytes of the process
    lock_step frames wait for each other; then rates, latencies and silence after the first frame are no problem
    """
    problems = [*_resource_problems(status, limits, memory)]
    if not lock_step or not status.frames_in:
        silence = f"no frames for {status.silent:.0f} s" if status.frames_in else "no frames yet"
        problems += _check(status.silent, limits.silent_warn, limits.silent_error, silence)
    if not lock_step:
        problems += [*_input_problems(status, limits), *_latency_problems(status, limits)]
    return sorted(problems, key=lambda problem: -problem.level)


def _input_problems(status: LiveStatus, limits: HealthConfig) -> Iterator[Problem]:
    # Before the first frame there is no rate yet.
    if status.fps_in or status.silent >= RATE_WINDOW_SECONDS:
        rate = f"input rate {status.fps_in:.2f} Hz"
        # Negated, as a low rate is the problem.
        yield from _check(-status.fps_in, -limits.input_rate_warn, -limits.input_rate_error, rate)
    if status.fps_in:
        share = min(1.0, status.dropped_rate / status.fps_in)
        yield from _check(share, limits.dropped_warn, limits.dropped_error, f"{share:.0%} of the frames dropped")


def _latency_problems(status: LiveStatus, limits: HealthConfig) -> Iterator[Problem]:
    mask, click = status.recent_mask_latency * _MS_PER_SECOND, status.recent_click_latency * _MS_PER_SECOND
    yield from _check(mask, limits.mask_latency_warn_ms, limits.mask_latency_error_ms, f"mask latency {mask:.0f} ms")
    yield from _check(
        click, limits.click_latency_warn_ms, limits.click_latency_error_ms, f"click latency {click:.0f} ms"
    )


def _resource_problems(status: LiveStatus, limits: HealthConfig, memory: int) -> Iterator[Problem]:
    errors = f"{status.error_rate:.1f} errors a second, the last: {status.last_error}"
    yield from _check(status.error_rate, limits.errors_warn, limits.errors_error, errors)
    megabytes = memory / _BYTES_PER_MEGABYTE
    yield from _check(megabytes, limits.memory_warn_mb, limits.memory_error_mb, f"memory {megabytes:.0f} MB")


def _check(value: float, warn: float, error: float, text: str) -> Iterator[Problem]:
    """Yield a problem if a value is above one of its limits; a limit of 0 is never exceeded."""
    if error and value > error:
        yield Problem(Level.ERROR, text)
    elif warn and value > warn:
        yield Problem(Level.WARN, text)
