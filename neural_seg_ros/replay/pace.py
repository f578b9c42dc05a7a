"""A bag at so many times real time: frames that came while the fit was busy are dropped, as a live node drops them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from neural_seg_ros.annotations import is_number
from neural_seg_ros.errors import SourceError
from neural_seg_ros.replay.frames import BagFrame, Item


class Pace:
    """A clock that runs with the bag at ``rate`` times real time and with what a frame took; nobody ever sleeps.

    ``dropped`` counts the frames that were replaced by a newer one before anybody was free for them. Annotated frames
    are never dropped. Raises SourceError where ``rate`` is not above 0.
    """

    def __init__(self, rate: float, dropped: int = 0) -> None:
        if not is_number(rate) or rate <= 0:
            raise SourceError(f"rate: got {rate!r}, accepted: a number above 0")
        self._rate = rate
        self._first: int | None = None
        self._free_at = 0.0
        self.dropped = dropped

    def taken(self, items: Iterable[Item]) -> Iterator[Item]:
        """``items`` without the frames that are dropped. After a frame, ``took`` is to be called before the next."""
        waiting: BagFrame | None = None
        behind: list[Item] = []
        for item in items:
            if not isinstance(item, BagFrame):
                behind.append(item)
                continue
            if waiting is not None:
                if self._arrival(item) > self._free_at or waiting.annotations:
                    yield waiting
                else:
                    self.dropped += 1
            yield from behind
            waiting, behind = item, []
        if waiting is not None:
            yield waiting
        yield from behind

    def took(self, frame: BagFrame, seconds: float) -> None:
        """A frame was worked on for so many seconds, from when it came or when the one before it was done."""
        self._free_at = max(self._free_at, self._arrival(frame)) + seconds

    def _arrival(self, frame: BagFrame) -> float:
        """Seconds on the clock."""
        if self._first is None:
            self._first = frame.place.timestamp
        return (frame.place.timestamp - self._first) * 1e-9 / self._rate
