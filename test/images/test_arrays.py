"""The most probable class is NumPy's argmax."""

import numpy as np
import pytest

from neural_seg_ros.images.arrays import likeliest


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
