"""Pictures: colors that differ, overlays that show classes, contours and annotations, sheets that hold all images."""

import itertools
import time

import numpy as np
import pytest

from neural_seg_ros.annotations import Box, Click, Mask, Region, Stroke
from neural_seg_ros.drawing import color_mask, confidence_image, contact_sheet, overlay, palette


def test_first_classes_are_far_apart_and_none_is_black() -> None:
    colors = [np.array(palette(class_id), float) for class_id in range(11)]
    assert palette(0) == (0, 0, 0)
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(colors, 2)) > 50


def test_later_classes_have_colors_too() -> None:
    colors = {palette(class_id) for class_id in range(1, 255)}
    assert len(colors) > 200
    assert max(palette(65534)) > 100


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_color_mask(kind: type) -> None:
    unlabelled = int(np.iinfo(kind).max)
    labels = np.array([[0, 1], [2, unlabelled]], kind)
    colors = color_mask(labels, unlabelled)
    assert colors.dtype == np.uint8
    assert [tuple(map(int, color)) for color in colors.reshape(-1, 3)[:3]] == [palette(0), palette(1), palette(2)]
    assert tuple(colors[1, 1]) not in (palette(0), palette(1), palette(2))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_overlay_tints_classes_only_and_draws_their_contour(kind: type) -> None:
    unlabelled = int(np.iinfo(kind).max)
    image = np.full((60, 80, 3), 120, np.uint8)
    labels = np.zeros((60, 80), kind)
    labels[20:40, 20:60] = 1
    labels[50:] = unlabelled
    before = image.copy()
    drawn = overlay(image, labels, alpha=0.5, unlabelled=unlabelled)
    assert np.array_equal(image, before)
    assert np.array_equal(drawn[5], image[5])
    assert np.array_equal(drawn[55], image[55])
    assert tuple(drawn[20, 30]) == palette(1)
    half = (np.array(palette(1)) + 120) / 2
    assert np.abs(drawn[30, 40] - half).max() <= 1


def test_annotations_are_visible_negative_clicks_differ() -> None:
    image = np.full((120, 160, 3), 120, np.uint8)
    labels = np.zeros((120, 160), np.uint8)
    for annotation in (
        Click(80, 60, 1),
        Click(80, 60, 0),
        Box(20, 20, 90, 80, 2),
        Stroke(((10, 10), (100, 90)), 1, 3),
        Region(((10, 10), (100, 20), (50, 90)), 3),
    ):
        assert (overlay(image, labels, [annotation]) != image).any()
    positive, negative = (overlay(image, labels, [Click(80, 60, c)])[55:66, 75:86] for c in (1, 0))
    assert (positive == palette(1)).all(-1).any()
    assert (negative == (0, 0, 0)).all(-1).any()
    assert (positive == 255).all(-1).any()
    assert (negative[5] == 255).all(-1).sum() > (positive[5] == 255).all(-1).sum()


def test_a_bounding_box_is_an_outline() -> None:
    image = np.full((120, 160, 3), 120, np.uint8)
    drawn = overlay(image, np.zeros((120, 160), np.uint8), [Box(20, 20, 90, 80, 2, bounding=True)])
    assert np.abs(drawn[20, 50].astype(int) - palette(2)).max() < 30
    assert (drawn[25:76, 25:86] == 120).all()


def test_annotations_outside_the_frame_and_masks_do_no_harm() -> None:
    image = np.full((20, 30, 3), 120, np.uint8)
    labels = np.zeros((20, 30), np.uint8)
    far = [Box(-1e9, -5, 1e9, 50, 1), Stroke(((-100, 3), (1e12, 3)), 2, 1e9), Mask(np.zeros((20, 30), np.uint8))]
    assert overlay(image, labels, far).shape == image.shape


def test_overlay_is_fast_enough_for_live_video() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (480, 640, 3), np.uint8)
    labels = np.zeros((480, 640), np.uint8)
    labels[100:300, 100:400] = 1
    clicks = [Click(float(x), 100.0, x % 3) for x in range(10, 600, 60)]
    overlay(image, labels, clicks)
    seconds = []
    for _ in range(10):
        started = time.perf_counter()
        overlay(image, labels, clicks)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.008


def test_confidence_image_spans_a_byte() -> None:
    confidence = np.array([[0.0, 0.5, 1.0]], np.float32)
    assert confidence_image(confidence).tolist() == [[0, 128, 255]]


def test_contact_sheet_holds_every_image_undistorted() -> None:
    images = [np.full((40, 60, 3), 50 * number + 50, np.uint8) for number in range(4)]
    images.append(np.full((40, 30, 3), 255, np.uint8))
    sheet = contact_sheet(images, columns=2)
    assert sheet.shape == (120, 120, 3)
    assert (sheet[:40, 60:] == 100).all()
    assert (sheet[80:, :30] == 255).all()
    assert (sheet[80:, 30:] == 0).all()
    captioned = contact_sheet(images, columns=2, captions=["first"])
    assert captioned.shape[0] > sheet.shape[0]
    assert captioned[40:60, :60].any()
