"""Channels and labels as arrays: the most probable class, other sizes, nearest values."""

import cv2
import numpy as np
import pytest

from neural_seg_ros.images.arrays import fill_from_nearest, likeliest, resize_channels


@pytest.mark.parametrize("count", [1, 2, 7, 300])
def test_the_first_of_the_largest_and_its_value(count):
    # Few different values: there are equals.
    probabilities = np.random.default_rng(count).integers(0, 4, (count, 9, 11)).astype(np.float32) / 4
    channels, share = likeliest(probabilities)
    assert np.array_equal(channels, probabilities.argmax(0))
    assert np.array_equal(share, probabilities.max(0))


def test_nothing_is_changed():
    probabilities = np.random.default_rng(0).random((3, 4, 5), np.float32)
    before = probabilities.copy()
    likeliest(probabilities)
    assert np.array_equal(probabilities, before)


@pytest.mark.parametrize("method", [cv2.INTER_AREA, cv2.INTER_LINEAR])
def test_channels_are_resized_one_by_one(method):
    channels = np.random.default_rng(0).random((3, 8, 10), np.float32)
    resized = resize_channels(channels, 4, 6, method)
    assert resized.shape == (3, 4, 6)
    for channel, own in zip(channels, resized, strict=True):
        assert np.array_equal(cv2.resize(channel, (6, 4), interpolation=method), own)


def test_empty_pixels_get_the_nearest_value():
    values = np.array([[5, 0, 0, 0, 0, 7]], np.int16)
    empty = np.array([[False, True, True, True, True, False]])
    assert fill_from_nearest(values, empty).tolist() == [[5, 5, 5, 7, 7, 7]]
    assert not fill_from_nearest(values, np.ones_like(empty)).any()
