"""Threads that compute beside the one that answers."""

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
