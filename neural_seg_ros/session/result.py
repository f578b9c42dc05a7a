"""The result of a session at the frame's full size, with the suggested next click."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations.implied import to_channels
from neural_seg_ros.annotations.rasterize import NOTHING
from neural_seg_ros.images.arrays import Labels, likeliest
from neural_seg_ros.session.upsampling import Upsampler

# Longer side of the frame for the search.
SUGGEST_SIDE_PX = 300
# A pixel with at least this confidence is never suggested.
MAX_CONFIDENCE = 0.99


def suggest(
    confidence: NDArray[np.float32], labels: Labels, annotated: NDArray[np.bool_] | None = None
) -> tuple[float, float] | None:
    """Find the pixel (x, y) of a frame whose click would help most, or None where nothing is uncertain.

    Pixels with less confidence than the frame's mean are uncertain. Each connected part of them with one label weighs
    the sum of (1 - confidence) x depth over its pixels; the depth is the distance to its edge. So a compact part comes
    before a thin band along a boundary, however long that is. The suggestion is the deepest point of the heaviest part.

    confidence: (H, W) float32 in [0, 1]; labels: (H, W) uint8 or uint16; annotated: (H, W) bool, True where the user
    annotated; these pixels are never suggested.
    """
    height, width = confidence.shape
    scale = min(1.0, SUGGEST_SIDE_PX / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    doubt = 1 - cv2.resize(confidence, size, interpolation=cv2.INTER_AREA)
    uncertain = (doubt > max(float(doubt.mean()), 1 - MAX_CONFIDENCE)).astype(np.uint8)
    small = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    uncertain[:, :-1][small[:, :-1] != small[:, 1:]] = 0
    uncertain[:-1][small[:-1] != small[1:]] = 0
    if annotated is not None:
        uncertain[cv2.resize(annotated.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0] = 0
    if not uncertain.any():
        return None
    # Beyond the frame everything is outside.
    depth = cv2.distanceTransform(np.pad(uncertain, 1), cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1]
    _, regions = cv2.connectedComponents(uncertain, connectivity=4)
    heaviest = np.bincount(regions.ravel(), (doubt * depth).ravel()).argmax()
    y, x = np.unravel_index(int(np.where(regions == heaviest, depth, 0).argmax()), depth.shape)
    return float((2 * x + 1) * width // (2 * size[0])), float((2 * y + 1) * height // (2 * size[1]))


# After the division of the top odds no other class has more than this share of the most probable one's probability.
MAX_SHARE_OF_TOP = np.float32(0.98)


@dataclass(frozen=True, eq=False)
class Result:
    """Labels of one frame of H x W pixels.

    labels      (H, W) uint8, or uint16 with 16-bit labels: class ids; 255 (65535) where unlabeled
    confidence  (H, W) float32 in [0, 1]: the probability of the label
    classes     class id of every channel of ``probabilities``, ascending
    stamp       seconds, as given with the frame
    """

    labels: Labels
    confidence: NDArray[np.float32]
    classes: tuple[int, ...]
    stamp: float
    _source: FullSize | None = None

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """(C, H, W) float32, summing to 1 over C; C is 0 before the first annotation. Computed at the first access."""
        height, width = self.labels.shape
        full = np.empty((len(self.classes), height, width), np.float32)
        if self._source is not None:
            for rows, strip in self._source.strips():
                full[:, rows] = strip
        return full

    @cached_property
    def suggestion(self) -> tuple[float, float] | None:
        """(x, y) of the pixel whose click would help most, or None; see ``suggest``. Computed at the first access."""
        if self._source is None:
            return None
        annotated = self._source.annotated
        return suggest(self.confidence, self.labels, None if annotated is None else annotated != NOTHING)


@dataclass(frozen=True)
class FullSize:
    """Full-size probabilities, strip by strip; 1 and 0 where the user annotated the frame.

    top_odds_divisor  the odds of a pixel's most probable class are divided by this, at least 1
    annotated         (H, W) int32 annotated class ids, NOTHING elsewhere; None without annotations
    outside           {class id: (H, W) bool} of the classes with bounding boxes: True where the class is ruled out
    classes           class id of every channel
    """

    upsampler: Upsampler
    top_odds_divisor: float
    annotated: NDArray[np.int32] | None
    outside: Mapping[int, NDArray[np.bool_]]
    classes: tuple[int, ...]

    def strips(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield (rows, probabilities (C, len(rows), W) float32), from the top of the frame down."""
        for rows, strip in self.upsampler.strips():
            if self.top_odds_divisor > 1:
                _divide_top_odds(strip, self.top_odds_divisor)
            for class_id, where in self.outside.items():
                strip[self.classes.index(class_id)][where[rows]] = 0
            if self.outside:
                strip /= strip.sum(0)
            if self.annotated is not None:
                drawn = self.annotated[rows]
                y, x = np.nonzero(drawn != NOTHING)
                strip[:, y, x] = 0
                strip[to_channels(drawn[y, x], self.classes), y, x] = 1
            yield rows, strip


def _divide_top_odds(strip: NDArray[np.float32], top_odds_divisor: float) -> None:
    """Divide the odds of the most probable class, in place; it stays the most probable one."""
    best = strip.max(0)
    first = strip == best
    np.minimum(strip * np.float32(top_odds_divisor), MAX_SHARE_OF_TOP * best, out=strip, where=~first)
    strip /= strip.sum(0)


def empty_result(frame: NDArray[np.uint8], stamp: float, unlabelled: int) -> Result:
    """Return the result before the first annotation: no pixel of the frame (H, W, 3) is labeled."""
    height, width = frame.shape[:2]
    labels: Labels = np.full((height, width), unlabelled, _dtype(unlabelled))  # type: ignore[assignment]
    return Result(labels, np.zeros((height, width), np.float32), (), stamp)


def full_size_result(source: FullSize, stamp: float, unlabelled: int) -> Result:
    """Find the most probable class of every pixel."""
    height, width = source.upsampler.frame.shape[:2]
    dtype = _dtype(unlabelled)
    ids = np.array(source.classes, dtype)
    labels: Labels = np.empty((height, width), dtype)  # type: ignore[assignment]  # numpy types no union of dtypes
    confidence = np.empty((height, width), np.float32)
    for rows, strip in source.strips():
        channels, confidence[rows] = likeliest(strip)
        labels[rows] = ids[channels]
    return Result(labels, confidence, source.classes, stamp, source)


def _dtype(unlabelled: int) -> type[np.uint8] | type[np.uint16]:
    return np.uint8 if unlabelled <= 255 else np.uint16
