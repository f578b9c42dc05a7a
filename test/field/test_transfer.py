"""Frames on their way to the field, and what it says on its way back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neural_seg_ros.config import FieldConfig
from neural_seg_ros.field.engine import Engine
from neural_seg_ros.field.transfer import FrameDownscaler, Transfer, area_weights
from neural_seg_ros.images.arrays import resize_image

TINY = FieldConfig(width=8, levels=2, octaves=3)
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
DEVICES = [CPU, pytest.param(CUDA, marks=needs_cuda)]


def _frame(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def _intake(height: int, width: int, device: torch.device) -> FrameDownscaler:
    return FrameDownscaler(height, width, device, Transfer(device))


def _engine(device: torch.device = CPU) -> Engine:
    engine = Engine(TINY, 24, 32, device)
    engine.set_target(_frame(48, 70))
    engine.set_annotations(torch.ones(24, 32, dtype=torch.int64), torch.ones(24, 32), 2)
    return engine


def test_every_pixel_is_shared_out_once() -> None:
    for pixels, fewer in ((480, 120), (481, 160), (7, 7), (100, 99)):
        weights = area_weights(pixels, fewer)
        assert torch.allclose(weights.sum(1), torch.ones(fewer))
        assert torch.allclose(weights.sum(0), torch.tensor(fewer / pixels).expand(pixels))


@pytest.mark.parametrize("device", DEVICES, ids=str)
@pytest.mark.parametrize("size", [(480, 640), (240, 320), (427, 639), (121, 160), (120, 161)])
def test_a_frame_is_reduced_on_a_device_as_on_the_host(device: torch.device, size: tuple[int, int]) -> None:
    intake = _intake(120, 160, device)
    frame = _frame(*size)
    got = intake.reduced(frame.to(device)).cpu().numpy().astype(int)
    difference = np.abs(got - resize_image(frame.numpy(), 120, 160))
    # Which way a half is rounded: the mean of four pixels is one for an eighth of all, others hardly ever.
    assert difference.max() <= 1
    assert (difference > 0).mean() < (0.15 if size == (240, 320) else 0.001)
    other = _frame(*size[::-1]).permute(1, 0, 2)
    assert torch.equal(intake.reduced(other.to(device)), intake.reduced(other.contiguous().to(device)))


def test_the_cpu_downscales_as_the_session_always_did() -> None:
    for size in ((480, 640), (24, 32), (17, 200), (20, 30)):
        frame = _frame(*size)
        assert np.array_equal(_intake(24, 32, CPU).take(frame), resize_image(frame.numpy(), 24, 32))


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_steps_do_not_change_what_was_fetched_before(device: torch.device) -> None:
    engine = _engine(device)
    engine.step(5)
    expected = engine.prediction().cpu()
    fetched = engine.fetch()
    engine.step(5)
    engine.set_target(_frame(48, 70, seed=1))
    image, probabilities = fetched.wait()
    assert torch.equal(probabilities, expected)
    assert not torch.equal(engine.prediction().cpu(), expected)
    assert image.dtype == torch.uint8
    assert np.abs(image.numpy().astype(int) - resize_image(_frame(48, 70).numpy(), 24, 32)).max() <= 1


@needs_cuda
def test_frames_and_answers_pass_without_waiting_for_the_device() -> None:
    engine = _engine(CUDA)
    engine.step(30)
    engine.fetch().wait()
    torch.cuda.set_sync_debug_mode("error")
    try:
        engine.set_target(_frame(480, 640))
        engine.step(8)
        fetched = engine.fetch()
        engine.step(8)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert fetched.wait()[1].shape == (2, 24, 32)
