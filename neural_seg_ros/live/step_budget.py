"""The number of fit steps that fit into the time before the next mask."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# How much the newest measurement counts against those before it.
NEWEST = 0.3
# While there is no time for it the fit rests, but not for more than so many turns.
REST = 3
# A turn that has taken this share of its time leaves none to others: what they have begun goes on in the next one.
FULL = 0.85


class Budget:
    """A measure of the time of steps and answers, which gives the fit the rest of an iteration.

    A turn is what the worker does between two masks: commands, a frame, steps, an answer. A deadline is kept by making
    fewer steps, though one after REST turns without any: the fit must not stand still.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._step = 0.0
        self._answer = 0.0
        self._rested = 0
        self._late = 0

    def begin(self) -> None:
        """Start an iteration."""
        self._began = self._clock()

    def steps(self, seconds: float, due: int) -> int:
        """Return how many of the ``due`` steps fit into an iteration of ``seconds``, after the answer's time."""
        steps = self.within(self._began + seconds - self._clock() - self._answer)
        if steps < 1 and self._rested < REST:
            self._rested += 1
            return 0
        self._rested = 0
        return min(due, max(1, steps))

    def has_spare_time(self, seconds: float) -> bool:
        """Return whether an iteration of ``seconds`` left time for others, and at least every REST iterations."""
        late = self._clock() - self._began > FULL * seconds and self._late < REST
        self._late = self._late + 1 if late else 0
        return not late

    def within(self, seconds: float) -> int:
        """Return how many steps take so long; one while that is unknown."""
        return max(0, int(seconds / self._step)) if self._step > 0 else 1

    @contextmanager
    def fitting(self, steps: int) -> Iterator[None]:
        """Time so many steps, to their end on the device."""
        started = self._clock()
        yield
        self._step = _smoothed(self._step, (self._clock() - started) / steps)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Time an answer."""
        started = self._clock()
        yield
        self._answer = _smoothed(self._answer, self._clock() - started)


def _smoothed(before: float, newest: float) -> float:
    return newest if before == 0 else (1 - NEWEST) * before + NEWEST * newest
