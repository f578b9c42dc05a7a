"""Peers turn clicks into labels: the clicked colors are told apart, and every pixel gets a clicked class."""

import numpy as np
import pytest

from neural_seg_ros.annotations import Box, Click, Stroke
from neural_seg_ros.evaluation.clicks.peers import BOX_PEERS, OBJECT_PEERS, REGION_PEERS
from neural_seg_ros.evaluation.datasets import object_items
from neural_seg_ros.evaluation.robot import next_object_click
from neural_seg_ros.metrics import iou, mean_iou


@pytest.fixture
def scene() -> tuple[np.ndarray, np.ndarray]:
    """Return a red square on noisy blue, with the square as truth."""
    truth = np.zeros((80, 100), np.uint8)
    truth[25:60, 30:75] = 1
    image = np.where(truth[..., None] == 1, (200, 40, 30), (30, 50, 160)).astype(np.float64)
    image += np.random.default_rng(0).normal(0, 6, image.shape)
    return image.clip(0, 255).astype(np.uint8), truth


@pytest.mark.parametrize("name", OBJECT_PEERS)
def test_two_clicks_separate_an_object_of_its_own_color(name, scene):
    image, truth = scene
    labeler = OBJECT_PEERS[name]()
    labeler.start(image)
    labeling = labeler.label([Click(52, 42, 1), Click(5, 5, 0)])
    assert labeling.labels.dtype == np.uint8
    assert iou(labeling.labels, truth) > 0.9


@pytest.mark.parametrize("name", OBJECT_PEERS)
def test_one_positive_click_leaves_the_border_as_background(name, scene):
    image, _ = scene
    labeler = OBJECT_PEERS[name]()
    labeler.start(image)
    labels = labeler.label([Click(52, 42, 1)]).labels
    assert labels[42, 52] == 1
    assert not labels[[0, -1]].any()
    assert not labels[:, [0, -1]].any()


@pytest.mark.parametrize("name", OBJECT_PEERS)
def test_negative_clicks_alone_find_nothing(name, scene):
    image, _ = scene
    labeler = OBJECT_PEERS[name]()
    labeler.start(image)
    assert not labeler.label([Click(3, 3, 0)]).labels.any()


@pytest.mark.parametrize("name", REGION_PEERS)
def test_three_classes_each_get_their_part(name):
    truth = np.repeat(np.repeat(np.array([[1, 2], [1, 3]], np.uint8), 40, 0), 40, 1)
    image = np.array([(0, 0, 0), (220, 60, 60), (60, 220, 60), (60, 60, 220)], np.uint8)[truth]
    labeler = REGION_PEERS[name]()
    labeler.start(image)
    labeling = labeler.label([Click(20, 40, 1), Click(60, 20, 2), Click(60, 60, 3)])
    assert mean_iou(labeling.labels, truth) > 0.8
    if labeling.confidence is not None:
        assert labeling.confidence.dtype == np.float32
        assert labeling.confidence.min() >= 1 / 3 - 1e-6
        assert labeling.confidence.max() <= 1


@pytest.mark.parametrize("name", REGION_PEERS)
def test_a_stroke_says_what_all_its_pixels_are(name):
    truth = np.repeat(np.array([[1, 2]], np.uint8), 60, 0).repeat(40, 1)
    image = np.array([(0, 0, 0), (220, 60, 60), (60, 220, 60)], np.uint8)[truth]
    labeler = REGION_PEERS[name]()
    labeler.start(image)
    strokes = [Stroke(((20, 5), (20, 30), (25, 55)), 1), Stroke(((60, 5), (60, 55)), 2)]
    labels = labeler.label(strokes).labels
    assert mean_iou(labels, truth) > 0.9
    assert (labels[5:56, 60] == 2).all()
    corrected = labeler.label([*strokes, Click(60, 30, 1)]).labels
    assert corrected[30, 60] == 1


@pytest.mark.parametrize("name", BOX_PEERS)
def test_a_box_holds_the_object_and_a_click_corrects_it(name, scene):
    image, truth = scene
    labeler = BOX_PEERS[name]()
    labeler.start(image)
    box = Box(25, 20, 80, 65, 1, bounding=True)
    labels = labeler.label([box]).labels
    assert iou(labels, truth) > 0.9
    assert not labels[:20].any()
    assert not labels[:, :25].any()
    assert labeler.label([box, Click(52, 42, 0)]).labels[42, 52] == 0


@pytest.mark.parametrize("name", BOX_PEERS)
def test_a_box_may_be_as_large_as_the_image(name, scene):
    image, truth = scene
    labeler = BOX_PEERS[name]()
    labeler.start(image)
    assert iou(labeler.label([Box(0, 0, 99, 79, 1, bounding=True)]).labels, truth) > 0.9


@pytest.mark.parametrize("name", OBJECT_PEERS)
def test_the_same_clicks_give_the_same_labels(name, data_root):
    sample = object_items(data_root, limit=1)[0].load(longer_side=160)
    click = next_object_click(np.zeros_like(sample.truth), sample.truth)
    answers = []
    for _ in range(2):
        labeler = OBJECT_PEERS[name]()
        labeler.start(sample.image)
        answers.append(labeler.label([click]).labels)
    assert np.array_equal(*answers)
