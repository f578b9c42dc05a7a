"""Contours of a live camera: of the newest frame, at a limited rate, while a consumer wants them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from neural_seg_ros.config import ContourConfig
from neural_seg_ros.live import ContourCallbacks, ContourResult, LiveConfig
from neural_seg_ros.live.contour_worker import ContourWorker
from neural_seg_ros.live.inbox import IncomingFrame

SECONDS = 60
OPTIONS = LiveConfig(contour_rate=60.0, contours=ContourConfig(method="fast", size=64))


class Rig:
    """A contour worker, the records of its callbacks, and a way to wait for them."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.outputs: list[ContourResult] = []
        self.errors: list[Exception] = []
        self.wanted_calls = 0
        self.has_consumers = True
        callbacks = ContourCallbacks(lambda output: self._record(self.outputs, output), self._wanted)
        self.worker = ContourWorker(OPTIONS, callbacks, lambda error: self._record(self.errors, error))

    def offer(self, header: str, image: Any = None) -> None:
        pixels = picture() if image is None else image
        self.worker.offer(IncomingFrame(lambda: pixels, 0.0, header, pixels.nbytes, time.monotonic()))

    def until(self, predicate: Callable[[], Any]) -> None:
        with self.changed:
            assert self.changed.wait_for(predicate, SECONDS), (self.outputs, self.errors)

    def _wanted(self) -> bool:
        with self.changed:
            self.wanted_calls += 1
            self.changed.notify_all()
            return self.has_consumers

    def _record(self, records: list[Any], item: Any) -> None:
        with self.changed:
            records.append(item)
            self.changed.notify_all()


def picture() -> np.ndarray:
    """Return (48, 64, 3) uint8: a bright square on a dark ground."""
    image = np.random.default_rng(0).integers(0, 20, (48, 64, 3)).astype(np.uint8)
    image[12:36, 16:44] += 180
    return image


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.worker.close()


def test_a_frame_has_its_contours_and_segments(rig: Rig) -> None:
    rig.offer("first")
    rig.until(lambda: rig.outputs)
    found = rig.outputs[0]
    assert found.header == "first"
    assert found.segments.dtype == np.uint16
    assert found.segments.shape == found.contours.strength.shape == (48, 64)
    counts = np.bincount(found.segments[16:32, 20:40].ravel())
    assert counts.max() > 0.8 * counts.sum()
    assert found.segments[24, 30] != found.segments[4, 4]
    assert found.contours.strength[10:14, 20:40].max() > 0.5


def test_only_the_newest_frame_counts_and_each_once(rig: Rig) -> None:
    for number in range(20):
        rig.offer(str(number))
    rig.until(lambda: rig.outputs and rig.outputs[-1].header == "19")
    assert len(rig.outputs) < 20
    assert len({output.header for output in rig.outputs}) == len(rig.outputs)


def test_without_consumers_or_rate_no_contours_are_found(rig: Rig) -> None:
    rig.has_consumers = False
    rig.offer("unseen")
    rig.until(lambda: rig.wanted_calls == 1)
    rig.worker.options = LiveConfig(contour_rate=0.0)
    rig.has_consumers = True
    rig.offer("at no rate")
    rig.until(lambda: rig.wanted_calls == 2)
    rig.worker.options = OPTIONS
    rig.offer("seen")
    rig.until(lambda: rig.outputs)
    assert {output.header for output in rig.outputs} == {"seen"}


def test_a_failure_is_reported_and_the_next_frame_taken(rig: Rig) -> None:
    rig.offer("broken", np.zeros((2, 2, 3), np.uint8))
    rig.until(lambda: rig.errors)
    rig.offer("whole")
    rig.until(lambda: rig.outputs)
    assert "image size: got 2x2" in str(rig.errors[0])


def test_a_rate_is_kept() -> None:
    rig = Rig()
    rig.worker.options = LiveConfig(contour_rate=10.0, contours=ContourConfig(method="fast", size=64))
    began = time.monotonic()
    for number in range(4):
        rig.offer(str(number))
        rig.until(lambda number=number: len(rig.outputs) > number)
    assert time.monotonic() - began > 3 / 10 - 0.05
    rig.worker.close()
