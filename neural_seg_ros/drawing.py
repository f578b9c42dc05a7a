"""Pictures for people: class colors, overlays with contours and annotations, contact sheets."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation, Box, Click, Mask, Region, Stroke
from neural_seg_ros.images.arrays import Labels
from neural_seg_ros.images.files import RgbImage

Rgb = tuple[int, int, int]

BACKGROUND: Rgb = (0, 0, 0)
UNLABELLED: Rgb = (96, 96, 96)
_WHITE: Rgb = (255, 255, 255)
# Ordered so that the first classes of a scene, nearly all there are in practice, lie far apart, for color-blind
# viewers too; later classes follow the golden angle of hue.
_FIRST_COLORS: tuple[Rgb, ...] = (
    (225, 50, 225),
    (0, 114, 255),
    (0, 200, 120),
    (230, 159, 0),
    (240, 60, 60),
    (240, 228, 66),
    (0, 220, 255),
    (255, 130, 180),
    (140, 90, 40),
    (130, 255, 60),
)
_CAPTION_HEIGHT_PX = 22
_MAX_THICKNESS_PX = 32_767  # OpenCV's limit


def palette(class_id: int) -> Rgb:
    """Return the (red, green, blue) of a class, 0 to 65535; always the same. Class 0 is black."""
    red, green, blue = _colors()[class_id]
    return int(red), int(green), int(blue)


def color_mask(labels: Labels, unlabelled: int = 255) -> RgbImage:
    """Color (H, W) class ids as (H, W, 3) uint8; background is black, unlabeled pixels are gray."""
    colors = _colors_with_unlabelled(unlabelled)
    if labels.dtype == np.uint8:
        return np.asarray(cv2.LUT(cv2.merge([labels, labels, labels]), colors[None, :256]), np.uint8)
    return np.take(colors, labels, axis=0)


def overlay(
    image: RgbImage,
    labels: Labels,
    annotations: Sequence[Annotation] = (),
    alpha: float = 0.45,
    unlabelled: int = 255,
) -> RgbImage:
    """Tint a copy of an (H, W, 3) uint8 RGB image by (H, W) class ids, with contours and annotations.

    Background and unlabeled pixels keep the image's color. Each class has a contour of 1 px, 2 px from 480 px on.
    Clicks are discs with a white rim, those of class 0 black discs with a minus; dense masks are not drawn.
    """
    colors = color_mask(labels, unlabelled)
    drawn = np.asarray(cv2.addWeighted(image, 1 - alpha, colors, alpha, 0.0), np.uint8)
    plain = np.asarray((labels == 0) | (labels == unlabelled), np.uint8)
    cv2.copyTo(image, plain, drawn)
    cv2.copyTo(colors, _contours(labels) & (plain ^ 1), drawn)
    for annotation in annotations:
        _draw(drawn, annotation)
    return drawn


def compare(image: RgbImage, labels: Labels, truth: Labels) -> RgbImage:
    """Draw the contours of the ground truth in white and those of the labels in color on a copy of an image.

    ``labels`` and ``truth`` (H, W) class ids may be larger than the image.
    """
    size = image.shape[1], image.shape[0]
    wanted, found = (cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST) for ids in (truth, labels))
    drawn = image.copy()
    drawn[_contours(wanted) == 1] = _WHITE
    cv2.copyTo(color_mask(found), _contours(found) & (found != 0), drawn)
    return drawn


def confidence_image(confidence: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Convert (H, W) float32 confidence in [0, 1] to (H, W) uint8, 0 to 255."""
    return np.asarray(cv2.convertScaleAbs(confidence, alpha=255.0), np.uint8)


