"""Extents: a few marks do not spread over the frame, and shapes that stand out score higher."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from neural_seg_ros.click_answer.candidates import candidates_of
from neural_seg_ros.click_answer.extent import ShapeScorer, assume_rest, distance_from
from neural_seg_ros.click_answer.graph import graph_answer
from neural_seg_ros.metrics import iou
from neural_seg_ros.regions import Regions, prepare_regions
from neural_seg_ros.regions.seeds import seeds_of

SIZE = HEIGHT, WIDTH = 120, 160
REST, OBJECT = 0, 1


@pytest.fixture(scope="module")
def truth() -> NDArray[np.int64]:
    """Return 1 in a small square in the middle of the frame."""
    truth = np.zeros(SIZE, np.int64)
    truth[45:75, 65:95] = 1
    return truth


@pytest.fixture(scope="module")
def regions(truth: NDArray[np.int64]) -> Regions:
    """Return the graph of a red square on a ground of green and blue stripes, all with noise."""
    ground = np.where((np.arange(WIDTH) // 20 % 2 == 0)[None, :, None], (60, 150, 70), (60, 80, 170))
    image = np.where(truth[..., None] == 1, (190, 60, 50), ground)
    noise = np.random.default_rng(0).normal(0, 8, (*SIZE, 3))
    return prepare_regions(np.clip(image + noise, 0, 255).astype(np.uint8))


def drawn(marks: list[tuple[int, int]]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return labels and weights of object clicks (x, y), with the border assumed to be the rest."""
    labels, weights = np.full(SIZE, REST), np.zeros(SIZE, np.float32)
    weights[[0, -1]] = weights[:, [0, -1]] = 0.1
    for x, y in marks:
        labels[y, x], weights[y, x] = OBJECT, 1
    return labels, weights


@pytest.mark.parametrize("count", [1, 3, 10])
def test_more_marks_on_an_object_do_not_spread(regions: Regions, truth: NDArray[np.int64], count: int) -> None:
    random = np.random.default_rng(count)
    marks = [
        (int(x), int(y)) for x, y in zip(random.integers(68, 92, count), random.integers(48, 72, count), strict=True)
    ]
    answer = graph_answer(regions, *drawn(marks), count=2, rest=REST).probabilities.argmax(0)
    assert iou(answer.astype(np.uint8), truth.astype(np.uint8)) > 0.9


def test_only_far_superpixels_are_assumed_to_be_the_rest(regions: Regions) -> None:
    seeds = seeds_of(regions, *drawn([(80, 60)]), 2)
    distances = distance_from(regions, seeds.hard[OBJECT])
    assert distances[seeds.hard[OBJECT]].max() < 0.03
    bounded = assume_rest(regions, seeds, distances, 0.2, REST)
    assert (bounded.presumed[REST] > 0)[distances > 0.2].all()
    assert np.array_equal(bounded.presumed[:, distances <= 0.2], seeds.presumed[:, distances <= 0.2])
    assert np.array_equal(bounded.hard, seeds.hard)


def test_a_shape_that_stands_out_scores_highest(regions: Regions, truth: NDArray[np.int64]) -> None:
    def shape(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.bincount(regions.ids.ravel(), mask.ravel(), minlength=regions.count) > regions.areas / 2

    square = truth == 1
    grown, half = np.zeros(SIZE, np.bool_), np.zeros(SIZE, np.bool_)
    grown[30:90, 50:110], half[45:75, 65:80] = True, True
    scorer = ShapeScorer(regions, shape(square))
    assert scorer.score(shape(square)) > max(scorer.score(shape(grown)), scorer.score(shape(half)))


def test_without_a_rest_the_named_classes_share_the_frame(regions: Regions) -> None:
    labels, weights = drawn([(80, 60)])
    labels[10, 10], weights[10, 10] = REST, 1
    seeds = seeds_of(regions, labels, weights, 2)
    shared, votes, _ = candidates_of(regions, seeds, None)
    assert len(shared) == len(votes) == 8
    assert (votes == 1).all()
    bounded, votes, _ = candidates_of(regions, seeds, None, REST)
    assert len(bounded) == len(votes) == 12
    assert votes.max() == 1


def test_two_objects_leave_the_rest_alone() -> None:
    truth = np.zeros(SIZE, np.int64)
    truth[20:50, 20:50], truth[70:100, 100:130] = 1, 2
    colors = np.array([(60, 150, 70), (190, 60, 50), (60, 80, 170)])
    noise = np.random.default_rng(0).normal(0, 8, (*SIZE, 3))
    regions = prepare_regions(np.clip(colors[truth] + noise, 0, 255).astype(np.uint8))
    labels, weights = drawn([(35, 35), (115, 85)])
    labels[85, 115] = 2
    answer = graph_answer(regions, labels, weights, count=3, rest=REST).probabilities.argmax(0)
    assert (answer == truth).mean() > 0.98
    seeds = replace(seeds_of(regions, labels, weights, 3))
    assert seeds.hard[1:].any(1).all()
