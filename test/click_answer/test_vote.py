"""The vote of the candidates."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from neural_seg_ros.click_answer.vote import PastClick, shares_of
from neural_seg_ros.regions import Regions, prepare_regions


@pytest.fixture(scope="module")
def regions() -> Regions:
    """Return a noisy frame of 60 x 80 pixels."""
    return prepare_regions(np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8))


def where(regions: Regions, rows: slice, columns: slice) -> NDArray[np.int64]:
    """Class 1 in the regions with their center in a rectangle, else 0: (R,)."""
    x, y = regions.centroids.T
    inside = (x >= columns.start) & (x < columns.stop) & (y >= rows.start) & (y < rows.stop)
    return inside.astype(np.int64)


def test_without_clicks_the_weights_are_the_shares(regions: Regions) -> None:
    nothing = np.zeros(regions.count, np.int64)
    assert shares_of(regions, [nothing, nothing], np.array([1.0, 3.0]), ()) == pytest.approx([0.25, 0.75])


def test_a_click_in_the_middle_of_what_changes_is_plausible(regions: Regions) -> None:
    previous_labels = np.zeros(regions.count, np.int64)
    around = where(regions, slice(10, 50), slice(10, 50))
    beside = where(regions, slice(10, 50), slice(26, 80))
    shares = shares_of(regions, [around, beside], np.ones(2), [PastClick(1, 30, 30, previous_labels)])
    assert shares[0] > 0.7
    assert shares.sum() == pytest.approx(1)


def test_a_click_into_a_small_change_is_implausible(regions: Regions) -> None:
    previous_labels = np.zeros(regions.count, np.int64)
    small = where(regions, slice(5, 15), slice(5, 15))
    flooded = np.maximum(small, where(regions, slice(20, 60), slice(20, 80)))
    shares = shares_of(regions, [small, flooded], np.ones(2), [PastClick(1, 10, 10, previous_labels)])
    assert shares[0] > 0.8


def test_what_the_user_saw_already_is_no_error(regions: Regions) -> None:
    flooded = where(regions, slice(20, 60), slice(20, 80))
    small = where(regions, slice(5, 15), slice(5, 15))
    candidates = [small, np.maximum(small, flooded)]
    click = PastClick(1, 10, 10, flooded)
    assert shares_of(regions, candidates, np.ones(2), [click])[1] > 0.8