def contact_sheet(images: Sequence[RgbImage], columns: int, captions: Sequence[str] = ()) -> RgbImage:
    """Arrange images in rows, each scaled into the size of the first, with captions: (H, W, 3) uint8.

    ``images`` must not be empty; ``captions`` may be shorter than ``images``.
    """
    height, width = images[0].shape[:2]
    strip = _CAPTION_HEIGHT_PX if captions else 0
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    sheet = np.zeros((rows * (height + strip), columns * width, 3), np.uint8)
    for number, image in enumerate(images):
        top, left = number // columns * (height + strip), number % columns * width
        scale = min(height / image.shape[0], width / image.shape[1])
        size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        fitted = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        sheet[top : top + size[1], left : left + size[0]] = fitted
        if number < len(captions):
            _write(sheet[top + height : top + height + strip, left : left + width], captions[number])
    return sheet


@lru_cache(maxsize=1)
def _colors() -> NDArray[np.uint8]:
    """Return (65536, 3) uint8: the color of every class id."""
    ids = np.arange(65536)
    hsv = np.empty((len(ids), 1, 3), np.uint8)
    hsv[:, 0, 0] = (ids * 0.618033988749895 % 1.0 * 180).astype(np.uint8)
    hsv[:, 0, 1] = np.array([255, 140, 200], np.uint8)[ids // 7 % 3]
    hsv[:, 0, 2] = np.array([255, 190], np.uint8)[ids // 21 % 2]
    colors = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[:, 0], np.uint8)
    colors[0] = BACKGROUND
    colors[1 : 1 + len(_FIRST_COLORS)] = _FIRST_COLORS
    colors.setflags(write=False)
    return colors


@lru_cache(maxsize=4)
def _colors_with_unlabelled(unlabelled: int) -> NDArray[np.uint8]:
    colors = _colors().copy()
    colors[unlabelled] = UNLABELLED
    return colors


def _contours(labels: Labels) -> NDArray[np.uint8]:
    """Return (H, W) uint8, 1 where another label is 1 px away (2 px where the shorter side is 480 px or more)."""
    side = 5 if min(labels.shape) >= 480 else 3
    kernel = np.ones((side, side), np.uint8)
    return np.asarray(cv2.dilate(labels, kernel) != cv2.erode(labels, kernel), np.uint8)


def _draw(image: RgbImage, annotation: Annotation) -> None:
    if isinstance(annotation, Mask):
        return
    color = palette(annotation.class_id)
    side = min(image.shape[:2])
    if isinstance(annotation, Click):
        _draw_click(image, annotation, color, radius=max(3, round(side / 90)))
        return
    thickness = max(1, round(side / 240))
    if isinstance(annotation, Box):
        x0, y0, x1, y1 = annotation.x0, annotation.y0, annotation.x1, annotation.y1
        points = _pixels(((x0, y0), (x1, y0), (x1, y1), (x0, y1)))
    else:
        # OpenCV draws nothing for a line of one point.
        points = _pixels((*annotation.points, annotation.points[-1]))
    if isinstance(annotation, Stroke):
        thickness = max(thickness, round(annotation.width))
    closed = isinstance(annotation, Box | Region)
    for line_color, line_thickness in ((_WHITE, thickness + 2), (color, thickness)):
        cv2.polylines(image, [points], closed, line_color, min(line_thickness, _MAX_THICKNESS_PX), cv2.LINE_AA)


def _draw_click(image: RgbImage, click: Click, color: Rgb, radius: int) -> None:
    x, y = (int(value) for value in _pixels(((click.x, click.y),))[0])
    cv2.circle(image, (x, y), radius + 2, _WHITE, cv2.FILLED, cv2.LINE_AA)
    cv2.circle(image, (x, y), radius, color, cv2.FILLED, cv2.LINE_AA)
    if click.class_id == 0:
        bar = max(1, radius - 2)
        cv2.line(image, (x - bar, y), (x + bar, y), _WHITE, max(1, radius // 3))


def _pixels(points: Sequence[tuple[float, float]]) -> NDArray[np.int32]:
    """Round points to (N, 2) pixels; points far outside are clipped to what OpenCV can draw."""
    return np.asarray(np.clip(np.rint(points), -30_000, 30_000), np.int32)


def _write(strip: RgbImage, caption: str) -> None:
    cv2.putText(strip, caption, (4, strip.shape[0] - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _WHITE, 1, cv2.LINE_AA)
