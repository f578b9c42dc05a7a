"""Sessions that share a batch: what each says is its own, live too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neural_seg_ros import Click, Session, SessionConfig
from neural_seg_ros.errors import AnnotationError
from neural_seg_ros.field.batcher import Batcher
from neural_seg_ros.field.steps import MakeSteps, make_steps
from neural_seg_ros.live import LiveCallbacks, LiveConfig, LiveResult, LiveSession

SECONDS = 30.0
SMALL: dict[str, Any] = {"answer": "field", "field.size": 32, "field.width": 8, "field.levels": 2}
CONFIG = SessionConfig.preset(
    "cpu", **SMALL, **{"fit.first_steps": 20, "fit.click_steps": 10, "fit.frame_steps": 4, "track.first_steps": 4}
)


def _picture(number: int) -> np.ndarray:
    """Return (48, 64, 3) uint8: a bright half on another side for each number, with noise."""
    image = np.random.default_rng(number).integers(0, 40, (48, 64, 3), np.uint8)
    bright = np.rot90(np.arange(64 * 64).reshape(64, 64) < 32 * 64, number)[:48]
    image[bright] += 180
    return image


def _work(session: Session, number: int) -> np.ndarray:
    """Clicks, an undo, another frame and an image of another size; the last labels."""
    session.observe(_picture(number))
    session.annotate(Click(8, 24, 1))
    session.annotate(Click(56, 24, 2))
    session.fit()
    session.annotate(Click(30, 40, 3))
    session.fit()
    assert session.undo()
    session.fit()
    session.observe(_picture(number), stamp=1.0)
    session.fit()
    session.observe(np.ascontiguousarray(_picture(number)[:32]), stamp=2.0)
    session.fit()
    return session.result().labels


def test_sessions_in_a_batch_say_what_each_says_alone() -> None:
    batcher = Batcher(wait_for=3)

    def work(number: int, make_steps: MakeSteps) -> np.ndarray:
        return _work(Session(CONFIG, "cpu", make_steps), number)

    def work_in_batch(number: int) -> np.ndarray:
        try:
            return work(number, batcher.join)
        finally:
            batcher.leave()

    with ThreadPoolExecutor(3) as threads:
        together = list(threads.map(work_in_batch, range(3), timeout=SECONDS))
    assert set(batcher.steps_made) == {3}
    for number, labels in enumerate(together):
        assert (labels == work(number, make_steps)).mean() > 0.97


def test_undo_and_redo_in_a_batch_leave_the_others_alone() -> None:
    batcher = Batcher(wait_for=2)
    one, other = (Session(CONFIG, "cpu", batcher.join) for _ in range(2))
    with ThreadPoolExecutor(2) as threads:

        def fit() -> None:
            list(threads.map(lambda session: session.fit(steps=10), (one, other), timeout=SECONDS))

        for number, session in enumerate((one, other)):
            session.observe(_picture(number))
            session.annotate(Click(8, 24, 1))
            session.annotate(Click(56, 24, 2))
        fit()
        before, others = one.result().labels, other.result()
        one.annotate(Click(30, 40, 3))
        fit()
        after = one.result().labels
        others_later = other.result()
        assert one.undo()
        assert np.array_equal(one.result().labels, before)
        assert one.redo()
        assert np.array_equal(one.result().labels, after)
        assert other.status().steps == 20
        assert np.array_equal(other.result().confidence, others_later.confidence)
        assert not np.array_equal(others.confidence, others_later.confidence)


def test_a_saved_session_goes_on_in_a_batch(tmp_path: Path) -> None:
    session = Session(CONFIG, "cpu")
    session.observe(_picture(0))
    session.annotate(Click(8, 24, 1))
    session.fit()
    session.save(tmp_path / "session.safetensors")
    batcher = Batcher()
    loaded = Session.load(tmp_path / "session.safetensors", "cpu", batcher.join)
    loaded.fit(steps=5)
    assert batcher.steps_made == {1: 5}
    session.fit(steps=5)
    assert np.array_equal(loaded.result().confidence, session.result().confidence)


def test_cameras_make_their_steps_together_on_cuda_alone() -> None:
    batcher = Batcher()
    assert type(batcher.join_where_it_pays(torch.device("cuda", 0))) is type(batcher.join(torch.device("cpu")))
    session = Session(CONFIG, "cpu", batcher.join_where_it_pays)
    session.observe(_picture(0))
    assert session.fit(steps=3) == 3
    assert not batcher.steps_made


class _Camera:
    """A live session in a batch, and all it said."""

    def __init__(self, number: int, told: threading.Condition, make: Callable[[SessionConfig], Session]) -> None:
        self.number, self.stamp = number, 0.0
        self.outputs: list[LiveResult] = []
        self.errors: list[Exception] = []
        self._told = told
        self.live = LiveSession(
            make,
            lambda _: Session(CONFIG, "cpu"),
            CONFIG,
            LiveConfig(max_age=SECONDS, still_threshold=0.0),
            LiveCallbacks(
                output=lambda output: self._tell(self.outputs, output),
                wanted=lambda: True,
                error=lambda error: self._tell(self.errors, error),
                notice=lambda _: None,
            ),
        )

    def frame(self) -> None:
        self.stamp += 1.0
        self.live.offer_frame(lambda: _picture(self.number), self.stamp, None)

    def _tell(self, what: list[Any], item: Any) -> None:
        with self._told:
            what.append(item)
            self._told.notify_all()


def test_a_failing_camera_does_not_stop_its_batch() -> None:
    batcher, told = Batcher(), threading.Condition()

    def make(config: SessionConfig) -> Session:
        return Session(config, "cpu", batcher.join)

    cameras = [_Camera(number, told, make) for number in range(2)]
    try:
        for camera in cameras:
            camera.live.wait_ready(SECONDS)
            camera.frame()
            camera.live.annotate(Click(8, 24, 1)).result(SECONDS)
            camera.live.annotate(Click(56, 24, 2)).result(SECONDS)

        def both_fitted_together() -> bool:
            for camera in cameras:
                camera.frame()
            return batcher.steps_made[2] > 0 and all(len(camera.outputs) > 1 for camera in cameras)

        with told:
            assert told.wait_for(both_fitted_together, SECONDS), batcher.steps_made
        for camera in cameras:
            assert not camera.errors
            assert set(np.unique(camera.outputs[-1].result.labels)) <= {0, 1, 2}
        with pytest.raises(AnnotationError, match="click"):
            cameras[0].live.annotate(Click(999, 24, 1)).result(SECONDS)
        cameras[0].live.close()
        seen = len(cameras[1].outputs)
        cameras[1].frame()
        with told:
            assert told.wait_for(lambda: len(cameras[1].outputs) > seen, SECONDS)
    finally:
        for camera in cameras:
            camera.live.close()
