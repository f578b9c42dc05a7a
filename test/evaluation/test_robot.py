"""The robot user clicks where a person would: in the middle of the largest error, with the true class."""

import numpy as np
import pytest

from neural_seg_ros.annotations import Click
from neural_seg_ros.evaluation.robot import first_region_clicks, next_object_click, next_region_click
from neural_seg_ros.metrics import IGNORE


@pytest.fixture
def truth() -> np.ndarray:
    """Return an object of 21 x 21 pixels with its center at (30, 20)."""
    mask = np.zeros((50, 60), np.uint8)
    mask[10:31, 20:41] = 1
    return mask


def test_first_click_is_at_the_center_of_the_object(truth):
    assert next_object_click(np.zeros_like(truth), truth) == Click(30, 20, 1)


def test_a_false_object_gets_a_negative_click(truth):
    labels = truth.copy()
    labels[35:46, 1:12] = 1
    assert next_object_click(labels, truth) == Click(6, 40, 0)


def test_a_deep_error_comes_before_a_long_thin_one(truth):
    labels = truth.copy()
    labels[0:3, :] = 1  # 180 pixels, 3 deep
    labels[15:24, 25:34] = 0  # 81 pixels, 9 deep
    assert next_object_click(labels, truth) == Click(29, 19, 1)


def test_ignored_pixels_and_right_answers_get_no_click(truth):
    truth[:, :20] = IGNORE
    labels = truth.copy()
    labels[:, :20] = 1
    assert next_object_click(labels, truth) is None
    assert next_region_click(labels, truth) is None


def test_the_same_pixel_is_never_clicked_twice(truth):
    labels, clicks = np.zeros_like(truth), []
    for _ in range(5):
        clicks.append(next_object_click(labels, truth, clicks))
    assert len({(click.x, click.y) for click in clicks}) == 5
    truth[:], labels[:] = 1, 1
    labels[25, 30] = 0
    assert next_object_click(labels, truth, [Click(30, 25, 1)]) is None
    assert next_region_click(labels, truth, [Click(30, 25, 1)]) is None


def test_random_clicks_spread_and_repeat_with_the_seed(truth):
    def clicks(seed: int) -> list[Click | None]:
        generator = np.random.default_rng(seed)
        return [next_object_click(np.zeros_like(truth), truth, (), generator) for _ in range(40)]

    found = clicks(3)
    assert all(truth[int(click.y), int(click.x)] == 1 and click.class_id == 1 for click in found)
    assert len(set(found)) > 30
    assert clicks(3) == found
    assert clicks(4) != found


def test_random_clicks_stay_in_the_largest_error(truth):
    labels = truth.copy()
    labels[15:24, 25:34] = 0
    labels[0:3, 0:5] = 1
    found = [next_object_click(labels, truth, (), np.random.default_rng(seed)) for seed in range(20)]
    assert all(25 <= click.x < 34 and 15 <= click.y < 24 and click.class_id == 1 for click in found)


def test_regions_start_with_one_click_a_class_at_its_center():
    truth = np.full((30, 60), 1, np.uint8)
    truth[:, 31:] = 2
    truth[:, 29:31] = IGNORE
    first = first_region_clicks(truth)
    assert [click.class_id for click in first] == [1, 2]
    assert all(truth[int(click.y), int(click.x)] == click.class_id for click in first)
    assert abs(first[0].x - 14) <= 1
    assert abs(first[1].x - 45) <= 1


def test_region_clicks_go_to_the_largest_wrong_component():
    truth = np.full((40, 60), 1, np.uint8)
    truth[:, 40:] = 2
    labels = truth.copy()
    labels[2:9, 2:9] = 2
    labels[10:31, 45:56] = 1
    assert next_region_click(labels, truth) == Click(50, 15, 2)
    seeded = next_region_click(labels, truth, (), np.random.default_rng(0))
    assert seeded.class_id == 2
    assert labels[int(seeded.y), int(seeded.x)] == 1
