"""The backward pass: from each annotated frame to halfway to the one before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from neural_seg_ros.offline.bags.frames import FramePosition
from neural_seg_ros.offline.outputs.mask_bag import Labeled
from neural_seg_ros.offline.records import Record
from neural_seg_ros.offline.replay.journal import Journal


@dataclass(frozen=True)
class Stretch:
    """The frames before the annotated frame ``anchor``, after the annotated frame before it, if there is one."""

    previous_anchor: Record | None
    anchor: Record

    def places(self, forward: Journal) -> Iterator[FramePosition]:
        """Yield the frames that are nearer in time to ``anchor``, the latest first."""
        for record in _reversed(forward, self.anchor.index):
            previous = self.previous_anchor
            if previous is not None and record.stamp - previous.stamp <= self.anchor.stamp - record.stamp:
                return
            yield record.place


def stretches_of(forward: Journal) -> list[Stretch]:
    """List the stretches before annotated frames, in the order of time, except directly after another one."""
    stretches = []
    previous_anchor, previous = None, None
    for record in forward.records():
        if record.annotations:
            if previous is not None and previous is not previous_anchor:
                stretches.append(Stretch(previous_anchor, record))
            previous_anchor = record
        previous = record
    return stretches


def merged(forward: Journal, backwards: list[Journal]) -> Iterator[Labeled]:
    """Merge the frames in the order of time, each from its backward pass, or else from the forward one."""
    # The last frame of a backward pass is its first one in time.
    pending = [(last.index, journal) for journal in backwards if (last := journal.last()) is not None]
    covered = -1
    for chunk in range(forward.count):
        for record, masks in zip(forward.records_of(chunk), forward.masks_of(chunk), strict=True):
            if pending and record.index == pending[0][0]:
                for labeled in _in_time(pending.pop(0)[1]):
                    covered = labeled.record.index
                    yield labeled
            if record.index > covered:
                yield Labeled(record, masks, backward=False)


def _in_time(journal: Journal) -> Iterator[Labeled]:
    for chunk in reversed(range(journal.count)):
        for record, masks in zip(reversed(journal.records_of(chunk)), journal.masks_of(chunk), strict=True):
            yield Labeled(record, masks, backward=True)


def _reversed(journal: Journal, index: int) -> Iterator[Record]:
    """Yield the records before ``index``, the latest first."""
    for chunk in reversed(range(journal.count)):
        for record in reversed(journal.records_of(chunk)):
            if record.index < index:
                yield record
