"""A pass over the frames of a bag, written to a journal at every checkpoint and continued from there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from neural_seg_ros.annotations import is_number
from neural_seg_ros.annotations.yaml_file import AnnotationFile
from neural_seg_ros.errors import SourceError
from neural_seg_ros.offline.bags.frames import (
    BagFrame,
    End,
    FramePosition,
    ImageTopic,
    Item,
    Undecodable,
    read_backwards,
    read_frames,
)
from neural_seg_ros.offline.prefetch import prefetch
from neural_seg_ros.offline.records import record_of
from neural_seg_ros.offline.replay.journal import Journal
from neural_seg_ros.offline.run import Step, run_frame
from neural_seg_ros.session import Session


class Pace:
    """A simulated clock: the bag plays at ``rate`` times real time, and each frame takes its measured seconds.

    ``dropped`` counts the frames that a newer one replaced while the session was busy. Annotated frames are never
    dropped. Nothing sleeps. Raises SourceError unless ``rate`` is above 0.
    """

    def __init__(self, rate: float, dropped: int = 0) -> None:
        if not is_number(rate) or rate <= 0:
            raise SourceError(f"rate: got {rate!r}, accepted: a number above 0")
        self._rate = rate
        self._first: int | None = None
        self._free_at = 0.0
        self.dropped = dropped

    def without_dropped(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield ``items`` without dropped frames. After a frame, call ``add_seconds`` before the next."""
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

    def add_seconds(self, frame: BagFrame, seconds: float) -> None:
        """Advance the clock by the seconds of a frame, from its arrival or from the end of the frame before."""
        self._free_at = max(self._free_at, self._arrival(frame)) + seconds

    def _arrival(self, frame: BagFrame) -> float:
        """Return the arrival of a frame in seconds on the clock."""
        if self._first is None:
            self._first = frame.place.timestamp
        return (frame.place.timestamp - self._first) * 1e-9 / self._rate


@dataclass(frozen=True)
class Pass:
    """The settings by which frames are labeled.

    checkpoint  seconds from one checkpoint to the next, 0: at every frame
    rate        factor to real time at which frames arrive; None: every frame waits for the one before it
    """

    journal: Journal
    device: str
    checkpoint: float
    rate: float | None = None
    on_annotated: Callable[[Session, int], None] | None = None


def forward(
    pass_: Pass, source: ImageTopic, annotations: AnnotationFile, first: Callable[[], Session]
) -> Iterator[Step[BagFrame]]:
    """Label the frames after those in the journal, in order; ``first`` makes the session of the first frame."""
    last = pass_.journal.last()
    read = partial(read_frames, source, annotations, None if last is None else last.place)
    return _label(pass_, read, first)


def backward(
    pass_: Pass, source: ImageTopic, places: Callable[[], Iterator[FramePosition]], pixels: int, anchor: Path
) -> Iterator[Step[BagFrame]]:
    """Label the frames at ``places``, later ones first, without those in the journal.

    anchor  session after the annotated frame that follows them
    pixels  of a frame
    """
    last = pass_.journal.last()
    left = places() if last is None else (place for place in places() if place.index < last.index)

    def read() -> Iterator[Item]:
        yield from read_backwards(source, left, pixels)
        yield End(None)

    return _label(pass_, read, lambda: Session.load(anchor, pass_.device))


def _label(pass_: Pass, read: Callable[[], Iterator[Item]], first: Callable[[], Session]) -> Iterator[Step[BagFrame]]:
    journal, state = pass_.journal, pass_.journal.state
    if state.ended:
        return
    path = journal.session()
    session = first() if path is None else Session.load(path, pass_.device)
    pace = None if pass_.rate is None else Pace(pass_.rate, state.dropped)
    chunk, since = journal.open_chunk(), time.monotonic()
    try:
        with closing(prefetch(read)) as items:
            for item in items if pace is None else pace.without_dropped(items):
                if isinstance(item, Undecodable):
                    state = replace(state, skipped=_counted(state.skipped, item.reason))
                    continue
                if isinstance(item, BagFrame):
                    step = run_frame(session, item, item.annotations)
                    chunk.add(step, record_of(step, session.classes))
                    if item.annotations and pass_.on_annotated is not None:
                        pass_.on_annotated(session, item.index)
                    if pace is not None:
                        pace.add_seconds(item, step.seconds)
                        state = replace(state, dropped=pace.dropped)
                    yield step
                else:
                    state = replace(state, ended=True, damage=item.damage, fit=session.status())
                # No checkpoint right after a skipped message: a resumed run would read and count it again.
                if state.ended or time.monotonic() - since >= pass_.checkpoint:
                    journal.commit(chunk, session, state)
                    chunk, since = journal.open_chunk(), time.monotonic()
    except BaseException as error:
        chunk.abandon(error)
        raise


def _counted(counts: dict[str, int], reason: str) -> dict[str, int]:
    return {**counts, reason: counts.get(reason, 0) + 1}
