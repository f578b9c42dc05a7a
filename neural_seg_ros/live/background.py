"""Threads beside the worker: their priority, their share of the cores, and the trainer."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

# Niceness of background threads: they get the time that the worker leaves.
BACKGROUND_NICENESS = 5
_thread_count_lock = threading.Lock()


def lower_priority() -> None:
    """Lower the priority of this thread and of those it starts; only Linux has priorities of threads."""
    if sys.platform == "linux":
        # On Linux a thread id is accepted as a process id and sets the niceness of that thread only.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BACKGROUND_NICENESS)


def set_thread_count(threads: int) -> None:
    """Let torch compute with ``threads`` threads where this thread calls it, and nowhere else.

    ``torch.set_num_threads`` alone also changes the default of threads that start later. Sums of floats depend on the
    number of threads, so the setting of one worker must not reach the session of another.
    """
    # The import takes seconds, which importers of this module may not have.
    import torch

    with _thread_count_lock:
        # Without this call, a thread new to torch would get the default at its first computation.
        torch.get_num_threads()
        default: list[int] = []
        _run_in_new_thread(lambda: default.append(torch.get_num_threads()))
        torch.set_num_threads(threads)
        _run_in_new_thread(lambda: torch.set_num_threads(default[0]))


def _run_in_new_thread(call: Callable[[], None]) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


class Trainer:
    """A thread that makes due steps between ``resume`` and ``pause``."""

    def __init__(self, step: Callable[[], int], failed: Callable[[Exception], None]) -> None:
        """Start paused, and share this thread's cores with the trainer until ``close``.

        step    makes one step and returns 1, or 0 if none is due
        failed  called with the exception of a step; the trainer pauses then
        """
        self._step, self._failed = step, failed
        # The import takes seconds, which importers of this module may not have.
        import torch

        with _thread_count_lock:  # meanwhile another trainer may have changed the default, which a new thread would get
            self._threads = torch.get_num_threads()
        self._half = max(1, self._threads // 2)
        set_thread_count(self._half)
        self._running = threading.Event()
        self._resumed_lock = threading.Lock()
        self._resumed = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="neural_seg_trainer")
        self._thread.start()

    def resume(self) -> None:
        """Make the steps that are due; steps that become due later need another call."""
        with self._resumed_lock:
            self._resumed += 1
            self._running.set()

    def pause(self) -> None:
        """Make no more steps for now; one may still be in flight."""
        self._running.clear()

    def close(self) -> None:
        """Stop after the step in flight; to be called by the thread that made the trainer."""
        self._closed = True
        self.resume()
        self._thread.join()
        set_thread_count(self._threads)

    def _run(self) -> None:
        lower_priority()
        set_thread_count(self._half)
        while self._running.wait() and not self._closed:
            resumed = self._resumed
            try:
                made = self._step()
            except Exception as error:  # retried at the next ``resume``
                made = 0
                self._failed(error)
            if not made:
                with self._resumed_lock:
                    # A call of ``resume`` or ``close`` since the step began is for the next round.
                    if resumed == self._resumed:
                        self._running.clear()
