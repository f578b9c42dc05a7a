"""The undo history of a session: its annotations in order, and snapshots within a bounded memory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from torch import Tensor

from neural_seg_ros.annotations.implied import FrameAnnotation


@dataclass(frozen=True)
class Snapshot:
    """All that a session has learned.

    field, tracker  named tensors
    channels        class id of each channel
    """

    field: dict[str, Tensor]
    tracker: dict[str, Tensor]
    channels: tuple[int, ...]


class History:
    """The annotations of a session, with snapshots to undo and redo them.

    annotations  oldest first
    """

    def __init__(self, megabytes: int) -> None:
        """Start empty; ``megabytes`` bounds the snapshots: the oldest for undo go first, then the last for redo."""
        self.annotations: list[FrameAnnotation] = []
        self._megabytes = megabytes
        self._next_id = 0
        # Snapshots from before the newest annotations; undone annotations with the snapshot from before their undo.
        self._before: deque[Snapshot] = deque()
        self._undone: deque[tuple[FrameAnnotation, Snapshot]] = deque()

    def new_id(self) -> int:
        """Return the next running number of an annotation."""
        self._next_id += 1
        return self._next_id

    def add(self, annotation: FrameAnnotation, before: Snapshot) -> None:
        """Append an annotation; undone ones cannot be redone any more."""
        self._undone.clear()
        self._push(annotation, before)

    def undo(self, now: Snapshot) -> Snapshot | None:
        """Remove the newest annotation; returns the snapshot from before it, or None where the bound discarded it."""
        self._undone.append((self.annotations.pop(), now))
        before = self._before.pop() if self._before else None
        self._trim()
        return before

    def can_redo(self) -> bool:
        """Return whether an annotation can be redone."""
        return bool(self._undone)

    def redo(self, now: Snapshot) -> Snapshot:
        """Append the annotation that was undone last; returns the snapshot from before its undo."""
        annotation, after = self._undone.pop()
        self._push(annotation, now)
        return after

    def clear(self) -> None:
        """Forget everything."""
        self.annotations.clear()
        self.forget_snapshots()

    def forget_snapshots(self) -> None:
        """Keep the annotations only: the network or the size has changed since the snapshots."""
        self._before.clear()
        self._undone.clear()

    def resize(self, megabytes: int) -> None:
        """Change the bound."""
        self._megabytes = megabytes
        self._trim()

    def _push(self, annotation: FrameAnnotation, before: Snapshot) -> None:
        self.annotations.append(annotation)
        self._before.append(before)
        self._trim()

    def _trim(self) -> None:
        while self._bytes > self._megabytes * 2**20:
            if self._before:
                self._before.popleft()
            else:
                self._undone.popleft()

    @property
    def _bytes(self) -> int:
        snapshots = [*self._before, *(snapshot for _, snapshot in self._undone)]
        # Snapshots of one frame share the tracker's tensors, which are counted once.
        tensors = {id(tensor): tensor for each in snapshots for tensor in (each.field | each.tracker).values()}
        return sum(tensor.nbytes for tensor in tensors.values())
