"""Full-size answers: edges land on the image's edges, memory is bounded, probabilities stay probabilities."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from neural_seg_ros.images.arrays import resize_image
from neural_seg_ros.session import upsampling as upsample
from neural_seg_ros.session.upsampling import guided_upsampler


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return a disc of 320x240 with its true mask, shrunk to 80x60, and a perfect field's answer, (2, 60, 80)."""
    y, x = np.mgrid[:240, :320]
    disc = (x - 150) ** 2 + (y - 117) ** 2 < 70**2
    frame = np.where(disc[..., None], (200, 180, 60), (40, 70, 120)).astype(np.uint8)
    frame = np.clip(frame + np.random.default_rng(0).normal(0, 5, frame.shape), 0, 255).astype(np.uint8)
    small = cv2.resize(disc.astype(np.float32), (80, 60), interpolation=cv2.INTER_AREA)
    return frame, disc, resize_image(frame, 60, 80), np.stack([1 - small, small]).astype(np.float32)


def full(frame: np.ndarray, small: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    strips = [strip for _, strip in guided_upsampler(frame, small, probabilities).strips()]
    return np.concatenate(strips, axis=1)


def test_edges_are_sharper_than_bilinear() -> None:
    frame, disc, small, probabilities = scene()
    ours = full(frame, small, probabilities)
    bilinear = cv2.resize(probabilities[1], (320, 240), interpolation=cv2.INTER_LINEAR)
    assert ours.shape == (2, 240, 320)
    assert np.abs(ours[1] - disc).mean() < 0.5 * np.abs(bilinear - disc).mean()
    assert ((ours[1] > 0.5) != disc).mean() <= ((bilinear > 0.5) != disc).mean()


def test_probabilities_stay_probabilities() -> None:
    frame, _, small, probabilities = scene()
    ours = full(frame, small, probabilities)
    assert np.allclose(ours.sum(0), 1, atol=1e-5)
    assert ours.min() > 0


@pytest.mark.parametrize("values", [1_000, 30_000])
def test_strips_join_without_a_seam(monkeypatch: pytest.MonkeyPatch, values: int) -> None:
    frame, _, small, probabilities = scene()
    whole = full(frame, small, probabilities)
    monkeypatch.setattr(upsample, "STRIP_VALUES", values)
    assert np.allclose(full(frame, small, probabilities), whole, atol=2e-2)


def test_a_certain_answer_stays_certain() -> None:
    frame, _, small, _ = scene()
    certain = np.stack([np.ones((60, 80)), np.zeros((60, 80))]).astype(np.float32)
    assert full(frame, small, certain)[0].min() > 0.99
