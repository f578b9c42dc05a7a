"""The liveness of the segmenter's session, from its status messages.

A process that is killed stays in the graph, services and all, until its lease ends (20 s with Fast DDS), and one that
is started in its place comes before that. So signs of life are listened to, each of which says when its session began.
"""

from __future__ import annotations

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
