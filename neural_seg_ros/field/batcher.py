"""Steps of several engines made together, as inference servers batch the requests that wait for them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from neural_seg_ros.errors import ConfigError
from neural_seg_ros.field.steps import STEPS_PER_REPLAY, Step, Steps, make_steps

# Sets of engines whose captured steps are cached; the least recently used are dropped.
MAX_CACHED_SETS = 8


class Batcher:
    """A maker of steps for several engines together, in its own threads, where their fields are of one kind.

        batcher = Batcher()
        sessions = [Session(config, make_steps=batcher.join) for _ in cameras]  # each driven by its own thread

    Engines own all that they learn, and an engine that requests no step is not touched. By the order of sums, the
    result of an engine depends on the number of fields in its batch, but not on which fields they are. One of the
    waiting threads makes a round of steps for all of them; later requests are in the next round. A round is one step,
    on CUDA as many as one replay. An error of a batch is raised in all of its threads.

    steps_made  {fields in a batch: steps made by it}
    """

    def __init__(self, wait_for: int = 1) -> None:
        """Start the threads; a round begins when ``wait_for`` engines wait.

        With more than 1, batches do not depend on the threads' timing, and an engine that needs no more steps must
        ``leave``.

        Raises ConfigError.
        """
        if wait_for < 1:
            raise ConfigError(f"wait_for: got {wait_for}, accepted: at least 1")
        self.steps_made: Counter[int] = Counter()
        self._wait_for = wait_for
        self._turn = threading.Condition()
        self._waiting: list[_Request] = []
        self._led = False
        self._members = 0
        self._sets: dict[tuple[int, ...], Steps] = {}

    def join(self, device: torch.device) -> Steps:
        """Return the steps of one engine, made here: for ``Session(make_steps=...)`` and ``Engine(make_steps=...)``."""
        with self._turn:
            self._members += 1
            return _Member(self, self._members, device)

    def join_where_it_pays(self, device: torch.device) -> Steps:
        """Act as ``join`` on CUDA; on a CPU an engine makes its own steps.

        On a CPU the threads are faster when each makes its own steps on its own core (docs/lab/cameras.md).
        """
        return self.join(device) if device.type == "cuda" else make_steps(device)

    def leave(self) -> None:
        """Wait for one engine fewer, because it is done or its thread has failed."""
        with self._turn:
            self._wait_for = max(1, self._wait_for - 1)
            self._turn.notify_all()

    def run(self, member: int, device: torch.device, step: Step, n: int) -> None:
        """Make ``n`` steps of a member with those of others. Raises the error of its batch."""
        if n < 1:
            return
        request = _Request(member, device, step, n)
        with self._turn:
            self._waiting.append(request)
            self._turn.notify_all()
            try:
                while request.left:
                    if self._led or len(self._waiting) < self._wait_for:
                        self._turn.wait()
                    else:
                        self._lead()
            finally:
                if request in self._waiting:  # interrupted: another has to lead
                    self._waiting.remove(request)
                    self._turn.notify_all()
        if request.error is not None:
            raise request.error

    def forget(self, member: int) -> None:
        """Drop the captured steps of all batches with this member."""
        with self._turn:
            for numbers in [numbers for numbers in self._sets if member in numbers]:
                self._sets.pop(numbers).reset()

    def _lead(self) -> None:
        """Make a round for all waiting requests. The lock is released meanwhile, so that others can be added."""
        self._led = True
        batches = [(batch, self._steps_of(batch)) for batch in _batches(self._waiting)]
        self._turn.release()
        try:
            for batch, steps in batches:
                self._make(batch, steps)
        finally:
            self._turn.acquire()
            self._led = False
            left = [request for request in self._waiting if request.left]
            if len(left) < len(self._waiting):  # otherwise no other thread has to wake up: this one goes on
                self._turn.notify_all()
            self._waiting = left

    def _make(self, batch: list[_Request], steps: Steps) -> None:
        device = batch[0].device
        cuda = device.type == "cuda"
        n = min(STEPS_PER_REPLAY if cuda else 1, *(request.left for request in batch))
        try:
            steps.run(Step(tuple(field for request in batch for field in request.step.fields)), n)
            if cuda:
                # Requests that arrive while the device works on this round belong to the next one.
                torch.cuda.current_stream(device).synchronize()
        except Exception as error:  # all threads of the batch get it
            for request in batch:
                request.error, request.left = error, 0
        else:
            self.steps_made[len(batch)] += n
            for request in batch:
                request.left -= n

    def _steps_of(self, batch: list[_Request]) -> Steps:
        numbers = tuple(request.member for request in batch)
        steps = self._sets.pop(numbers, None) or make_steps(batch[0].device)
        self._sets[numbers] = steps
        while len(self._sets) > MAX_CACHED_SETS:
            self._sets.pop(next(iter(self._sets))).reset()
        return steps


@dataclass(eq=False)
class _Request:
    """The steps that a member waits for: the number left, and the error if they cannot be made."""

    member: int
    device: torch.device
    step: Step
    left: int
    error: Exception | None = None


class _Member:
    """One engine's way to make steps in a batch."""

    def __init__(self, batcher: Batcher, number: int, device: torch.device) -> None:
        self._batcher = batcher
        self._number = number
        self._device = device

    def run(self, step: Step, n: int) -> None:
        """Make ``n`` steps, together with those of other members."""
        self._batcher.run(self._number, self._device, step, n)

    def reset(self) -> None:
        """Forget captured steps."""
        self._batcher.forget(self._number)


def _batches(requests: Iterable[_Request]) -> list[list[_Request]]:
    """Group requests whose fields are of one kind, in an order that does not depend on arrival."""
    kinds: dict[object, list[_Request]] = {}
    for request in sorted(requests, key=lambda request: request.member):
        kinds.setdefault(request.step.fields[0].kind, []).append(request)
    return list(kinds.values())
