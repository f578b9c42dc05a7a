"""The number of fit steps that fit into the time before a mask."""

from __future__ import annotations

from neural_seg_ros.live.step_budget import Budget


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def turn(budget: Budget, clock: Clock, *, before: float, step: float, answer: float, seconds: float = 0.1) -> float:
    """Return one turn with an endless fit; how long it took."""
    began = clock.now
    budget.begin()
    clock.now += before
    steps = budget.steps(seconds, due=1000)
    if steps:
        with budget.fitting(steps):
            clock.now += steps * step
    with budget.answering():
        clock.now += answer
    return clock.now - began


def test_after_a_turn_the_deadline_is_kept_and_used() -> None:
    clock = Clock()
    budget = Budget(clock)
    turn(budget, clock, before=0.02, step=0.01, answer=0.03)
    assert 0.09 < turn(budget, clock, before=0.02, step=0.01, answer=0.03) <= 0.1 + 1e-9


def test_a_machine_that_becomes_slower_is_followed() -> None:
    clock = Clock()
    budget = Budget(clock)
    for _ in range(5):
        turn(budget, clock, before=0.0, step=0.005, answer=0.01)
    waits = [turn(budget, clock, before=0.0, step=0.015, answer=0.03) for _ in range(10)]
    assert max(waits[5:]) <= 0.11


def test_the_fit_never_stands_still_and_makes_no_step_too_many() -> None:
    clock = Clock()
    budget = Budget(clock)
    turn(budget, clock, before=0.0, step=0.5, answer=0.5)
    budget.begin()
    # After some turns that have no time for a step there is one that makes it.
    assert [budget.steps(0.1, due=50) for _ in range(8)] == [0, 0, 0, 1, 0, 0, 0, 1]
    assert budget.steps(60.0, due=50) == 50
    assert budget.steps(60.0, due=2) == 2


def test_others_get_the_spare_time_and_more_now_and_then() -> None:
    clock = Clock()
    budget = Budget(clock)

    def spared(took: float) -> bool:
        budget.begin()
        clock.now += took
        return budget.has_spare_time(0.1)

    assert [spared(0.08) for _ in range(3)] == [True] * 3
    assert [spared(0.09) for _ in range(8)] == [False, False, False, True] * 2
    assert spared(0.05)
