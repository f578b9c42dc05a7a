"""Confidence against hand-counted cases: calibration error, and risk against coverage."""

import numpy as np
import pytest

from neural_seg_ros.evaluation.clicks.calibration import Calibration, calibration_of
from neural_seg_ros.evaluation.labelers import Labeling
from neural_seg_ros.metrics import IGNORE


def test_calibration_error_is_the_gap_to_the_success_rate():
    assert Calibration.of(np.full(10, 0.8), np.arange(10) < 8).expected_error() == pytest.approx(0.0)
    assert Calibration.of(np.full(10, 1.0), np.arange(10) < 6).expected_error() == pytest.approx(0.4)
    opposite = Calibration.of(np.array([0.1, 0.1, 0.9, 0.9]), np.array([1, 1, 0, 0], bool))
    assert opposite.expected_error() == pytest.approx(0.9)
    assert Calibration.of(np.empty(0), np.empty(0, bool)).expected_error() == 0.0


def test_calibration_error_has_fifteen_bins():
    # .61 and .66 share the bin up to 2/3, .67 does not: errors of opposite sign cancel inside a bin alone.
    right = np.repeat([True, False], 10)
    same = Calibration.of(np.repeat([0.61, 0.66], 10), right)
    other = Calibration.of(np.repeat([0.61, 0.67], 10), right)
    assert same.expected_error() == pytest.approx(abs(0.5 - 0.635))
    assert other.expected_error() == pytest.approx((0.39 + 0.67) / 2)


def test_images_pooled_are_all_their_pixels():
    generator = np.random.default_rng(0)
    confidence, right = generator.random((2, 500)), generator.random((2, 500)) < 0.7
    pooled = Calibration.of(confidence[0], right[0]) + Calibration.of(confidence[1], right[1])
    assert pooled.expected_error() == pytest.approx(Calibration.of(confidence, right).expected_error())
    # One image too sure and one not sure enough: each is wrong, together they are right.
    confidence = np.full(10, 0.7)
    sure, unsure = (Calibration.of(confidence, np.arange(10) < count) for count in (5, 9))
    assert [each.expected_error() for each in (sure, unsure)] == pytest.approx([0.2, 0.2])
    assert (sure + unsure).expected_error() == pytest.approx(0.0)


def test_risk_is_the_error_rate_of_the_most_confident_share():
    confidence = np.array([0.9, 0.8, 0.7, 0.6])
    assert Calibration.of(confidence, np.array([1, 1, 1, 0], bool)).risk(4) == pytest.approx([0, 0, 0, 1 / 4])
    assert Calibration.of(confidence, np.array([0, 1, 1, 1], bool)).risk(4) == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    assert Calibration.of(np.full(4, 0.5), np.arange(4) < 3).risk(4) == pytest.approx([1 / 4] * 4)


def test_area_under_risk_prefers_errors_with_low_confidence():
    confidence, wrong = np.linspace(0.05, 0.95, 1000), np.arange(1000) < 200
    good, bad = Calibration.of(confidence, ~wrong), Calibration.of(confidence, wrong)
    # The best order of 20 % errors: integral of (c - .8)/c from .8 to 1.
    assert good.area_under_risk() == pytest.approx(0.2 + 0.8 * np.log(0.8), abs=2e-3)
    assert Calibration.of(np.full(1000, 0.5), ~wrong).area_under_risk() == pytest.approx(0.2)
    assert bad.area_under_risk() > 0.9


def test_calibration_needs_confidence_and_judged_pixels():
    labels, truth = np.array([[1, 0, 1]], np.uint8), np.array([[1, 1, IGNORE]], np.uint8)
    assert calibration_of(Labeling(labels), truth) is None
    found = calibration_of(Labeling(labels, np.array([[1.0, 0.5, 0.2]], np.float32)), truth)
    assert found.pixels.sum() == 2
    assert found.expected_error() == pytest.approx(0.25)
