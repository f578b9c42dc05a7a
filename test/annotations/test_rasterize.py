"""Annotations drawn at other sizes than they were made at."""

from __future__ import annotations

import numpy as np
import pytest

from neural_seg_ros.annotations import Annotation, Box, Click, Mask, Region, Stroke
from neural_seg_ros.annotations.rasterize import NOTHING, bounding_boxes, outside_boxes, rasterize

FRAME = (480, 640)


def draw(*annotations: Annotation, size: tuple[int, int] = FRAME) -> np.ndarray:
    return rasterize(annotations, FRAME, size, unlabelled=255)


def test_a_click_is_the_pixel_under_the_cursor() -> None:
    drawn = draw(Click(120, 80, 3))
    assert drawn[80, 120] == 3
    assert (drawn != NOTHING).sum() == 1


@pytest.mark.parametrize("radius", [2, 5, 20.5])
def test_a_click_with_a_radius_is_a_disc(radius: int) -> None:
    drawn = draw(Click(300, 200, 1, radius=radius))
    y, x = np.nonzero(drawn == 1)
    reach = np.hypot(y - 200, x - 300).max()
    assert reach <= radius - 0.5
    assert len(y) == pytest.approx(np.pi * (radius - 0.5) ** 2, abs=4, rel=0.2)


@pytest.mark.parametrize("size", [(120, 160), (30, 40), (9, 12)])
@pytest.mark.parametrize(("x", "y"), [(0, 0), (639, 479), (-0.5, -0.5), (639.4, 479.4), (321, 7)])
def test_a_one_pixel_click_survives_any_size(size: tuple[int, int], x: float, y: float) -> None:
    drawn = draw(Click(x, y, 0), size=size)
    assert (drawn == 0).sum() == 1


@pytest.mark.parametrize("size", [(120, 160), (30, 40)])
def test_every_shape_marks_a_pixel_at_the_field_size(size: tuple[int, int]) -> None:
    thin = [
        Box(10, 10, 11, 11, 1),
        Stroke(((50, 50), (52, 51)), 2),
        Region(((90, 90), (91, 90), (91, 91)), 3),
        Mask(np.pad(np.full((1, 1), 4, np.uint8), ((70, 409), (200, 439)), constant_values=255)),
    ]
    drawn = draw(*thin, size=size)
    assert set(np.unique(drawn)) == {NOTHING, 1, 2, 3, 4}


def test_a_box_is_filled_and_cut_at_the_frame() -> None:
    drawn = draw(Box(630, 470, 10_000, 475, 2))
    assert (drawn[470:476, 630:] == 2).all()
    assert (drawn == 2).sum() == 6 * 10


def test_bounding_boxes_mark_no_pixel_and_rule_out_the_outside() -> None:
    boxes = [Box(100, 80, 199, 179, 1, bounding=True), Box(339, 279, 300, 200, 1, bounding=True)]
    click = Click(10, 10, 1)
    drawn = draw(*boxes, click)
    assert (drawn == 1).sum() == 1
    pixels = bounding_boxes([*boxes, click], FRAME, FRAME)
    (outside,) = outside_boxes(pixels, drawn).values()
    assert not outside[80:180, 100:200].any()
    assert not outside[200:280, 300:340].any()
    assert not outside[10, 10], "what is annotated as the class is"
    assert (~outside).sum() == 100 * 100 + 80 * 40 + 1


@pytest.mark.parametrize("size", [(120, 160), (30, 40), (9, 12)])
def test_a_bounding_box_keeps_a_pixel_at_any_size(size: tuple[int, int]) -> None:
    drawn = draw(size=size)
    boxes = [Box(100.2, 80.2, 101, 81, 1, bounding=True), Box(638, -50, 900, 3, 2, bounding=True)]
    outside = outside_boxes(bounding_boxes(boxes, FRAME, size), drawn)
    assert [(~outside[class_id]).sum() for class_id in (1, 2)] == [1, 1]


def test_a_region_is_filled() -> None:
    drawn = draw(Region(((100, 100), (200, 100), (200, 150), (100, 150)), 5))
    assert (drawn[101:150, 101:200] == 5).all()
    assert (drawn == 5).sum() == pytest.approx(101 * 51, rel=0.01)


def test_a_stroke_has_its_width() -> None:
    drawn = draw(Stroke(((100, 100), (300, 100)), 1, width=9))
    assert (drawn[:, 200] == 1).sum() == pytest.approx(9, abs=1)


def test_the_later_annotation_holds() -> None:
    drawn = draw(Box(0, 0, 99, 99, 1), Click(50, 50, 2))
    assert drawn[50, 50] == 2
    assert drawn[50, 51] == 1


def test_a_mask_keeps_what_is_unlabeled_free() -> None:
    labels = np.full(FRAME, 255, np.uint8)
    labels[:240] = 7
    drawn = draw(Mask(labels), size=(120, 160))
    assert (drawn[:60] == 7).all()
    assert (drawn[60:] == NOTHING).all()


def test_coordinates_far_outside_are_no_trouble() -> None:
    drawn = draw(Stroke(((-1e12, 240.0), (1e12, 240.0)), 1))
    assert (drawn[240] == 1).all()


@pytest.mark.parametrize("width", [1.0, 3.0])
def test_a_stroke_of_one_point_is_a_dab(width: float) -> None:
    drawn = rasterize([Stroke(((20.0, 10.0),), 1, width)], (40, 60), (40, 60), 255)
    y, x = np.nonzero(drawn == 1)
    assert (y.mean(), x.mean()) == (10, 20)
    assert len(y) >= width
