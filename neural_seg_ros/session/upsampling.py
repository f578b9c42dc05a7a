"""Class probabilities from the field's size to the frame's, along the frame's edges.

The fast guided filter (He & Sun 2015; guided filter: two_tricks.txt): within every small window the answer is taken to
be a linear function of the colour, p = a . I + b. The coefficients are found at the field's size and applied to the
full-size colour, so an edge of the answer lands on the edge of the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

RADIUS = 2
EPSILON = 1e-3
# Full-size work is done in strips of rows of at most this many values, so memory stays bounded for any frame.
STRIP_VALUES = 8_000_000

Plane = NDArray[np.float32]  # (h, w)


@dataclass(frozen=True)
class Upsampler:
    """Brings (N, h, w) answers to the (H, W) of one frame.

    frame         (H, W, 3) uint8 RGB
    coefficients  (N, 4, h, w) float32: a (3) and b of every window, for colours in [0, 1]
    """

    frame: NDArray[np.uint8]
    coefficients: NDArray[np.float32]

    def strips(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """(rows, probabilities (N, len(rows), W) float32 that sum to 1), from the top of the frame down."""
        height, width = self.frame.shape[:2]
        count, _, small_height, small_width = self.coefficients.shape
        rows_at_once = max(1, STRIP_VALUES // (width * (count + 8)))
        scale_x, scale_y = small_width / width, small_height / height
        for top in range(0, height, rows_at_once):
            rows = slice(top, min(height, top + rows_at_once))
            colors = _planes(self.frame[rows])
            to_small = np.array(
                [[scale_x, 0, 0.5 * scale_x - 0.5], [0, scale_y, (top + 0.5) * scale_y - 0.5]], np.float64
            )
            strip = np.empty((count, rows.stop - rows.start, width), np.float32)
            for values, coefficients in zip(strip, self.coefficients, strict=True):
                *slopes, offset = (_enlarged(plane, to_small, values.shape) for plane in coefficients)
                values[:] = offset
                for slope, color in zip(slopes, colors, strict=True):
                    slope *= color
                    values += slope
            np.maximum(strip, 1e-6, out=strip)
            strip /= strip.sum(0)
            yield rows, strip


def guided_upsampler(
    frame: NDArray[np.uint8], image: NDArray[np.uint8], probabilities: NDArray[np.float32]
) -> Upsampler:
    """Fit the windows' linear models at the field's size.

    frame: (H, W, 3) uint8; image: the same at (h, w, 3); probabilities: (N, h, w) float32 in [0, 1].

        a = (cov(I) + epsilon 1)^-1 cov(I, p),  b = mean(p) - a . mean(I)    over windows of (2 RADIUS + 1)^2
    """
    guide = _planes(image)
    mean = [_window_mean(plane) for plane in guide]
    covariance = [
        _window_mean(guide[i] * guide[j]) - mean[i] * mean[j] + np.float32(EPSILON * (i == j))
        for i in range(3)
        for j in range(i, 3)
    ]
    inverse = _inverse(*covariance)
    coefficients = np.empty((len(probabilities), 4, *image.shape[:2]), np.float32)
    for p, (*a, b) in zip(probabilities, coefficients, strict=True):
        mean_p = _window_mean(p)
        cross = [_window_mean(plane * p) - m * mean_p for plane, m in zip(guide, mean, strict=True)]
        b[:] = mean_p
        for slope, row, m in zip(a, inverse, mean, strict=True):
            slope[:] = sum(entry * c for entry, c in zip(row, cross, strict=True))
            b -= slope * m
        for plane in (*a, b):
            plane[:] = _window_mean(plane)
    return Upsampler(frame, coefficients)


def _planes(image: NDArray[np.uint8]) -> list[Plane]:
    """The three colours (h, w) in [0, 1], each by itself: three times as fast to work on as side by side."""
    return [plane.astype(np.float32) / np.float32(255) for plane in cv2.split(image)]


def _enlarged(plane: Plane, to_small: NDArray[np.float64], shape: tuple[int, ...]) -> Plane:
    """(h, w) at (height, width); to_small (2, 3): from there to ``plane``."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    full = cv2.warpAffine(plane, to_small, shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(full, np.float32)


def _inverse(
    xx: Plane, xy: Plane, xz: Plane, yy: Plane, yz: Plane, zz: Plane
) -> tuple[tuple[Plane, Plane, Plane], tuple[Plane, Plane, Plane], tuple[Plane, Plane, Plane]]:
    """The inverses of symmetric matrices, as rows of (h, w), by their adjugates: LAPACK takes ten times as long."""
    a, b, c = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
    d, e, f = xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy
    scale = np.reciprocal(xx * a + xy * b + xz * c)
    a, b, c, d, e, f = (entry * scale for entry in (a, b, c, d, e, f))
    return (a, b, c), (b, d, e), (c, e, f)


def _window_mean(values: Plane) -> Plane:
    size = 2 * RADIUS + 1
    return np.asarray(cv2.blur(values, (size, size), borderType=cv2.BORDER_REFLECT), np.float32)
