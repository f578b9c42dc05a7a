"""The field: codes, losses against written-out formulas, network sizes, and what the engine keeps and forgets."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from neural_seg_ros.config import FieldConfig
from neural_seg_ros.field.engine import FIRST_CAPACITY, Engine
from neural_seg_ros.field.losses import class_loss, consistency_mask, consistency_target, psnr, rgb_loss
from neural_seg_ros.field.network import FieldNetwork, code_channels, fourier_code, make_code, noise_code, xy_code

TINY = FieldConfig(width=8, levels=2, octaves=3, skips=False)
CPU = torch.device("cpu")


def test_xy_code_is_the_mesh_grid_of_pixel_centers() -> None:
    code = xy_code(2, 4)
    assert code.shape == (1, 2, 2, 4)
    assert torch.allclose(code[0, 0, 0], torch.tensor([-0.75, -0.25, 0.25, 0.75]))
    assert torch.allclose(code[0, 1, :, 0], torch.tensor([-0.25, 0.25])), "a pixel is the same step in x and y"


def test_fourier_code_is_sines_and_cosines_at_octaves() -> None:
    code = fourier_code(3, 5, octaves=2)
    x, y = xy_code(3, 5)[0]
    assert code.shape == (1, 10, 3, 5)
    assert torch.allclose(code[0, 2], torch.sin(math.pi * x))
    assert torch.allclose(code[0, 9], torch.cos(2 * math.pi * y), atol=1e-6)


def test_noise_code_depends_on_the_seed_alone() -> None:
    assert torch.equal(noise_code(4, 4, 8, seed=3), noise_code(4, 4, 8, seed=3))
    assert not torch.equal(noise_code(4, 4, 8, seed=3), noise_code(4, 4, 8, seed=4))
    assert noise_code(9, 9, 8, seed=3).abs().max() <= 0.5


@pytest.mark.parametrize("code", ["xy", "fourier", "noise"])
@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("levels", [2, 3, 4])
@pytest.mark.parametrize(("height", "width"), [(17, 17), (17, 31), (18, 50)])
def test_network_keeps_any_size(code: str, skips: bool, levels: int, height: int, width: int) -> None:
    config = FieldConfig(code=code, width=8, levels=levels, skips=skips)
    network = FieldNetwork(config, {"rgb": 3, "classes": 5, "extra": 2})
    outputs = network(make_code(config, height, width, seed=0))
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "rgb": (1, 3, height, width),
        "classes": (1, 5, height, width),
        "extra": (1, 2, height, width),
    }
    assert network.features(torch.zeros(1, code_channels(config), height, width)).shape[1] == network.feature_channels


def test_thesis_network_has_the_layers_of_the_thesis() -> None:
    config = FieldConfig(code="xy", width=128, levels=4, skips=False)
    network = FieldNetwork(config, {"rgb": 3, "classes": 2})
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [c.stride[0] for c in convolutions] == [2] * 4 + [1] * 5
    assert all(c.kernel_size == (3, 3) for c in convolutions)
    assert {c.out_channels for c in convolutions[:7]} == {128}


def test_rgb_loss_is_the_squared_color_error_per_pixel() -> None:
    predicted, target = torch.rand(1, 3, 4, 5), torch.rand(1, 3, 4, 5)
    expected = sum(float(((predicted - target)[0, :, i, j] ** 2).sum()) for i in range(4) for j in range(5)) / 20
    assert rgb_loss(predicted, target).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["ce", "bce"])
def test_class_loss_is_the_weighted_entropy_written_out(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 3, 2, 2, generator=generator)
    target = torch.tensor([[[0, 2], [1, 1]]])
    weights = torch.tensor([[[1.0, 0.001], [0.0, 0.5]]])
    expected = 0.0
    for i in range(2):
        for j in range(2):
            scores, truth = logits[0, :, i, j].double(), int(target[0, i, j])
            if kind == "ce":
                entropy = -math.log(float(scores.softmax(0)[truth]))
            else:
                p = scores.sigmoid()
                entropy = -sum(math.log(float(p[n] if n == truth else 1 - p[n])) for n in range(3))
            expected += float(weights[0, i, j]) * entropy
    assert class_loss(logits, target, weights, kind).item() == pytest.approx(expected / 4, rel=1e-5)


def test_consistency_mask_is_one_or_lambda() -> None:
    weights = torch.tensor([[1.0, 0.0], [0.1, 0.0]])
    mask = consistency_mask(weights, 0.001, out=torch.empty(2, 2))
    assert torch.allclose(mask, torch.tensor([[1.0, 0.001], [0.1, 0.001]]))


def test_consistency_target_is_the_hardened_prediction() -> None:
    previous = torch.tensor([[[[3.0, 0.0]], [[1.0, 2.0]]]])
    labels, annotated = torch.tensor([[[1, 0]]]), torch.tensor([[[True, False]]])
    out = torch.zeros(1, 1, 2, dtype=torch.int64)
    assert consistency_target(previous, labels, annotated, out).tolist() == [[[1, 1]]]


def test_psnr_of_a_tenth_is_twenty_decibel() -> None:
    assert psnr(torch.full((1, 3, 2, 2), 0.6), torch.full((1, 3, 2, 2), 0.5)).item() == pytest.approx(20, abs=1e-3)


def _picture(height: int = 24, width: int = 32) -> torch.Tensor:
    """Left half dark red, right half light blue."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2] = (120, 20, 20)
    image[:, width // 2 :] = (140, 180, 240)
    return torch.from_numpy(image)


def _one_pixel_each(engine: Engine, classes: int) -> None:
    """Annotate the middle of the left half as channel 0 and of the right half as channel 1."""
    height, width = engine.shape
    labels, weights = torch.zeros(height, width, dtype=torch.int64), torch.zeros(height, width)
    labels[height // 2, 3 * width // 4] = 1
    weights[height // 2, [width // 4, 3 * width // 4]] = 1.0
    engine.set_annotations(labels, weights, classes)


def test_two_annotated_pixels_label_both_halves() -> None:
    engine = Engine(TINY, 24, 32, CPU)
    engine.set_target(_picture())
    engine.step(60)
    _one_pixel_each(engine, classes=2)
    engine.step(60)
    prediction = engine.prediction()
    assert torch.allclose(prediction.sum(0), torch.ones(24, 32), atol=1e-5)
    labels = prediction.argmax(0)
    assert (labels[:, :14] == 0).float().mean() > 0.9
    assert (labels[:, 18:] == 1).float().mean() > 0.9
    assert engine.losses().psnr > 20


def test_without_annotations_only_the_image_is_fitted() -> None:
    engine = Engine(TINY, 24, 32, CPU)
    engine.set_target(_picture())
    engine.step(5)
    losses = engine.losses()
    assert losses.total == pytest.approx(losses.rgb)
    assert losses.steps == 5


def test_a_new_frame_drops_annotations_keeps_consistency() -> None:
    engine = Engine(TINY, 24, 32, CPU)
    engine.set_target(_picture())
    _one_pixel_each(engine, classes=2)
    engine.step(40)
    before = engine.prediction().argmax(0)
    engine.set_target(_picture().flip(0))
    assert not engine.snapshot()["annotated"].any()
    assert torch.allclose(engine.snapshot()["mask"], torch.tensor(TINY.consistency))
    engine.step(3)
    assert (engine.prediction().argmax(0) == before).float().mean() > 0.95


def test_new_classes_leave_what_was_learned() -> None:
    engine = Engine(TINY, 24, 32, CPU)
    engine.set_target(_picture())
    _one_pixel_each(engine, classes=2)
    engine.step(60)
    before = engine.prediction()
    _one_pixel_each(engine, classes=FIRST_CAPACITY * 4)
    after = engine.prediction()
    assert after.shape[0] == FIRST_CAPACITY * 4
    assert torch.equal(after.argmax(0), before.argmax(0))
    engine.step(2)
    assert engine.losses().steps == 62


def test_a_snapshot_returns_exactly() -> None:
    engine = Engine(TINY, 24, 32, CPU)
    engine.set_target(_picture())
    _one_pixel_each(engine, classes=2)
    engine.step(10)
    snapshot = engine.snapshot()
    engine.step(5)
    expected = engine.prediction()
    _one_pixel_each(engine, classes=20)
    engine.step(7)
    engine.restore(snapshot)
    engine.step(5)
    assert torch.equal(engine.prediction(), expected)


def test_the_same_seed_fits_the_same() -> None:
    def fit(seed: int) -> torch.Tensor:
        engine = Engine(TINY, 24, 32, CPU, seed)
        engine.set_target(_picture())
        engine.step(10)
        return engine.reconstruction()

    assert torch.equal(fit(1), fit(1))
    assert not torch.equal(fit(1), fit(2))


def test_a_resized_engine_goes_on_from_what_it_knows() -> None:
    engine = Engine(TINY, 24, 32, CPU)
    engine.set_target(_picture())
    _one_pixel_each(engine, classes=2)
    engine.step(80)
    wider = engine.resized(24, 48)
    wider.set_target(_picture(24, 48))
    wider.step(1)
    labels = wider.prediction().argmax(0)
    right = torch.arange(48).expand(24, 48) >= 24
    assert (labels == right).float().mean() > 0.7


def test_extra_heads_are_named_in_the_configuration() -> None:
    engine = Engine(FieldConfig(width=8, levels=2, extra_heads="contours:4, depth:1"), 24, 32, CPU)
    engine.set_target(_picture())
    engine.step(2)
    assert engine.head("contours").shape == (4, 24, 32)
    assert engine.head("depth").shape == (1, 24, 32)
