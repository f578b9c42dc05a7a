"""Threads beside the worker: their priority, their share of the cores, and the trainer."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

# Beside whoever answers, they have the time that is left.
NICE = 5
_one_at_a_time = threading.Lock()


def give_way() -> None:
    """Have this thread, and those it starts, come after others. Only Linux knows threads of different priority."""
    if sys.platform == "linux":
        # There a thread's number is a process's, and only its own time is meant.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def compute_with(threads: int) -> None:
    """Have torch compute with so many threads where this thread calls it, and nowhere else.

    ``torch.set_num_threads`` alone also changes what threads that come later begin with. Sums of floats depend on the
    number of threads, so what one worker needs must not reach the session of another.
    """
    # It takes seconds, which the worker has and whoever imports this may not have.
    import torch

    with _one_at_a_time:
        # A thread that torch does not know yet would begin with the others' number at its first computation.
        torch.get_num_threads()
        others: list[int] = []
        _in_a_new_thread(lambda: others.append(torch.get_num_threads()))
        torch.set_num_threads(threads)
        _in_a_new_thread(lambda: torch.set_num_threads(others[0]))


def _in_a_new_thread(call: Callable[[], None]) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


class Trainer:
    """A thread that makes due steps between ``go`` and ``rest``."""

    def __init__(self, step: Callable[[], int], failed: Callable[[Exception], None]) -> None:
        """step: makes one and returns 1, or 0 where none is due; failed: told what it raised, whereupon it rests."""
        self._step, self._failed = step, failed
        # It takes seconds, which the worker has and whoever imports this may not have.
        import torch

        # Until it is closed, the thread that made it and its own compute side by side.
        self._threads = torch.get_num_threads()
        self._half = max(1, self._threads // 2)
        compute_with(self._half)
        self._going = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="neural_seg_trainer")
        self._thread.start()

    def go(self) -> None:
        """Make the steps that are due. Those that become due later want another call."""
        self._going.set()

    def rest(self) -> None:
        """Make no more steps for now; one may still be under way."""
        self._going.clear()

    def close(self) -> None:
        """End, after the step that is under way; for the thread that made it."""
        self._closed = True
        self._going.set()
        self._thread.join()
        compute_with(self._threads)

    def _run(self) -> None:
        give_way()
        compute_with(self._half)
        while self._going.wait() and not self._closed:
            try:
                made = self._step()
            except Exception as error:  # what failed is tried again when there is something new
                made = 0
                self._failed(error)
            if not made:
                self._going.clear()
