"""The health of a live session: warnings, errors, and their start and end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from live_rig import Clock

from neural_seg_ros.live import HealthConfig, LiveStatus
from neural_seg_ros.live.health import Level, Problem, find_problems
from neural_seg_ros.live.statistics import Counters
from neural_seg_ros.options import to_flat

MEGA = 2**20
# Figures, the name of their limits, a limit that they exceed, one that they do not, and the text of the problem.
OVER = [
    ({"silent": 6.0, "fps_in": 0.0}, "silent_{}", 5.0, 7.0, "no frames for 6 s"),
    ({"silent": 6.0, "fps_in": 0.0, "frames_in": 0}, "silent_{}", 5.0, 7.0, "no frames yet"),
    ({"fps_in": 4.0}, "input_rate_{}", 5.0, 3.0, "input rate 4.00 Hz"),
    ({"fps_in": 0.0, "silent": 9.0}, "input_rate_{}", 5.0, 0.0, "input rate 0.00 Hz"),
    ({"recent_mask_latency": 0.6}, "mask_latency_{}_ms", 500.0, 700.0, "mask latency 600 ms"),
    ({"recent_click_latency": 0.6}, "click_latency_{}_ms", 500.0, 700.0, "click latency 600 ms"),
    ({"fps_in": 10.0, "dropped_rate": 6.0}, "dropped_{}", 0.5, 0.7, "60% of the frames dropped"),
    (
        {"error_rate": 0.6, "last_error": "ImageError: encoding"},
        "errors_{}",
        0.5,
        0.7,
        "0.6 errors a second, the last: ImageError: encoding",
    ),
]
NEVER = dict.fromkeys(to_flat(HealthConfig()), 0.0)


def status(**figures: Any) -> LiveStatus:
    """Return the status of a healthy session at 15 Hz, with the given figures."""
    healthy = replace(Counters().snapshot(True, 0), frames_in=100, fps_in=15.0, silent=0.05)
    return replace(healthy, **figures)


def problems(figures: LiveStatus, limits: HealthConfig, memory: int = 0, lock_step: bool = False) -> list[Problem]:
    return find_problems(figures, limits, memory, lock_step)


@pytest.mark.parametrize(("figures", "name", "exceeded", "not_exceeded", "text"), OVER)
def test_over_a_limit_is_a_warning_or_an_error_and_0_is_never(
    figures: dict[str, Any], name: str, exceeded: float, not_exceeded: float, text: str
) -> None:
    def at_limits(warn: float, error: float) -> list[Problem]:
        limits = HealthConfig(**{**NEVER, name.format("warn"): warn, name.format("error"): error})
        return problems(status(**figures), limits)

    assert at_limits(exceeded, not_exceeded) == [Problem(Level.WARN, text)]
    assert at_limits(exceeded, 0.0) == [Problem(Level.WARN, text)]
    assert at_limits(exceeded, exceeded) == [Problem(Level.ERROR, text)]
    assert at_limits(0.0, exceeded) == [Problem(Level.ERROR, text)]
    assert at_limits(not_exceeded, not_exceeded) == at_limits(0.0, 0.0) == []


def test_memory_over_a_limit() -> None:
    limits = HealthConfig(**{**NEVER, "memory_warn_mb": 100.0, "memory_error_mb": 200.0})
    assert problems(status(), limits, 100 * MEGA) == []
    assert problems(status(), limits, 150 * MEGA) == [Problem(Level.WARN, "memory 150 MB")]
    assert problems(status(), limits, 250 * MEGA) == [Problem(Level.ERROR, "memory 250 MB")]


def test_the_worst_comes_first() -> None:
    limits = HealthConfig(silent_error=5.0, memory_warn_mb=100.0)
    levels = [problem.level for problem in problems(status(silent=6.0, fps_in=0.0), limits, 150 * MEGA)]
    assert levels == [Level.ERROR, Level.WARN]


def test_the_load_of_two_cores_is_no_problem() -> None:
    """The figures of the five-minute soak in docs/lab/latency.md, at 30 Hz with two masks in three dropped."""
    busy = status(fps_in=30.0, dropped_rate=25.0, recent_mask_latency=0.37, recent_click_latency=1.04, error_rate=0.0)
    assert problems(busy, HealthConfig(), 617 * MEGA) == []


def test_in_lock_step_only_the_first_frame_is_waited_for() -> None:
    limits = HealthConfig(input_rate_warn=10.0)
    slow = status(fps_in=0.1, silent=60.0, recent_mask_latency=60.0, recent_click_latency=60.0, dropped_rate=0.1)
    assert problems(slow, limits, lock_step=True) == []
    assert problems(status(frames_in=0, fps_in=0.0, silent=6.0), limits, lock_step=True) == [
        Problem(Level.WARN, "no frames yet")
    ]


def test_silence_begins_with_listening_and_ends_with_a_frame() -> None:
    clock = Clock()
    counters = Counters(clock)
    clock.now += 50
    counters.start_listening()
    clock.now += 2
    assert counters.snapshot(True, 0).silent == 2
    counters.add_frame(False)
    clock.now += 1
    status = counters.snapshot(True, 0)
    assert (status.silent, status.fps_in) == (1, 1 / 3)


def test_slowness_and_errors_are_forgotten() -> None:
    clock = Clock()
    counters = Counters(clock)
    counters.add_mask([3.0], 2.0)
    counters.add_error("no")
    counters.add_frame(True)
    clock.now += 1
    now = counters.snapshot(True, 0)
    assert (now.recent_click_latency, now.recent_mask_latency) == (3.0, 2.0)
    assert (now.error_rate, now.dropped_rate) == (1.0, 1.0)
    clock.now += 31
    later = counters.snapshot(True, 0)
    assert (later.recent_click_latency, later.recent_mask_latency) == (-1.0, -1.0)
    assert (later.error_rate, later.dropped_rate) == (0.0, 0.0)
    assert (later.click_latency[0], later.mask_latency[0], later.errors, later.dropped) == (3.0, 2.0, 1, 1)
