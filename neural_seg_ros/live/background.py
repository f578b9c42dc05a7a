"""Threads that compute beside the one that answers."""

from __future__ import annotations

import os
import sys
import threading

# Beside whoever answers, they have the time that is left.
NICE = 5


def give_way() -> None:
    """Have this thread, and those it starts, come after others. Only Linux knows threads of different priority."""
    if sys.platform == "linux":
        # There a thread's number is a process's, and only its own time is meant.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
