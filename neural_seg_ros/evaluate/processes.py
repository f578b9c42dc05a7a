"""Independent tasks in worker processes of one thread each, so that times compare and do not depend on the jobs."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import cv2

from neural_seg_ros.jobs import THREAD_VARIABLES

T = TypeVar("T")
R = TypeVar("R")


def each(function: Callable[[T], R], tasks: Sequence[T], jobs: int) -> Iterator[R]:
    """``function`` of every task, in their order, by ``jobs`` processes; both must be picklable.

    The first error of a task is raised and the tasks not yet begun are dropped.
    """
    with _one_thread(), _pool(min(jobs, len(tasks)) or 1) as pool:
        yield from pool.map(function, tasks)


def _pool(processes: int) -> ProcessPoolExecutor:
    # A fork would inherit the locks of torch's and OpenCV's threads.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(processes, context, cv2.setNumThreads, (1,))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes started inside see one thread."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
