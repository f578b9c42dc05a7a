"""The check that the segmenter is alive and has the frozen frame; drawings wait for its answer."""

from __future__ import annotations

import math

from neural_seg_ros.ros.canvas.board import Draw


class FrameCheck:
    """Asked when a frame is frozen, answered by any result of that frame, given up after ``patience`` seconds.

    What was sent since the segmenter's last sign of life may have met none: it waits again where the segmenter turns
    out to be gone. Sent twice it does no harm, as it replaces what has its key.

    of_another  the segmenter that had the frame is gone, and another is asked for it
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._known = False
        self._until = math.inf
        self._waiting: list[Draw] = []
        self._unconfirmed: list[Draw] = []
        self.of_another = False

    @property
    def waiting(self) -> int:
        """The number of drawings that wait for the answer."""
        return len(self._waiting)

    def ask(self, now: float) -> None:
        """Start the check of a frozen frame at ``now`` seconds; drawings that waited for another are dropped."""
        self._known = self.of_another = False
        self._until = now + self._patience
        self._waiting.clear()
        self._unconfirmed.clear()

    def ask_another(self, now: float) -> None:
        """Start the check of the same frame with another segmenter at ``now`` seconds."""
        self.forget()
        self.of_another = True
        self._until = now + self._patience

    def alive(self) -> None:
        """Note a sign of life of the segmenter: it has received all that was sent so far."""
        self._unconfirmed.clear()

    def forget(self) -> bool:
        """Note that the segmenter is gone; a new one may lack the frame. Returns whether the old one had it."""
        known, self._known = self._known, False
        self._waiting[:0] = self._unconfirmed
        self._unconfirmed.clear()
        return known

    def draw(self, draw: Draw, now: float) -> tuple[list[Draw], bool]:
        """Add a drawing; returns the drawings that may be sent now, and whether to ask once more."""
        if self._known:
            self._unconfirmed.append(draw)
            return [draw], False
        self._waiting.append(draw)
        again = self._until == math.inf
        if again:
            self._until = now + self._patience
        return [], again

    def answered(self) -> list[Draw]:
        """Return the segmenter has the frame; what may be sent now."""
        self._known, self._until, self.of_another = True, math.inf, False
        waiting, self._waiting = self._waiting, []
        self._unconfirmed += waiting
        return waiting

    def given_up(self, now: float) -> int | None:
        """Return the number of dropped drawings, once, when no answer came in time; None otherwise."""
        if now <= self._until:
            return None
        dropped = len(self._waiting)
        self._until = math.inf
        self._waiting.clear()
        return dropped


# Signs come once a second. A late one costs a question more, no annotation.
_SILENCE = 3.0


class Liveness:
    """The signs of life of a segmenter. One that gives none is taken to live: it may be of an older version."""

    def __init__(self) -> None:
        self._heard: float | None = None
        self._began: float | None = None

    def beat(self, began: float | None, now: float) -> bool:
        """Note a status message at ``now`` seconds; returns whether it is of another session than the last.

        began  when its session began, None while it has none
        """
        another = None not in (began, self._began) and began != self._began
        self._heard, self._began = now, self._began if began is None else began
        return another

    def silent(self, now: float) -> bool:
        """Return whether signs have come, and none of late."""
        return self._heard is not None and now - self._heard > _SILENCE
