"""Steps of the fit: numbers they are computed in, classes that are not in use, replayed graphs."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest
import torch

from neural_seg_ros.config import FieldConfig
from neural_seg_ros.field import folded_conv as enlarged
from neural_seg_ros.field.engine import FIRST_CAPACITY, Engine
from neural_seg_ros.field.steps import STEPS_PER_REPLAY, WARM_UP_STEPS, GraphSteps, Step
from neural_seg_ros.torch_setup import compute_dtype

TINY = FieldConfig(width=16, levels=2, octaves=3)
CPU = torch.device("cpu")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def _engine(config: FieldConfig, device: torch.device = CPU, side: int = 40) -> Engine:
    """On a picture of two halves and noise, with a pixel of each half annotated."""
    image = np.random.default_rng(0).integers(0, 60, (side, side, 3), np.uint8)
    image[:, side // 2 :] += 150
    engine = Engine(config, side, side, device)
    engine.set_target(torch.from_numpy(image))
    labels, weights = torch.zeros(side, side, dtype=torch.int64), torch.zeros(side, side)
    labels[side // 2, -5] = 1
    weights[side // 2, [4, -5]] = 1.0
    engine.set_annotations(labels, weights, 2)
    return engine


def _curve(engine: Engine, steps: int = 200, every: int = 20) -> np.ndarray:
    curve = []
    for _ in range(steps // every):
        engine.step(every)
        curve.append(engine.losses().total)
    return np.array(curve)


def test_bfloat16_follows_the_loss_of_float32() -> None:
    exact = _curve(_engine(dataclasses.replace(TINY, precision="fp32")))
    short = _curve(_engine(dataclasses.replace(TINY, precision="bf16")))
    assert exact[-1] < 0.6 * exact[0]
    assert np.abs(short / exact - 1).mean() < 0.1
    assert abs(short[-1] / exact[-1] - 1) < 0.2


def test_folded_steps_follow_the_loss_of_plain_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(TINY, precision="fp32")
    curves = []
    for least in (10**9, 0):
        monkeypatch.setattr(enlarged, "LEAST_FOLDED", least)
        curves.append(_curve(_engine(config)))
    assert not np.array_equal(*curves)
    assert np.allclose(*curves, rtol=0.02)


def test_weights_and_moments_are_float32_in_any_case() -> None:
    engine = _engine(dataclasses.replace(TINY, precision="bf16"))
    engine.step(2)
    dtypes = {tensor.dtype for name, tensor in engine.snapshot().items() if name.startswith(("network", "optimiser"))}
    assert dtypes == {torch.float32}
    assert engine.prediction().dtype == engine.features().dtype == torch.float32


def test_precision_is_chosen_for_the_device() -> None:
    assert compute_dtype("fp32", CPU) == torch.float32
    assert compute_dtype("bf16", CPU) == torch.bfloat16
    assert compute_dtype("auto", CPU) in (torch.float32, torch.bfloat16)


def test_classes_that_are_not_in_use_get_nothing() -> None:
    engine = _engine(dataclasses.replace(TINY, precision="fp32"))
    before = engine.network.heads["classes"].weight[2:].detach().clone()
    engine.step(5)
    assert torch.equal(engine.network.heads["classes"].weight[2:], before)
    assert engine.prediction().shape[0] == 2 < FIRST_CAPACITY


def test_early_steps_do_not_count_for_the_class_head() -> None:
    engine = Engine(TINY, 40, 40, CPU)
    engine.set_target(torch.full((40, 40, 3), 90, dtype=torch.uint8))
    engine.step(10)
    engine.set_annotations(torch.zeros(40, 40, dtype=torch.int64), torch.ones(40, 40), 2)
    engine.step(2)
    counted = {name: int(value) for name, value in engine.snapshot().items() if name.endswith("bias.step")}
    assert counted.pop("optimiser.heads.classes.bias.step") == 2
    assert set(counted.values()) == {12}


class _Recorded(GraphSteps):
    """Counts replays; makes their steps one by one."""

    def __init__(self) -> None:
        super().__init__(CPU)
        self.replays: list[int] = []

    def _warm_up(self, step: Step, n: int) -> None:
        self._eager.run(step, n)
        self._warm[step.with_classes] = self._warm.get(step.with_classes, 0) + n

    def _graph(self, step: Step, steps: int) -> torch.cuda.CUDAGraph:
        recorded = self

        class Graph:
            def replay(self) -> None:
                recorded.replays.append(steps)
                recorded._eager.run(step, steps)

        return Graph()  # type: ignore[return-value]


def test_replays_add_up_to_the_steps_asked_for() -> None:
    engine, plain = _engine(TINY), _engine(TINY)
    engine._steps = steps = _Recorded()
    for n in (WARM_UP_STEPS - 1, 1, 2 * STEPS_PER_REPLAY + 3, 1):
        engine.step(n)
        plain.step(n)
    assert steps.replays == [STEPS_PER_REPLAY, STEPS_PER_REPLAY, 1, 1, 1, 1]
    assert torch.equal(engine.prediction(), plain.prediction())


@needs_cuda
def test_a_captured_step_follows_the_eager_loss() -> None:
    device = torch.device("cuda")
    config = dataclasses.replace(TINY, precision="fp32")
    captured, eager = _engine(config, device), _engine(config, device)
    eager._steps = GraphSteps(device)._eager
    assert np.allclose(_curve(captured), _curve(eager), rtol=0.05)
    snapshot = captured.snapshot()
    captured.step(20)
    captured.restore(snapshot)
    eager.restore(snapshot)
    for engine in (captured, eager):
        engine.set_target(torch.full((40, 40, 3), 90, dtype=torch.uint8))
        engine.step(20)
    assert np.isclose(captured.losses().total, eager.losses().total, rtol=0.1)


@needs_cuda
def test_graphs_give_their_memory_back() -> None:
    def allocated(times: int) -> int:
        for number in range(times):
            side = 40 + 8 * (number % 5)
            _engine(TINY, torch.device("cuda"), side).step(20)
        torch.cuda.synchronize()
        return torch.cuda.memory_reserved()

    allocated(10)
    before = allocated(10)
    assert allocated(100) <= before


@needs_cuda
def test_a_failed_capture_is_logged_once_and_steps_go_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no capture here")

    monkeypatch.setattr(torch.cuda, "graph", refuse)
    engine = _engine(TINY, torch.device("cuda"))
    with caplog.at_level(logging.WARNING):
        engine.step(20)
        engine.step(20)
    assert engine.losses().steps == 40
    assert len(caplog.records) == 1
