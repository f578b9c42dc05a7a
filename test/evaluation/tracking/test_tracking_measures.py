"""The figures of DAVIS against closed-form cases."""

import numpy as np
import pytest

from neural_seg_ros.metrics import IGNORE, contour_accuracy, decay, iou, judged, recall

# The diagonal of 300 x 400 is 500, its tolerance 4 px.
SIZE, TOLERANCE = (300, 400), 4


def square(left: int, top: int = 100, side: int = 80) -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    mask[top : top + side, left : left + side] = 1
    return mask


def test_j_of_a_shifted_square_is_the_share_of_what_both_have():
    assert iou(square(100), square(100)) == 1.0
    assert iou(square(120), square(100)) == pytest.approx(60 / 100)
    assert iou(square(300), square(100)) == 0.0


def test_f_forgives_a_shift_within_the_tolerance_and_no_more():
    truth = square(100)
    assert contour_accuracy(truth, truth) == 1.0
    assert contour_accuracy(square(100 + TOLERANCE), truth) == 1.0
    # The two upright sides are off, but for their ends, where they are near the sides that lie.
    shifted = contour_accuracy(square(100 + TOLERANCE + 1), truth)
    assert 0.5 < shifted < 0.65
    assert contour_accuracy(square(300), truth) == 0.0


def test_the_tolerance_is_a_share_of_the_diagonal_rounded_up():
    small = (slice(80, 200), slice(80, 240))  # 120 x 160: diagonal 200, so 1.6 px, rounded up to 2
    assert contour_accuracy(square(102)[small], square(100)[small]) == 1.0
    assert contour_accuracy(square(103)[small], square(100)[small]) < 0.8


def test_f_is_the_harmonic_mean_of_precision_and_recall():
    two = square(100) + square(250)
    # All of the contour is right, and half of the true contour is found; and the other way round.
    assert contour_accuracy(square(100), two) == pytest.approx(2 / 3)
    assert contour_accuracy(two, square(100)) == pytest.approx(2 / 3)


def test_empty_masks():
    empty = np.zeros(SIZE, np.uint8)
    assert (iou(empty, empty), contour_accuracy(empty, empty)) == (1.0, 1.0)
    assert (iou(empty, square(100)), contour_accuracy(empty, square(100))) == (0.0, 0.0)
    assert (iou(square(100), empty), contour_accuracy(square(100), empty)) == (0.0, 0.0)


def test_the_side_of_the_image_is_no_contour():
    half, wider = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    half[:, :200] = wider[:, :203] = 1
    assert contour_accuracy(wider, half) == 1.0
    assert contour_accuracy(np.ones(SIZE, np.uint8), half) == 0.0


def test_objects_are_measured_without_ignored_pixels():
    truth = square(100) + 2 * square(250)
    labels = square(100) + 2 * square(50, top=5, side=40)
    assert contour_accuracy(labels, truth, class_id=1) == 1.0
    assert contour_accuracy(labels, truth, class_id=2) == 0.0
    truth[:, 240:] = IGNORE
    assert contour_accuracy(square(100) + square(250), truth) == 1.0


def test_the_first_and_the_last_frame_are_not_judged():
    assert judged(np.array([[1, 0.2, 0.4, 0]])).tolist() == [[0.2, 0.4]]


def test_recall_is_the_share_above_one_half():
    assert recall(np.array([0.5, 0.51, 0.9, 0.1])) == 0.5


def test_decay_is_the_first_quarter_minus_the_last():
    assert decay(np.full(12, 0.7)) == pytest.approx(0)
    steps = np.array([0.9, 0.9, 0.9, 0.5, 0.5, 0.5, 0.3, 0.3, 0.3])
    # Nine frames: quarters of three, and neighbors share one.
    assert decay(steps) == pytest.approx(0.9 - 0.3)
    assert decay(steps[::-1]) == pytest.approx(0.3 - 0.9)
    assert decay(np.array([0.8])) == 0.0
