"""Metrics against hand-counted cases."""

import numpy as np
import pytest

from neural_seg_ros.metrics import IGNORE, boundary_f, clicks_needed, error_rate, iou, mean_iou


def square(size: int, top: int, left: int, side: int) -> np.ndarray:
    mask = np.zeros((size, size), np.uint8)
    mask[top : top + side, left : left + side] = 1
    return mask


def test_iou_counts_pixels_and_leaves_ignored_ones_out():
    truth = np.array([[1, 1, 0, 0], [1, IGNORE, 0, IGNORE]], np.uint8)
    labels = np.array([[1, 0, 1, 0], [1, 0, 0, 1]], np.uint8)
    assert iou(labels, truth) == pytest.approx(2 / 4)
    assert iou(truth, truth) == 1.0
    assert iou(np.zeros_like(truth), np.zeros_like(truth)) == 1.0


def test_mean_iou_is_over_the_classes_of_the_truth():
    truth = np.array([[1, 1, 2, 2, IGNORE]], np.uint8)
    labels = np.array([[1, 2, 2, 7, 3]], np.uint8)
    assert mean_iou(labels, truth) == pytest.approx((1 / 2 + 1 / 3) / 2)


def test_boundary_f_accepts_two_pixels():
    truth = square(60, 20, 20, 20)
    assert boundary_f(truth == 1, truth) == 1.0
    assert boundary_f(square(60, 20, 22, 20) == 1, truth) == 1.0
    assert boundary_f(square(60, 20, 23, 20) == 1, truth) < 0.8
    assert boundary_f(square(60, 45, 45, 10) == 1, truth) == 0.0


def test_boundary_f_of_missing_boundaries():
    empty = np.zeros((20, 20), np.uint8)
    assert boundary_f(empty == 1, empty) == 1.0
    assert boundary_f(empty == 1, square(20, 5, 5, 8)) == 0.0
    assert boundary_f(square(20, 5, 5, 8) == 1, empty) == 0.0


@pytest.mark.parametrize("margin", [0, 3, 6])
def test_boundary_anywhere_inside_the_ignored_band_is_right(margin):
    truth = square(80, 20, 20, 40)
    truth[20:60, 20:60] = IGNORE
    truth[26:54, 26:54] = 1
    inside = square(80, 20 + margin, 20 + margin, 40 - 2 * margin) == 1
    assert boundary_f(inside, truth) == 1.0
    assert boundary_f(square(80, 40, 40, 4) == 1, truth) == 0.0


def test_error_rate_counts_missed_and_false_pixels():
    truth = np.array([[1, 1, 0, 0], [1, IGNORE, 2, IGNORE]], np.uint8)
    labels = np.array([[1, 0, 1, 0], [1, 0, 0, 1]], np.uint8)
    assert error_rate(labels, truth) == pytest.approx(2 / 6)
    assert error_rate(labels, np.full_like(truth, IGNORE)) == 0.0


def test_clicks_needed_is_the_first_that_reaches_the_quality():
    curve = [0.5, 0.86, 0.8, 0.91]
    assert clicks_needed(curve, 0.85) == 2
    assert clicks_needed(curve, 0.90) == 4
    assert clicks_needed(curve, 0.95) == 20
    assert clicks_needed(curve, 0.90, most=3) == 3
