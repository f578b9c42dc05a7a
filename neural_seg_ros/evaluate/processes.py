"""Independent tasks in worker processes of one thread each, so that times compare and do not depend on the jobs."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import cv2

T = TypeVar("T")
R = TypeVar("R")

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def each(function: Callable[[T], R], tasks: Sequence[T], jobs: int) -> Iterator[R]:
    """``function`` of every task, in their order, by ``jobs`` processes; both must be picklable.

    The first error of a task is raised and the tasks not yet begun are dropped.
    """
    # A fork would inherit the locks of torch's and OpenCV's threads.
    context = multiprocessing.get_context("spawn")
    with _one_thread(), ProcessPoolExecutor(min(jobs, len(tasks)) or 1, context, cv2.setNumThreads, (1,)) as pool:
        yield from pool.map(function, tasks)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes started inside see one thread; the libraries read these variables once, when they are loaded."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
