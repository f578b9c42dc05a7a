"""The number of fit steps that fit into the time before the next mask."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Weight of the newest measurement in the moving averages of times.
NEWEST_WEIGHT = 0.3
# Iterations in a row that may have no time for a step, or for other threads, before one takes it all the same.
MAX_SKIPPED_ITERATIONS = 3
# Above this share of its time an iteration leaves none to other threads: their work delays the next iteration too.
MAX_USED_SHARE = 0.85


class StepBudget:
    """A measure of the time of steps and answers, which gives the fit the rest of an iteration.

    An iteration is the worker's work between two masks: commands, a frame, steps, an answer. The deadline is kept by
    making fewer steps. After MAX_SKIPPED_ITERATIONS without a step one is made all the same, so that the fit continues.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        # Moving averages in seconds; 0 until measured.
        self._step_seconds = 0.0
        self._answer_seconds = 0.0
        # Iterations in a row without a step, and without spare time.
        self._skipped = 0
        self._late = 0

    def begin(self) -> None:
        """Start an iteration."""
        self._began = self._clock()

    def affordable_steps(self, seconds: float, due: int) -> int:
        """Return how many of the ``due`` steps fit into an iteration of ``seconds``, after the answer's time."""
        steps = self.steps_within(self._began + seconds - self._clock() - self._answer_seconds)
        if steps < 1 and self._skipped < MAX_SKIPPED_ITERATIONS:
            self._skipped += 1
            return 0
        self._skipped = 0
        return min(due, max(1, steps))

    def has_spare_time(self, seconds: float) -> bool:
        """Return whether an iteration of ``seconds`` left time for other threads.

        True at least every MAX_SKIPPED_ITERATIONS + 1 iterations, so that they go on too.
        """
        late = self._clock() - self._began > MAX_USED_SHARE * seconds and self._late < MAX_SKIPPED_ITERATIONS
        self._late = self._late + 1 if late else 0
        return not late

    def steps_within(self, seconds: float) -> int:
        """Return how many steps take ``seconds``; 1 until a step was measured."""
        return max(0, int(seconds / self._step_seconds)) if self._step_seconds > 0 else 1

    @contextmanager
    def time_steps(self, steps: int) -> Iterator[None]:
        """Measure the time of ``steps`` steps; the device must have finished them at the end."""
        started = self._clock()
        yield
        self._step_seconds = _moving_average(self._step_seconds, (self._clock() - started) / steps)

    @contextmanager
    def time_answer(self) -> Iterator[None]:
        """Measure the time of an answer."""
        started = self._clock()
        yield
        self._answer_seconds = _moving_average(self._answer_seconds, self._clock() - started)


def _moving_average(before: float, newest: float) -> float:
    return newest if before == 0 else (1 - NEWEST_WEIGHT) * before + NEWEST_WEIGHT * newest
