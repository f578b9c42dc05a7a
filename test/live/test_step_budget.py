"""The number of fit steps that fit into the time before a mask."""

from __future__ import annotations

from live_rig import Clock

from neural_seg_ros.live.step_budget import StepBudget


def iterate(budget: StepBudget, clock: Clock, *, before: float, step: float, answer: float) -> float:
    """Run one iteration with an endless fit and return its seconds."""
    began = clock.now
    budget.begin()
    clock.now += before
    steps = budget.affordable_steps(0.1, due=1000)
    if steps:
        with budget.time_steps(steps):
            clock.now += steps * step
    with budget.time_answer():
        clock.now += answer
    return clock.now - began


def test_the_deadline_is_kept_and_used() -> None:
    clock = Clock()
    budget = StepBudget(clock)
    iterate(budget, clock, before=0.02, step=0.01, answer=0.03)
    assert 0.09 < iterate(budget, clock, before=0.02, step=0.01, answer=0.03) <= 0.1 + 1e-9


def test_the_budget_follows_a_slower_machine() -> None:
    clock = Clock()
    budget = StepBudget(clock)
    for _ in range(5):
        iterate(budget, clock, before=0.0, step=0.005, answer=0.01)
    waits = [iterate(budget, clock, before=0.0, step=0.015, answer=0.03) for _ in range(10)]
    assert max(waits[5:]) <= 0.11


def test_the_fit_never_stalls_and_never_exceeds_what_is_due() -> None:
    clock = Clock()
    budget = StepBudget(clock)
    iterate(budget, clock, before=0.0, step=0.5, answer=0.5)
    budget.begin()
    # After some iterations without time for a step, one makes it.
    assert [budget.affordable_steps(0.1, due=50) for _ in range(8)] == [0, 0, 0, 1, 0, 0, 0, 1]
    assert budget.affordable_steps(60.0, due=50) == 50
    assert budget.affordable_steps(60.0, due=2) == 2


def test_others_get_the_spare_time_and_more_at_times() -> None:
    clock = Clock()
    budget = StepBudget(clock)

    def spare_time_after(took: float) -> bool:
        budget.begin()
        clock.now += took
        return budget.has_spare_time(0.1)

    assert [spare_time_after(0.08) for _ in range(3)] == [True] * 3
    assert [spare_time_after(0.09) for _ in range(8)] == [False, False, False, True] * 2
    assert spare_time_after(0.05)
