"""Independent tasks in worker processes of one thread each, so that times compare and do not depend on the jobs."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
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
    with _one_thread(), _pool(min(jobs, len(tasks)) or 1) as pool:
        yield from pool.map(function, tasks)


def each_surviving(function: Callable[[T], R], tasks: Sequence[T], jobs: int) -> Iterator[R | None]:
    """As ``each``, but None for a task whose process dies, as where memory runs out, and the others go on."""
    with _one_thread(), _pool(min(jobs, len(tasks)) or 1) as pool:
        futures = [pool.submit(function, task) for task in tasks]
        for task, future in zip(tasks, futures, strict=True):
            try:
                outcome: R | None = future.result()
            except BrokenProcessPool:
                # All that were under way are lost, whoever's fault it was: each gets a process of its own.
                outcome = _alone(function, task)
            yield outcome


def _alone(function: Callable[[T], R], task: T) -> R | None:
    with _pool(1) as pool:
        try:
            return pool.submit(function, task).result()
        except BrokenProcessPool:
            return None


def _pool(processes: int) -> ProcessPoolExecutor:
    # A fork would inherit the locks of torch's and OpenCV's threads.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(processes, context, cv2.setNumThreads, (1,))


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
