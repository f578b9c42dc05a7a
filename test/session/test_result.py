"""Full-size results."""

from __future__ import annotations

import numpy as np
import pytest

from neural_seg_ros.session.result import FullSize, full_size_result
from neural_seg_ros.session.upsampling import guided_upsampler


def _shown(top: float, top_odds_divisor: float) -> tuple[float, int]:
    """Confidence and label where classes 3, 5, 8 have ``top`` and half of the rest each."""
    image = np.full((8, 8, 3), 90, np.uint8)
    probabilities = np.empty((3, 8, 8), np.float32)
    probabilities[0], probabilities[1:] = top, (1 - top) / 2
    source = FullSize(guided_upsampler(image, image, probabilities), top_odds_divisor, None, {}, (3, 5, 8))
    result = full_size_result(source, 0.0, 255)
    assert np.allclose(result.probabilities.sum(0), 1, atol=1e-5)
    return float(result.confidence[4, 4]), int(result.labels[4, 4])


def test_doubt_divides_the_odds_of_the_most_probable_class() -> None:
    assert _shown(0.9, 1.0) == (pytest.approx(0.9, abs=1e-4), 3)
    assert _shown(0.9, 4.0) == (pytest.approx(9 / 13, abs=1e-4), 3)


def test_however_large_the_doubt_the_most_probable_class_stays() -> None:
    confidence, label = _shown(0.5, 100.0)
    assert label == 3
    assert 1 / 3 < confidence < 0.36
