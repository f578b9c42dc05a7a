"""The suggested click: in a large uncertain part, never where the user annotated."""

from __future__ import annotations

import numpy as np
import pytest

from neural_seg_ros.session import result as module


def suggest(confidence: np.ndarray, annotated: np.ndarray | None = None) -> tuple[float, float] | None:
    """Return the suggestion in a frame of one label."""
    return module.suggest(confidence, np.zeros(confidence.shape, np.uint8), annotated)


def confidence(size: tuple[int, int] = (480, 640)) -> np.ndarray:
    return np.full(size, 0.99, np.float32)


@pytest.mark.parametrize("size", [(48, 64), (480, 640), (1080, 1920)])
def test_the_middle_of_the_uncertain_region(size: tuple[int, int]) -> None:
    sure = confidence(size)
    height, width = size
    y, x = np.mgrid[:height, :width]
    sure[(x - width * 0.6) ** 2 + (y - height * 0.4) ** 2 < (height / 8) ** 2] = 0.6
    assert suggest(sure) == pytest.approx((width * 0.6, height * 0.4), abs=height / 30)


def test_a_compact_part_comes_before_a_thin_band() -> None:
    sure = confidence()
    sure[100:106] = 0.5
    sure[300:380, 200:280] = 0.7
    found = suggest(sure)
    assert found is not None
    assert 200 <= found[0] < 280
    assert 300 <= found[1] < 380


def test_of_two_regions_of_one_size_the_less_certain() -> None:
    sure = confidence()
    sure[100:200, 100:200] = 0.8
    sure[300:400, 400:500] = 0.6
    found = suggest(sure)
    assert found is not None
    assert found[0] >= 400


def test_an_uncertain_region_of_two_labels_is_two() -> None:
    sure = confidence()
    sure[100:300, 100:300] = 0.6
    labels = np.zeros(sure.shape, np.uint8)
    labels[:, 180:] = 3
    assert module.suggest(sure, labels) == pytest.approx((240, 200), abs=42)


def test_an_annotated_pixel_is_never_suggested() -> None:
    sure = confidence()
    sure[100:200, 100:200] = 0.6
    annotated = np.zeros(sure.shape, np.bool_)
    for _ in range(20):
        found = suggest(sure, annotated)
        assert found is not None
        x, y = (int(value) for value in found)
        assert not annotated[y, x]
        annotated[y, x] = True
    annotated[100:200, 100:200] = True
    annotated[:100] = True
    found = suggest(sure, annotated)
    assert found is None or not annotated[int(found[1]), int(found[0])]


def test_nothing_uncertain_gives_none() -> None:
    assert suggest(confidence()) is None
    assert suggest(np.full((8, 8), 0.5, np.float32), np.ones((8, 8), np.bool_)) is None
