"""A pass over the frames of a bag, written to a journal at every checkpoint and continued from there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from neural_seg_ros.annotation_file import AnnotationFile
from neural_seg_ros.replay.frames import (
    BagFrame,
    End,
    ImageTopic,
    Item,
    Place,
    Undecodable,
    read_backwards,
    read_frames,
)
from neural_seg_ros.replay.journal import Journal
from neural_seg_ros.replay.pace import Pace
from neural_seg_ros.replay.prefetch import prefetch
from neural_seg_ros.replay.record import record_of
from neural_seg_ros.replay.run import Step, run_frame
from neural_seg_ros.session import Session


@dataclass(frozen=True)
class Pass:
    """How frames are labelled.

    checkpoint  seconds from one checkpoint to the next, 0: at every frame
    rate        times real time at which frames arrive; None: every frame waits for the one before it
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
    pass_: Pass, source: ImageTopic, places: Callable[[], Iterator[Place]], pixels: int, anchor: Path
) -> Iterator[Step[BagFrame]]:
    """Label the frames at ``places``, later ones first, but for those in the journal.

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
            for item in items if pace is None else pace.taken(items):
                if isinstance(item, Undecodable):
                    state = replace(state, skipped=_counted(state.skipped, item.reason))
                    continue
                if isinstance(item, BagFrame):
                    step = run_frame(session, item, item.annotations)
                    chunk.add(step, record_of(step, session.classes))
                    if item.annotations and pass_.on_annotated is not None:
                        pass_.on_annotated(session, item.index)
                    if pace is not None:
                        pace.took(item, step.seconds)
                        state = replace(state, dropped=pace.dropped)
                    yield step
                else:
                    state = replace(state, ended=True, damage=item.damage, fit=session.status())
                # Never after a message that was skipped: it is read again after a checkpoint.
                if state.ended or time.monotonic() - since >= pass_.checkpoint:
                    journal.commit(chunk, session, state)
                    chunk, since = journal.open_chunk(), time.monotonic()
    except BaseException as error:
        chunk.abandon(error)
        raise


def _counted(counts: dict[str, int], reason: str) -> dict[str, int]:
    return {**counts, reason: counts.get(reason, 0) + 1}
