"""Answers at click time from the region graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from neural_seg_ros.click_answer.graph import graph_answer
from neural_seg_ros.evaluation.datasets import object_items, region_items
from neural_seg_ros.evaluation.robot import first_region_clicks, next_object_click
from neural_seg_ros.metrics import iou, mean_iou
from neural_seg_ros.regions import Regions, prepare_regions

COLORS = ((180, 60, 50), (60, 150, 70), (60, 80, 170), (200, 190, 90))
AnnotationTargets = tuple[NDArray[np.int64], NDArray[np.float32]]


@pytest.fixture(scope="module")
def quarters() -> NDArray[np.int64]:
    """Return the class of each pixel, 0 to 3, of a 90 x 120 frame in four quarters."""
    truth = np.zeros((90, 120), np.int64)
    truth[:45, 60:], truth[45:, :60], truth[45:, 60:] = 1, 2, 3
    return truth


@pytest.fixture(scope="module")
def regions(quarters: NDArray[np.int64]) -> Regions:
    noise = np.random.default_rng(1).normal(0, 8, (*quarters.shape, 3))
    return prepare_regions(np.clip(np.array(COLORS)[quarters] + noise, 0, 255).astype(np.uint8))


def drawn(shape: tuple[int, ...], *clicks: tuple[int, int, int]) -> AnnotationTargets:
    """Labels and weights of clicks (x, y, class)."""
    labels, weights = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
    for x, y, channel in clicks:
        labels[y, x], weights[y, x] = channel, 1
    return labels, weights


def assert_probabilities(answer: NDArray[np.float32], count: int, shape: tuple[int, ...]) -> None:
    assert answer.shape == (count, *shape)
    assert answer.dtype == np.float32
    assert answer.min() >= 0
    assert np.allclose(answer.sum(0), 1, atol=1e-5)


def test_one_click_a_class_finds_the_classes(regions: Regions, quarters: NDArray[np.int64]) -> None:
    answer = graph_answer(
        regions, *drawn(quarters.shape, (30, 20, 0), (90, 20, 1), (30, 70, 2), (90, 70, 3)), count=4
    ).probabilities
    assert_probabilities(answer, 4, quarters.shape)
    assert (answer.argmax(0) == quarters).mean() > 0.97


def test_two_classes_divide_the_frame(regions: Regions, quarters: NDArray[np.int64]) -> None:
    labels, weights = drawn(quarters.shape, (90, 70, 1), (20, 20, 0), (30, 70, 0), (90, 20, 0))
    answer = graph_answer(regions, labels, weights, 2).probabilities
    assert_probabilities(answer, 2, quarters.shape)
    assert ((answer[1] > 0.5) == (quarters == 3)).mean() > 0.97


def test_one_object_click_against_a_presumed_border() -> None:
    image = np.full((90, 120, 3), (70, 90, 60), np.uint8)
    truth = np.zeros((90, 120), bool)
    truth[25:65, 40:90] = True
    image[truth] = (190, 60, 60)
    labels, weights = drawn(truth.shape, (60, 45, 1))
    weights[[0, -1]] = weights[:, [0, -1]] = 0.1
    answer = graph_answer(prepare_regions(image), labels, weights, 2).probabilities
    assert ((answer[1] > 0.5) == truth).mean() > 0.98


def test_dense_masks_come_back_as_they_were(regions: Regions) -> None:
    labels = np.random.default_rng(0).integers(0, 3, (9, 12)).repeat(10, 0).repeat(10, 1)
    answer = graph_answer(regions, labels, np.ones(labels.shape, np.float32), 3).probabilities
    assert_probabilities(answer, 3, labels.shape)
    assert np.array_equal(answer.argmax(0), labels)


def test_boxes_and_strokes_are_kept(regions: Regions, quarters: NDArray[np.int64]) -> None:
    labels, weights = drawn(quarters.shape)
    labels[10:30, 20:80], weights[10:30, 20:80] = 1, 1
    labels[60, 5:110], weights[60, 5:110] = 2, 1
    answer = graph_answer(regions, labels, weights, 3).probabilities
    assert np.array_equal(answer.argmax(0)[weights > 0], labels[weights > 0])


def test_clicks_of_two_classes_on_one_region_divide_it(regions: Regions, quarters: NDArray[np.int64]) -> None:
    inside = np.argwhere(regions.ids == regions.areas.argmax())
    (y0, x0), (y1, x1) = inside[0], inside[-1]
    labels, weights = drawn(quarters.shape, (x0, y0, 0), (x1, y1, 1))
    found = graph_answer(regions, labels, weights, 2).probabilities.argmax(0)
    assert found[y0, x0] == 0
    assert found[y1, x1] == 1


def test_a_class_without_annotation_gets_nothing_certain(regions: Regions, quarters: NDArray[np.int64]) -> None:
    answer = graph_answer(regions, *drawn(quarters.shape, (30, 20, 0), (90, 70, 2)), count=4).probabilities
    assert_probabilities(answer, 4, quarters.shape)
    assert set(np.unique(answer.argmax(0))) == {0, 2}


def test_without_annotations_every_class_is_as_likely(regions: Regions, quarters: NDArray[np.int64]) -> None:
    assert (graph_answer(regions, *drawn(quarters.shape), count=4).probabilities == 0.25).all()


def test_one_class_alone_is_everywhere(regions: Regions, quarters: NDArray[np.int64]) -> None:
    assert (graph_answer(regions, *drawn(quarters.shape, (30, 20, 0)), count=1).probabilities == 1).all()


def test_the_same_annotations_give_the_same_answer(regions: Regions, quarters: NDArray[np.int64]) -> None:
    clicks = drawn(quarters.shape, (30, 20, 0), (90, 20, 1))
    assert np.array_equal(
        graph_answer(regions, *clicks, count=2).probabilities, graph_answer(regions, *clicks, count=2).probabilities
    )


@pytest.mark.slow
def test_few_clicks_find_an_object(data_root: Path) -> None:
    ious = []
    for item in object_items(data_root, limit=3):
        sample = item.load(200)
        graph, found, clicks = prepare_regions(sample.image), np.zeros(sample.truth.shape, np.uint8), []
        for _ in range(3):
            click = next_object_click(found, sample.truth, clicks)
            assert click is not None
            clicks.append(click)
            labels, weights = drawn(found.shape, *((int(c.x), int(c.y), c.class_id) for c in clicks))
            ring = np.ones(found.shape, bool)
            ring[1:-1, 1:-1] = False
            weights[ring & (weights == 0)] = 0.1
            found = graph_answer(graph, labels, weights, 2).probabilities.argmax(0).astype(np.uint8)
        ious.append(iou(found, sample.truth))
    assert np.mean(ious) > 0.85


@pytest.mark.slow
def test_one_click_a_segment_of_a_photograph(data_root: Path) -> None:
    values = []
    for item in region_items(data_root, limit=6)[1:]:
        sample = item.load(240)
        classes = np.unique(sample.truth[sample.truth != 255])
        clicks = [
            (int(c.x), int(c.y), int(np.searchsorted(classes, c.class_id))) for c in first_region_clicks(sample.truth)
        ]
        labels, weights = drawn(sample.truth.shape, *clicks)
        graph = prepare_regions(sample.image)
        answer = graph_answer(graph, labels, weights, len(classes)).probabilities
        values.append(mean_iou(classes[answer.argmax(0)].astype(np.uint8), sample.truth))
    assert np.mean(values) > 0.55
