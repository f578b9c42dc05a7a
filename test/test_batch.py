"""Fields fitted together are what each would be alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from neural_seg_ros.config import FieldConfig
from neural_seg_ros.errors import ConfigError
from neural_seg_ros.field.batch import EngineBatch
from neural_seg_ros.field.engine import FIRST_CLASSES, Engine
from neural_seg_ros.field.steps import EagerSteps

TINY = FieldConfig(width=8, levels=2, octaves=3, precision="fp32")
CPU = torch.device("cpu")
SIDE = 24
# The sums of a convolution in groups come in another order, and 200 steps carry that on.
TOLERANCE = 0.02
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def _image(number: int) -> torch.Tensor:
    """Two halves and noise, of another brightness for each number."""
    image = np.random.default_rng(number).integers(0, 60, (SIDE, SIDE + 3, 3), np.uint8)
    image[:, SIDE // 2 :] += 150 - 40 * number
    return torch.from_numpy(image)


def _annotations(classes: int) -> tuple[torch.Tensor, torch.Tensor, int]:
    """A click of each class along a diagonal."""
    labels, weights = torch.zeros(SIDE, SIDE + 3, dtype=torch.int64), torch.zeros(SIDE, SIDE + 3)
    at = torch.arange(classes) * 2
    labels[at, at] = torch.arange(classes)
    weights[at, at] = 1.0
    return labels, weights, classes


def _batch(config: FieldConfig = TINY, count: int = 3, device: torch.device = CPU) -> EngineBatch:
    batch = EngineBatch(config, count, SIDE, SIDE + 3, device)
    for index in range(count):
        batch.set_target(index, _image(index))
    return batch


def _alone(config: FieldConfig = TINY, count: int = 3, device: torch.device = CPU) -> list[Engine]:
    engines = [Engine(config, SIDE, SIDE + 3, device) for _ in range(count)]
    for index, engine in enumerate(engines):
        engine.set_target(_image(index))
    return engines


def _assert_follows(batch: EngineBatch, engines: list[Engine], steps: int, tolerance: float = TOLERANCE) -> None:
    """Each field's losses stay within ``tolerance``, relative, of those of its own engine."""
    for _ in range(0, steps, 20):
        batch.step(20)
        for index, engine in enumerate(engines):
            engine.step(20)
            got, expected = batch.losses(index), engine.losses()
            assert got.steps == expected.steps
            assert got.total == pytest.approx(expected.total, rel=tolerance)
            assert got.rgb == pytest.approx(expected.rgb, rel=tolerance)
            assert got.psnr == pytest.approx(expected.psnr, abs=0.03)


@pytest.mark.parametrize(
    "changes",
    [{}, {"norm": "group", "class_loss": "bce"}, {"norm": "none", "skips": False, "extra_heads": "contours:2"}],
    ids=["defaults", "group norm, bce", "neither norm nor skips, another head"],
)
def test_every_field_follows_its_own_engine(changes: dict[str, object]) -> None:
    config = dataclasses.replace(TINY, **changes)
    batch, engines = _batch(config), _alone(config)
    for index, classes in enumerate((2, 0, 3)):
        if classes:
            batch.set_annotations(index, *_annotations(classes))
            engines[index].set_annotations(*_annotations(classes))
    first = batch.losses(0)
    assert (first.steps, first.psnr) == (0, 0.0)
    _assert_follows(batch, engines, 200)
    for index, engine in enumerate(engines):
        assert batch.prediction(index).shape == engine.prediction().shape
        assert torch.allclose(batch.prediction(index), engine.prediction(), atol=0.02)
        assert torch.allclose(batch.reconstruction(index), engine.reconstruction(), atol=0.02)


def test_fields_get_more_classes_and_frames_at_different_times() -> None:
    batch, engines = _batch(), _alone()
    _assert_follows(batch, engines, 40)
    for news in (((1, 2), (0, 3)), ((0, FIRST_CLASSES + 2),), ((1, 4),)):
        for index, classes in news:
            batch.set_annotations(index, *_annotations(classes))
            engines[index].set_annotations(*_annotations(classes))
        _assert_follows(batch, engines, 40)
    assert [batch.prediction(index).shape[0] for index in range(3)] == [4 + FIRST_CLASSES - 2, 4, 0]
    batch.set_target(1, _image(2))
    engines[1].set_target(_image(2))
    _assert_follows(batch, engines, 20)


def test_fields_do_not_influence_each_other() -> None:
    one, other = _batch(), _batch()
    for batch in (one, other):
        batch.set_annotations(0, *_annotations(2))
    other.set_target(1, torch.full((SIDE, SIDE + 3, 3), 255, dtype=torch.uint8))
    other.set_annotations(2, *_annotations(3))
    for batch in (one, other):
        batch.step(20)
    assert torch.allclose(one.prediction(0), other.prediction(0), atol=1e-6)
    assert torch.allclose(one.reconstruction(0), other.reconstruction(0), atol=1e-6)
    assert not torch.allclose(one.reconstruction(1), other.reconstruction(1), atol=0.1)


def test_probabilities_sum_to_one_and_clicks_are_learnt() -> None:
    batch = _batch()
    labels, weights, classes = _annotations(3)
    batch.set_annotations(2, labels, weights, classes)
    batch.step(60)
    probabilities = batch.prediction(2)
    assert torch.allclose(probabilities.sum(0), torch.ones(SIDE, SIDE + 3), atol=1e-5)
    assert torch.equal(probabilities.argmax(0)[weights > 0], labels[weights > 0])


def test_bfloat16_learns_as_float32_does() -> None:
    exact, short = _batch(), _batch(dataclasses.replace(TINY, precision="bf16"))
    for batch in (exact, short):
        batch.step(100)
    for index in range(3):
        assert short.losses(index).rgb == pytest.approx(exact.losses(index).rgb, rel=0.3)
        assert short.reconstruction(index).dtype == torch.float32


@pytest.mark.parametrize("index", [-1, 3])
def test_a_wrong_index_is_refused(index: int) -> None:
    batch = _batch()
    calls = (
        lambda: batch.set_target(index, _image(0)),
        lambda: batch.set_annotations(index, *_annotations(2)),
        lambda: batch.prediction(index),
        lambda: batch.reconstruction(index),
        lambda: batch.losses(index),
    )
    for call in calls:
        with pytest.raises(IndexError, match=f"index: got {index}, accepted: 0 to 2"):
            call()


def test_a_batch_has_a_field() -> None:
    with pytest.raises(ConfigError, match="count: got 0, accepted: at least 1"):
        EngineBatch(TINY, 0, SIDE, SIDE, CPU)


@needs_cuda
def test_captured_steps_follow_steps_one_by_one() -> None:
    device = torch.device("cuda")
    captured, eager = _batch(device=device), _batch(device=device)
    eager._steps = EagerSteps()
    for batch in (captured, eager):
        batch.step(40)
        batch.set_annotations(1, *_annotations(2))
        batch.step(40)
        batch.set_annotations(0, *_annotations(FIRST_CLASSES + 2))
        batch.set_target(2, _image(0))
        batch.step(40)
    for index in range(3):
        assert captured.losses(index).total == pytest.approx(eager.losses(index).total, rel=0.1)
