"""Annotations at working resolution: targets, implied labels and priors."""

from __future__ import annotations

import numpy as np

from neural_seg_ros import Annotation, Box, Click, SessionConfig
from neural_seg_ros.annotations.implied import PRIOR_WEIGHT, AnnotationTargets, FrameAnnotation, classes_among, draw

SIZE = (60, 80)
BOX = Box(10, 10, 49, 39, 1, bounding=True)


def drawn(*annotations: Annotation, channels: tuple[int, ...] = (0, 1, 2)) -> AnnotationTargets:
    """On a gray frame with a red square in ``BOX`` and a blue one beside it, half inside ``BOX``."""
    frame = np.full((*SIZE, 3), 128, np.uint8)
    frame[15:30, 15:30] = 200, 30, 30
    frame[15:30, 45:60] = 30, 30, 200
    placed = [FrameAnnotation(annotation, 0.0, SIZE, 1, number) for number, annotation in enumerate(annotations)]
    return draw(annotations, classes_among(placed, 255), channels, frame, SIZE, SessionConfig())


def presumed(of: AnnotationTargets, channel: int) -> np.ndarray:
    return (of.weights == np.float32(PRIOR_WEIGHT)) & (of.labels == channel)


def test_one_box_implies_background_and_a_prior_inside() -> None:
    found = drawn(BOX)
    outside = np.ones(SIZE, np.bool_)
    outside[10:40, 10:50] = False
    assert np.array_equal(found.outside[1], outside)
    assert np.array_equal(found.weights == 1, outside)
    assert (found.labels[outside] == 0).all()
    there = presumed(found, 1)
    assert there[17:28, 17:28].all(), "the red square"
    assert not there[outside].any()
    assert not there[17:28, 47:].any(), "blue is outside too"
    assert not there[31:].any(), "grey is outside too"


def test_an_annotation_replaces_the_prior_in_its_box_only() -> None:
    other = Box(60, 40, 75, 55, 1, bounding=True)
    found = presumed(drawn(BOX, other, Click(20, 20, 1)), 1)
    assert not found[10:40, 10:50].any()
    assert found[40:56, 60:76].any()
    assert presumed(drawn(BOX, Click(70, 5, 1)), 1).any(), "a click outside says nothing of the inside"


def test_background_colors_in_a_box_get_no_prior() -> None:
    found = drawn(BOX, Click(20, 20, 0))
    assert found.labels[20, 20] == 0
    assert presumed(drawn(BOX), 1)[22, 22]
    assert not presumed(found, 1)[17:28, 17:28].all()


def test_the_smaller_of_two_boxes_holds_where_they_overlap() -> None:
    inner = Box(15, 15, 29, 29, 2, bounding=True)
    for boxes in ((BOX, inner), (inner, BOX)):
        assert presumed(drawn(*boxes), 2).any()


def test_background_is_outside_only_if_all_objects_have_boxes() -> None:
    second = Box(60, 40, 75, 55, 2, bounding=True)
    both = drawn(BOX, second)
    assert np.array_equal(both.weights == 1, both.outside[1] & both.outside[2])
    beside = drawn(BOX, Click(70, 50, 2), channels=(1, 2))
    assert set(beside.outside) == {0}
    assert (beside.weights == 1).sum() == 1
