"""A correction changes what lies around it and keeps what the tracker knew elsewhere, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from neural_seg_ros.click_answer.carried_seeds import keep_elsewhere
from neural_seg_ros.click_answer.estimate import Estimate
from neural_seg_ros.click_answer.graph import GraphAnswer
from neural_seg_ros.regions import Regions, prepare_regions

SIZE = 60, 90


@pytest.fixture(scope="module")
def regions() -> Regions:
    noise = np.random.default_rng(0).integers(0, 60, (*SIZE, 3))
    return prepare_regions(noise.astype(np.uint8))


def test_only_the_part_around_the_annotation_changes(regions: Regions) -> None:
    x, _ = np.rint(regions.centroids).astype(int).T
    previous = np.zeros(regions.count, np.int64)
    left, right = x < 25, x > 65
    classes = (left | right).astype(np.int64)
    answer = GraphAnswer(np.eye(2, dtype=np.float32)[classes].T[:, regions.ids], classes, 1.0)
    # The tracker knew a line of one pixel that no superpixel has.
    known = np.zeros(SIZE, np.float32)
    known[:, 45] = 1
    base = Estimate(np.zeros((*SIZE, 3), np.uint8), np.stack([1 - known, known]))
    drawn = np.zeros(SIZE, np.bool_)
    drawn[30, 5] = True
    kept = keep_elsewhere(regions, answer, base, previous, drawn)
    assert np.array_equal(kept.classes == 1, left)
    assert (kept.probabilities[1][left[regions.ids]] == 1).all()
    assert np.array_equal(kept.probabilities[1][~left[regions.ids]], known[~left[regions.ids]])


def test_a_class_that_the_tracker_did_not_know_is_added(regions: Regions) -> None:
    classes = np.zeros(regions.count, np.int64)
    x, _ = np.rint(regions.centroids).astype(int).T
    classes[x < 25] = 2
    answer = GraphAnswer(np.eye(3, dtype=np.float32)[classes].T[:, regions.ids], classes, 1.0)
    base = Estimate(np.zeros((*SIZE, 3), np.uint8), np.full((2, *SIZE), 0.5, np.float32))
    drawn = np.zeros(SIZE, np.bool_)
    drawn[30, 5] = True
    kept = keep_elsewhere(regions, answer, base, np.zeros(regions.count, np.int64), drawn)
    assert kept.probabilities.shape == (3, *SIZE)
    assert kept.probabilities.sum(0) == pytest.approx(1)
    assert np.array_equal(kept.classes, classes)
