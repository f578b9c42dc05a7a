"""Many replays, on the cores of this machine or on a Dask cluster; those that fail are tried again, the rest finish."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from neural_seg_ros.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """A job and what came of it: lines for the user, or an error in one line."""

    job: T
    lines: tuple[str, ...] = ()
    error: str | None = None


Run = Callable[[T], list[str]]
# Gives the outcome of every job, in the order in which they end.
Backend = Callable[[Run[T], Sequence[T]], Iterator[Outcome[T]]]


def run_jobs(run: Run[T], jobs: Sequence[T], backend: Backend[T], retries: int) -> Iterator[Outcome[T]]:
    """Run every job, those that fail ``retries`` times again; gives an outcome for every try.

    A job that is tried again must be able to go on from what it has done.
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


def attempt(run: Run[T], job: T) -> Outcome[T]:
    """Run a job; whatever it raises is its outcome."""
    try:
        return Outcome(job, tuple(run(job)))
    except Exception as error:  # one bag must not end the others
        return Outcome(job, error=_one_line(error))


def local_backend(workers: int) -> Backend[Any]:
    """Processes of this machine, ``workers`` at a time; with one, this process."""

    def run_all(run: Run[T], jobs: Sequence[T]) -> Iterator[Outcome[T]]:
        if workers == 1:
            yield from (attempt(run, job) for job in jobs)
            return
        from joblib import Parallel, delayed
        from joblib.externals.loky.process_executor import TerminatedWorkerError

        left = list(jobs)
        try:
            # However few jobs are left: results depend on the threads of a process, and these on the processes.
            parallel = Parallel(n_jobs=workers, return_as="generator_unordered")
            for outcome in parallel(delayed(attempt)(run, job) for job in jobs):
                left.remove(outcome.job)
                yield outcome
        except TerminatedWorkerError:
            # joblib does not say whose process died.
            yield from (Outcome(job, error="a worker process was killed") for job in left)

    return run_all


def dask_backend(scheduler: str | None) -> Backend[Any]:
    """The workers of a running Dask cluster, which must see the same files; ``scheduler``: such as tcp://host:8786.

    A job whose worker dies is given to another one by the scheduler. Raises ConfigError where Dask is not installed, as
    the backend does where the scheduler does not answer.
    """
    if scheduler is None:
        raise ConfigError("scheduler: got none, accepted: the address of a Dask scheduler, such as tcp://host:8786")
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise ConfigError("backend: got dask, which is not installed, accepted: pip install '.[dask]'") from None

    def run_all(run: Run[T], jobs: Sequence[T]) -> Iterator[Outcome[T]]:
        try:
            client = Client(scheduler, timeout="10s")
        except (OSError, ValueError) as error:
            accepted = "accepted: the address of a Dask scheduler"
            raise ConfigError(f"scheduler: got {scheduler!r}: {_one_line(error)}, {accepted}") from None
        with client:
            futures = {client.submit(attempt, run, job, pure=False): job for job in jobs}
            for future in as_completed(list(futures)):
                failure = future.exception()
                yield future.result() if failure is None else Outcome(futures[future], error=_one_line(failure))

    return run_all


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
