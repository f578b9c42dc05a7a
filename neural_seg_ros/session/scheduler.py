"""The calls by which a scheduler drives a session: steps in small portions, previews, due steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neural_seg_ros.session.result import Result
    from neural_seg_ros.session.session import Session


class Scheduler:
    """The calls by which a live worker spreads the work of ``Session.fit`` and ``Session.result`` over time.

    Reached as ``session.scheduler``. One thread at a time may call it and its session, except for ``train``.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def due(self) -> int:
        """The steps of the field among ``Session.steps_due``."""
        return self._session._fitting.due

    def slices(self) -> Iterator[None]:
        """Do what ``fit()`` does, yielding every few steps; a caller that stops early leaves the rest due."""
        return self._session._slices()

    def advance(self, steps: int) -> None:
        """Make up to ``steps`` of the field's due steps."""
        self._session._fit(min(steps, self.due), 0)

    def train(self, steps: int) -> int:
        """Make up to ``steps`` of the tracker's due steps; returns how many were made.

        The only call that another thread may make beside the others.
        """
        return self._session._fitting.tracker.train(steps)

    def synchronize(self) -> None:
        """Wait until the device has made all steps; on CUDA ``fit`` returns before."""
        fitting = self._session._fitting
        if fitting.begun:
            fitting.engine.synchronize()

    def preview(self) -> Result:
        """Return a result soon: on a frame that was not prepared, from a part of the ensemble.

        While ``better_available``, ``Session.result`` is better now, and the next preview once the frame is prepared.
        """
        return self._session._result(fast=True)

    @property
    def better_available(self) -> bool:
        """True if ``Session.result`` would be better than the last preview, without new annotations or steps."""
        answer = self._session._answer
        return answer is not None and answer.better_available

    @property
    def is_prepared(self) -> bool:
        """True if ``Session.prepare`` has nothing left to do for the current frame."""
        answer = self._session._answer
        return answer is None or answer.regions is None or answer.regions.is_prepared
