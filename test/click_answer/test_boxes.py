"""Objects in bounding boxes, found by iterated cuts."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from neural_seg_ros import Annotation, Box, Click, SessionConfig
from neural_seg_ros.annotations.implied import AnnotationTargets, FrameAnnotation, classes_among, draw
from neural_seg_ros.click_answer.boxes import recall_boxes
from neural_seg_ros.click_answer.carried_seeds import CARRIED_SEED_WEIGHT
from neural_seg_ros.metrics import iou
from neural_seg_ros.regions import Regions, prepare_regions

SIZE = (120, 160)
PERSON, BALL = Box(30, 20, 69, 99, 1, bounding=True), Box(100, 60, 129, 89, 2, bounding=True)


@pytest.fixture(scope="module")
def frame() -> NDArray[np.uint8]:
    """Red above blue in PERSON and yellow in BALL, on noisy gray."""
    ground = np.random.default_rng(0).integers(110, 146, (*SIZE, 3), np.uint8)
    ground[20:60, 30:70] = 190, 40, 40
    ground[60:100, 40:60] = 40, 50, 180
    ground[60:90, 100:130] = 220, 200, 40
    return ground


@pytest.fixture(scope="module")
def regions(frame: NDArray[np.uint8]) -> Regions:
    return prepare_regions(frame)


def drawn(frame: NDArray[np.uint8], *annotations: Annotation) -> AnnotationTargets:
    placed = [FrameAnnotation(annotation, 0.0, SIZE, 1, number) for number, annotation in enumerate(annotations)]
    return draw(annotations, classes_among(placed, 255), (0, 1, 2), frame, SIZE, SessionConfig())


def remembered(of: AnnotationTargets, channel: int) -> NDArray[np.bool_]:
    return np.asarray((of.weights == np.float32(CARRIED_SEED_WEIGHT)) & (of.labels == channel))


def test_an_object_of_several_colors_is_found_whole(frame: NDArray[np.uint8], regions: Regions) -> None:
    found = recall_boxes(drawn(frame, PERSON), regions)
    truth = np.zeros(SIZE, np.uint8)
    truth[20:60, 30:70] = truth[60:100, 40:60] = 1
    assert iou(remembered(found, 1).astype(np.uint8), truth) > 0.9
    assert remembered(found, 0)[70:95, 32:37].all(), "ground in the box"


def test_every_box_has_its_own_object(frame: NDArray[np.uint8], regions: Regions) -> None:
    found = recall_boxes(drawn(frame, PERSON, BALL), regions)
    assert remembered(found, 1)[30:90, 45:55].all()
    assert remembered(found, 2)[65:85, 105:125].all()


def test_what_a_user_says_in_a_box_is_kept(frame: NDArray[np.uint8], regions: Regions) -> None:
    asked = drawn(frame, PERSON, Click(50, 80, 0))
    found = recall_boxes(asked, regions)
    assert (found.weights[80, 50], found.labels[80, 50]) == (1, 0)
    assert not remembered(found, 1)[75:85, 45:55].any()
    assert remembered(found, 1)[30:50, 40:60].all()
    found = recall_boxes(drawn(frame, PERSON, Click(50, 80, 0), Click(35, 90, 1)), regions)
    assert (found.weights[90, 35], found.labels[90, 35]) == (1, 1)
    assert not remembered(found, 1)[75:85, 45:55].any()


def test_beside_an_unboxed_object_a_box_may_hold_anything(frame: NDArray[np.uint8], regions: Regions) -> None:
    found = recall_boxes(drawn(frame, PERSON, Click(115, 75, 2)), regions)
    assert remembered(found, 1)[30:50, 40:60].all()
    assert not remembered(found, 0).any()


def test_a_box_of_the_whole_frame_uses_its_border(frame: NDArray[np.uint8], regions: Regions) -> None:
    found = recall_boxes(drawn(frame, Box(0, 0, 159, 119, 1, bounding=True)), regions)
    assert remembered(found, 1)[30:50, 40:60].all()
    assert remembered(found, 0)[2:15, 2:-2].all()


def test_the_smaller_of_two_boxes_holds_where_they_overlap(frame: NDArray[np.uint8], regions: Regions) -> None:
    legs = Box(38, 58, 61, 101, 2, bounding=True)
    for boxes in ((PERSON, legs), (legs, PERSON)):
        found = recall_boxes(drawn(frame, *boxes), regions)
        assert remembered(found, 2)[65:95, 45:55].all()
        assert remembered(found, 1)[25:50, 40:60].all()
