"""Many jobs, on the cores of this machine or on a Dask cluster; failed jobs are retried, the others finish."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import cv2

from neural_seg_ros.errors import ConfigError, one_line

T = TypeVar("T")
R = TypeVar("R")
# The libraries read these once, when they are loaded.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Outcome(Generic[T, R]):
    """A job and what came of it: a value, or an error in one line."""

    job: T
    value: R | None = None
    error: str | None = None


# Both are picklable, where they run in other processes.
Run = Callable[[T], R]
# Gives the outcome of every job, in the order in which they end.
Backend = Callable[[Run[T, R], Sequence[T]], Iterator[Outcome[T, R]]]


def run_jobs(run: Run[T, R], jobs: Sequence[T], backend: Backend[T, R], retries: int) -> Iterator[Outcome[T, R]]:
    """Run every job, and retry failed ones up to ``retries`` times; yields an outcome for every try.

    A retried job starts again, or resumes from its state on disk.
    """
    waiting = list(jobs)
    for _ in range(1 + retries):
        failed = []
        for outcome in backend(run, waiting):
            if outcome.error is not None:
                failed.append(outcome.job)
            yield outcome
        waiting = failed
        if not waiting:
            return


def attempt(run: Run[T, R], job: T) -> Outcome[T, R]:
    """Run a job; whatever it raises is its outcome."""
    try:
        return Outcome(job, run(job))
    except Exception as error:  # one job must not end the others
        return Outcome(job, error=one_line(error))


def local_backend(workers: int, threads: int | None = None) -> Backend[Any, Any]:
    """Return a backend of ``workers`` processes of this machine, with ``threads`` threads each.

    With ``threads`` None the processes share the cores, and one worker is this process. The pool does not say whose
    process died, so that each job which it then had left gets a process of its own: only what dies there has failed.
    """

    def run_all(run: Run[T, R], jobs: Sequence[T]) -> Iterator[Outcome[T, R]]:
        if workers == 1 and threads is None:
            yield from (attempt(run, job) for job in jobs)
            return
        import joblib
        from joblib.externals.loky import ProcessPoolExecutor

        # However few jobs are left: results depend on the threads of a process, and these on the processes.
        share = max(1, joblib.cpu_count() // workers)
        env = {name: str(threads or os.environ.get(name, share)) for name in THREAD_VARIABLES}
        pool = ProcessPoolExecutor(workers, env=env)
        lost = []
        try:
            futures = {pool.submit(attempt, run, job): job for job in jobs}
            for future in as_completed(futures):
                job = futures[future]
                if not isinstance(future.exception(), BrokenProcessPool):
                    yield _outcome(job, future)
                elif len(jobs) == 1:
                    yield Outcome(job, error="its process died")
                else:
                    lost.append(job)
        finally:
            # A caller that stops early, as with Ctrl-C, cancels all jobs.
            pool.shutdown(kill_workers=True)
        for job in lost:
            yield from run_all(run, [job])

    return run_all


def dask_backend(scheduler: str | None) -> Backend[Any, Any]:
    """Return a backend of a running Dask cluster, which must see the same files; ``scheduler``: its address.

    A job whose worker dies is given to another one by the scheduler. Raises ConfigError where Dask is not installed, as
    the backend does where the scheduler does not answer.
    """
    if scheduler is None:
        raise ConfigError("scheduler: got none, accepted: the address of a Dask scheduler, such as tcp://host:8786")
    try:
        import distributed
    except ImportError:
        raise ConfigError("backend: got dask, which is not installed, accepted: pip install '.[dask]'") from None

    def run_all(run: Run[T, R], jobs: Sequence[T]) -> Iterator[Outcome[T, R]]:
        try:
            client = distributed.Client(scheduler, timeout="10s")
        except (OSError, ValueError) as error:
            accepted = "accepted: the address of a Dask scheduler"
            raise ConfigError(f"scheduler: got {scheduler!r}: {one_line(error)}, {accepted}") from None
        with client:
            futures = {client.submit(attempt, run, job, pure=False): job for job in jobs}
            for future in distributed.as_completed(list(futures)):
                yield _outcome(futures[future], future)

    return run_all


def _outcome(job: T, future: Any) -> Outcome[T, Any]:
    """Return the outcome of ``attempt`` in another process, with this process's own job."""
    failure = future.exception()
    return Outcome(job, error=one_line(failure)) if failure is not None else replace(future.result(), job=job)


def each(function: Callable[[T], R], tasks: Sequence[T], jobs: int) -> Iterator[R]:
    """Call ``function`` for every task, in order, in ``jobs`` processes; both must be picklable.

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
    """Limit the processes started inside to one thread."""
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
