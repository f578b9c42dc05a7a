"""The annotations of a session in order, and the states that undo and redo return to, within a bounded memory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from torch import Tensor

from neural_seg_ros.annotations.implied import FrameAnnotation


@dataclass(frozen=True)
class State:
    """Everything learnt, and which class each channel of the class head stands for."""

    engine: dict[str, Tensor]
    following: dict[str, Tensor]
    channels: tuple[int, ...]


class History:
    """Annotations made and taken back.

    placed    annotations, oldest first
    megabytes memory for states; the oldest for undo go first, then the farthest for redo
    """

    def __init__(self, megabytes: int) -> None:
        self.placed: list[FrameAnnotation] = []
        self._megabytes = megabytes
        # The states before the newest annotations, and what was taken back with the state it left behind.
        self._before: deque[State] = deque()
        self._undone: deque[tuple[FrameAnnotation, State]] = deque()

    def add(self, placed: FrameAnnotation, before: State) -> None:
        """A new annotation; what was taken back cannot be brought back any more."""
        self._undone.clear()
        self._push(placed, before)

    def undo(self, now: State) -> State | None:
        """Take the newest annotation back. Gives the state before it, or None where that was let go."""
        self._undone.append((self.placed.pop(), now))
        before = self._before.pop() if self._before else None
        self._trim()
        return before

    def can_redo(self) -> bool:
        """Whether anything that was taken back can be brought back."""
        return bool(self._undone)

    def redo(self, now: State) -> State:
        """Bring back what was taken last. Gives the state it had left behind."""
        placed, after = self._undone.pop()
        self._push(placed, now)
        return after

    def clear(self) -> None:
        """Forget all."""
        self.placed.clear()
        self.forget_states()

    def forget_states(self) -> None:
        """Keep the annotations alone: the states belong to another network or size."""
        self._before.clear()
        self._undone.clear()

    def resize(self, megabytes: int) -> None:
        """Change the memory."""
        self._megabytes = megabytes
        self._trim()

    def _push(self, placed: FrameAnnotation, before: State) -> None:
        self.placed.append(placed)
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
        states = [*self._before, *(state for _, state in self._undone)]
        # States of one frame share what was tracked to it.
        tensors = {id(tensor): tensor for state in states for tensor in (state.engine | state.following).values()}
        return sum(tensor.nbytes for tensor in tensors.values())
