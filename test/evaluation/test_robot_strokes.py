"""The drawing robot strokes the middle of every segment, inside it, briefly, and the same way each time."""

import numpy as np
import pytest

from neural_seg_ros.annotations import Stroke
from neural_seg_ros.annotations.rasterize import NOTHING, rasterize
from neural_seg_ros.evaluation.robot import robot_strokes
from neural_seg_ros.metrics import IGNORE


def drawn(strokes: tuple[Stroke, ...], truth: np.ndarray) -> np.ndarray:
    return rasterize(strokes, truth.shape, truth.shape, IGNORE)


def classes(strokes: tuple[Stroke, ...]) -> list[int]:
    return [stroke.class_id for stroke in strokes]


@pytest.fixture
def shapes() -> np.ndarray:
    """Return a ring (1), a bar (2), two blobs (3) and a class 1 px thin (4) on a ground (0), with a band of IGNORE."""
    y, x = np.mgrid[:200, :300]
    truth = np.zeros((200, 300), np.uint8)
    radius = np.hypot(x - 70, y - 70)
    truth[(radius > 30) & (radius < 50)] = 1
    truth[20:40, 160:280] = 2
    truth[np.hypot(x - 180, y - 90) < 25] = 3
    truth[np.hypot(x - 250, y - 90) < 15] = 3
    truth[160, 20:280] = 4
    truth[130:140] = IGNORE
    return truth


def test_strokes_stay_inside_their_class_and_are_brief(shapes):
    strokes = robot_strokes(shapes)
    lines = drawn(strokes, shapes)
    on = lines != NOTHING
    assert (shapes[on] == lines[on]).all()
    assert 0.008 * shapes.size < np.count_nonzero(on) < 0.01 * shapes.size
    assert all(stroke.width == 1 for stroke in strokes)
    assert robot_strokes(shapes) == strokes


def test_components_come_by_class_then_by_area(shapes):
    # The ground has three components: above the band, below it and inside the ring.
    assert classes(robot_strokes(shapes)) == [0, 1, 3, 2, 4, 0, 0, 3]
    assert classes(robot_strokes(shapes, most=5)) == [0, 1, 3, 2, 4]
    assert classes(robot_strokes(shapes, most=3)) == [0, 1, 3]


def test_a_bar_is_stroked_along_its_middle():
    truth = np.full((40, 120), IGNORE, np.uint8)
    truth[10:21, 10:110] = 5
    (stroke,) = robot_strokes(truth, share=1.0)
    xs, ys = np.transpose(stroke.points)
    assert stroke.class_id == 5
    assert np.abs(ys - 15).max() <= 3
    assert (xs.min() < 20, xs.max() > 100) == (True, True)
    assert (xs.min() > 10, xs.max() < 109) == (True, True)


def test_a_ring_is_stroked_around_its_hole(shapes):
    ring = np.where(shapes == 1, 1, IGNORE).astype(np.uint8)
    (stroke,) = robot_strokes(ring, share=1.0)
    radius = np.hypot(*(np.array(stroke.points) - 70).T)
    assert np.abs(radius - 40).max() < 3
    assert np.count_nonzero(drawn((stroke,), ring) == 1) > 80  # about half of the circle, 2 pi 40


def test_strokes_are_shortened_evenly_and_keep_their_middle():
    truth = np.full((100, 200), IGNORE, np.uint8)
    truth[10:21, 10:190], truth[60:71, 10:70] = 1, 2
    long, short = robot_strokes(truth, share=0.006)
    lengths = [np.count_nonzero(drawn((stroke,), truth) != NOTHING) for stroke in (long, short)]
    assert sum(lengths) < 0.006 * truth.size
    assert lengths[0] / lengths[1] == pytest.approx(180 / 60, rel=0.2)
    assert np.mean(long.points, axis=0) == pytest.approx((99.5, 15), abs=2)
    assert np.mean(short.points, axis=0) == pytest.approx((39.5, 65), abs=2)


def test_with_a_pixel_each_the_larger_classes_are_stroked(shapes):
    strokes = robot_strokes(shapes, share=3.5 / shapes.size)
    assert classes(strokes) == [0, 1, 3]
    assert np.count_nonzero(drawn(strokes, shapes) != NOTHING) == 3


def test_a_bend_is_not_cut():
    truth = np.full((60, 60), 2, np.uint8)
    truth[5:8, 5:55], truth[5:55, 5:8] = 1, 1
    stroke = next(stroke for stroke in robot_strokes(truth, share=1.0) if stroke.class_id == 1)
    line = drawn((stroke,), truth)
    assert (truth[line == 1] == 1).all()
    assert np.count_nonzero(line == 1) > 80


def test_nothing_judged_gets_no_stroke():
    assert robot_strokes(np.full((20, 20), IGNORE, np.uint8)) == ()


def test_one_pixel_and_a_whole_image_are_stroked():
    truth = np.zeros((40, 40), np.uint8)
    truth[3, 4] = 7
    strokes = robot_strokes(truth)
    assert classes(strokes) == [0, 7]
    assert set(strokes[1].points) == {(4.0, 3.0)}
    assert classes(robot_strokes(np.ones((30, 50), np.uint8))) == [1]
