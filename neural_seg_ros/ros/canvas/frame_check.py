"""The check that the segmenter is alive and has the frozen frame; drawings wait for its answer."""

from __future__ import annotations

import math

from neural_seg_ros.ros.canvas.board import Draw


class FrameCheck:
    """The check of a frozen frame: it starts with the freeze and expires ``patience`` seconds later without an answer.

    Drawings that were sent after the segmenter's last status message may be lost. They wait again if the segmenter
    turns out to be gone. Sending one twice does no harm, because it replaces the drawing with its key.

    other_segmenter_asked  the segmenter that had the frame is gone, and the check was started with another one
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._confirmed = False
        self._deadline = math.inf
        self._waiting: list[Draw] = []
        self._unconfirmed: list[Draw] = []
        self.other_segmenter_asked = False

    @property
    def waiting(self) -> int:
        """The number of drawings that wait for the answer."""
        return len(self._waiting)

    def start(self, now: float) -> None:
        """Start the check of a frozen frame at ``now`` seconds; drop drawings that waited for another frame."""
        self._confirmed = self.other_segmenter_asked = False
        self._deadline = now + self._patience
        self._waiting.clear()
        self._unconfirmed.clear()

    def start_with_another(self, now: float) -> None:
        """Start the check of the same frame with another segmenter at ``now`` seconds."""
        self.lose_segmenter()
        self.other_segmenter_asked = True
        self._deadline = now + self._patience

    def confirm_sent(self) -> None:
        """Note a status message: the segmenter has received all drawings sent before it."""
        self._unconfirmed.clear()

    def lose_segmenter(self) -> bool:
        """Note that the segmenter is gone; a new one may lack the frame. Returns whether the old one had it."""
        confirmed, self._confirmed = self._confirmed, False
        self._waiting[:0] = self._unconfirmed
        self._unconfirmed.clear()
        return confirmed

    def add(self, draw: Draw, now: float) -> tuple[list[Draw], bool]:
        """Add a drawing; return the drawings to send now, and whether to request an answer once more."""
        if self._confirmed:
            self._unconfirmed.append(draw)
            return [draw], False
        self._waiting.append(draw)
        again = self._deadline == math.inf
        if again:
            self._deadline = now + self._patience
        return [], again

    def confirm_frame(self) -> list[Draw]:
        """Note that the segmenter has the frame; return the drawings to send now."""
        self._confirmed, self._deadline, self.other_segmenter_asked = True, math.inf, False
        waiting, self._waiting = self._waiting, []
        self._unconfirmed += waiting
        return waiting

    def expire(self, now: float) -> int | None:
        """Return the number of dropped drawings, once, when no answer came in time; None otherwise."""
        if now <= self._deadline:
            return None
        dropped = len(self._waiting)
        self._deadline = math.inf
        self._waiting.clear()
        return dropped


# Status messages come once a second. A late one costs a check, and no annotation.
_SILENT_SECONDS = 3.0


class Liveness:
    """The status messages of a segmenter. One that never sent any counts as alive: it may be of an older version."""

    def __init__(self) -> None:
        self._heard: float | None = None
        self._began: float | None = None

    def note_status(self, began: float | None, now: float) -> bool:
        """Note a status message at ``now`` seconds; return whether it is of another session than the last one.

        began  time at which its session began, None while it has none
        """
        another = None not in (began, self._began) and began != self._began
        self._heard, self._began = now, self._began if began is None else began
        return another

    def is_silent(self, now: float) -> bool:
        """Return whether status messages came before, but none recently."""
        return self._heard is not None and now - self._heard > _SILENT_SECONDS
