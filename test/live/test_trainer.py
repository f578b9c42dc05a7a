"""Training beside the worker, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from neural_seg_ros import Click, Session, SessionConfig
from neural_seg_ros.live.background import Trainer

SECONDS = 20


class Steps:
    """Steps that a trainer makes: ``due`` in all, of which ``made`` so far, in ``calls`` calls of ``step``."""

    def __init__(self, due: int) -> None:
        self.changed = threading.Condition()
        self.due, self.made, self.calls = due, 0, 0
        self.errors: list[Exception] = []
        self.fails: Exception | None = None

    def step(self) -> int:
        with self.changed:
            self.calls += 1
            self.changed.notify_all()
            if self.fails:
                raise self.fails
            if self.made == self.due:
                return 0
            self.made += 1
            return 1

    def failed(self, error: Exception) -> None:
        with self.changed:
            self.errors.append(error)
            self.changed.notify_all()

    def until(self, predicate) -> None:
        with self.changed:
            assert self.changed.wait_for(predicate, SECONDS)


@pytest.fixture
def steps() -> Steps:
    return Steps(due=3)


@pytest.fixture
def trainer(steps: Steps) -> Iterator[Trainer]:
    trainer = Trainer(steps.step, steps.failed)
    yield trainer
    trainer.close()


def test_due_steps_are_made_after_resume_only(steps: Steps, trainer: Trainer) -> None:
    assert steps.calls == 0
    trainer.resume()
    steps.until(lambda: steps.made == 3 and steps.calls == 4)
    # Steps that become due later are made at the next call.
    steps.due = 5
    trainer.resume()
    steps.until(lambda: steps.made == 5)


def test_a_failure_is_reported_and_training_resumes(steps: Steps, trainer: Trainer) -> None:
    steps.fails = RuntimeError("out of memory")
    trainer.resume()
    steps.until(lambda: steps.errors == [steps.fails])
    steps.fails = None
    trainer.resume()
    steps.until(lambda: steps.made == 3)
    assert len(steps.errors) == 1


def test_close_ends_a_paused_or_running_trainer() -> None:
    for running in (False, True):
        trainer = Trainer(lambda: 1, lambda error: None)
        if running:
            trainer.resume()
        trainer.close()
        assert not trainer._thread.is_alive()


def threads_of_a_new_thread() -> int:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


def test_a_call_during_the_last_step_is_not_lost() -> None:
    steps: list[int] = []
    in_flight = threading.Event()

    def step() -> int:
        steps.append(len(steps))
        if len(steps) == 1:
            trainers[0].resume()
        else:
            in_flight.set()
            while trainers[0]._resumed < 3:
                time.sleep(0.001)
        return 0

    def run() -> None:
        trainers.append(Trainer(step, pytest.fail))
        trainers[0].resume()
        in_flight.wait()
        trainers[0].close()

    trainers: list[Trainer] = []
    owner = threading.Thread(target=run, daemon=True)
    owner.start()
    owner.join(30)
    assert not owner.is_alive()
    assert len(steps) == 2


def test_the_trainer_shares_cores_with_its_worker_only() -> None:
    threads, calls = torch.get_num_threads(), []
    half = max(1, threads // 2)

    def ask() -> int:
        calls.append(torch.get_num_threads())
        changed.set()
        return 0

    changed = threading.Event()
    trainer = Trainer(ask, lambda error: None)
    trainer.resume()
    assert changed.wait(SECONDS)
    here, elsewhere = torch.get_num_threads(), threads_of_a_new_thread()
    trainer.close()
    assert (here, calls, elsewhere) == (half, [half], threads)
    assert torch.get_num_threads() == threads


def test_trainers_give_their_threads_back_in_any_order() -> None:
    threads, both, ended = torch.get_num_threads(), threading.Barrier(2), threading.Event()

    def camera(ends_first: bool) -> int:
        trainer = Trainer(lambda: 0, lambda error: None)
        both.wait(SECONDS)
        if not ends_first:
            assert ended.wait(SECONDS)
        trainer.close()
        ended.set()
        return torch.get_num_threads()

    with ThreadPoolExecutor(2) as pool:
        assert [*pool.map(camera, (True, False))] == [threads, threads]
    assert threads_of_a_new_thread() == torch.get_num_threads() == threads


def test_a_session_is_trained_while_it_answers() -> None:
    """One thread observes, annotates and undoes while another trains; every step is counted."""
    config = SessionConfig.preset(
        "cpu", **{"field.size": 32, "field.width": 8, "field.levels": 2, "fit.first_steps": 2}
    )
    config = config.preset("cpu", **{**config.to_dict(), "track.size": 64, "track.first_steps": 12})
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 60, (48, 64, 3)).astype(np.uint8)
    session, failures = Session(config, "cpu"), []

    def frame(number: int) -> np.ndarray:
        image = noise.copy()
        image[10:30, 5 + number : 25 + number] += 150
        return image

    session.observe(frame(0), 0.0)
    trainer = Trainer(lambda: session.scheduler.train(1), failures.append)
    try:
        for number in range(1, 12):
            if number % 4 == 1:
                session.annotate(Click(14 + number, 20, 1))
                session.annotate(Click(55, 40, 0))
            if number == 6:
                session.undo()
            session.result()
            session.observe(frame(number), float(number))
            trainer.resume()
            session.result()
    finally:
        trainer.close()
    assert not failures
    session.scheduler.train(session.steps_due)
    assert session.steps_due == session.scheduler.due
    labels = session.result().labels
    assert labels[20, 28] == 1
    assert labels[42, 60] == 0
