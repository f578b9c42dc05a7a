"""Whether the segmenter still has the frozen frame; what is drawn waits for that, as it must not end up on another."""

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
        """How much of what was drawn waits for the answer."""
        return len(self._waiting)

    def ask(self, now: float) -> None:
        """A frame is frozen, and the segmenter asked for it at ``now`` seconds. What waited for another is dropped."""
        self._known = self.of_another = False
        self._until = now + self._patience
        self._waiting.clear()
        self._unconfirmed.clear()

    def ask_another(self, now: float) -> None:
        """Another segmenter is asked for the same frame at ``now`` seconds."""
        self.forget()
        self.of_another = True
        self._until = now + self._patience

    def alive(self) -> None:
        """The segmenter gives a sign of life: it has what was sent so far."""
        self._unconfirmed.clear()

    def forget(self) -> bool:
        """The segmenter is gone: what comes back may not have the frame. Gives whether it was known to have it."""
        known, self._known = self._known, False
        self._waiting[:0] = self._unconfirmed
        self._unconfirmed.clear()
        return known

    def draw(self, draw: Draw, now: float) -> tuple[list[Draw], bool]:
        """What may be sent now that something is drawn, and whether the segmenter is to be asked once more."""
        if self._known:
            self._unconfirmed.append(draw)
            return [draw], False
        self._waiting.append(draw)
        again = self._until == math.inf
        if again:
            self._until = now + self._patience
        return [], again

    def answered(self) -> list[Draw]:
        """The segmenter has the frame; what may be sent now."""
        self._known, self._until, self.of_another = True, math.inf, False
        waiting, self._waiting = self._waiting, []
        self._unconfirmed += waiting
        return waiting

    def given_up(self, now: float) -> int | None:
        """How much of what was drawn is dropped, once, when no answer came in time; None otherwise."""
        if now <= self._until:
            return None
        dropped = len(self._waiting)
        self._until = math.inf
        self._waiting.clear()
        return dropped
