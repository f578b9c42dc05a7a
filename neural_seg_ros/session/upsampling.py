"""Upsampling of class probabilities to the frame's size, along the frame's edges.

The fast guided filter (He & Sun 2015): within every small window the answer is modeled as a linear function of the
color, p = a . I + b. The coefficients are fitted at the working resolution and applied to the full-size colors, so an
edge of the answer lands on the edge of the image. cv2.ximgproc and kornia have guided filters; this one works in
strips, which bounds the memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

RADIUS_PX = 2
EPSILON = 1e-3
# Bound of the values in one strip of rows, and so of the memory for any frame.
STRIP_VALUES = 8_000_000

Plane = NDArray[np.float32]  # (h, w)


@dataclass(frozen=True)
class Upsampler:
    """A fitted guided filter that brings (N, h, w) probabilities to the (H, W) of one frame.

    frame         (H, W, 3) uint8 RGB
    coefficients  (N, 4, h, w) float32: a (3) and b of every window, for colors in [0, 1]
    """

    frame: NDArray[np.uint8]
    coefficients: NDArray[np.float32]

    def strips(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield (rows, probabilities (N, len(rows), W) float32 that sum to 1), from the top of the frame down."""
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
    """Fit the windows' linear models at the working resolution.

    frame: (H, W, 3) uint8; image: the same at (h, w, 3); probabilities: (N, h, w) float32 in [0, 1].

        a = (cov(I) + epsilon 1)^-1 cov(I, p),  b = mean(p) - a . mean(I)    over windows of (2 RADIUS_PX + 1)^2
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
    """Return the three color channels (h, w) in [0, 1] as separate planes, which is three times as fast."""
    return [plane.astype(np.float32) / np.float32(255) for plane in cv2.split(image)]


def _enlarged(plane: Plane, to_small: NDArray[np.float64], shape: tuple[int, ...]) -> Plane:
    """Resize a plane (h, w) to (height, width) ``shape``; to_small (2, 3) maps pixels back to ``plane``."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    full = cv2.warpAffine(plane, to_small, shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(full, np.float32)


def _inverse(
    xx: Plane, xy: Plane, xz: Plane, yy: Plane, yz: Plane, zz: Plane
) -> tuple[tuple[Plane, Plane, Plane], tuple[Plane, Plane, Plane], tuple[Plane, Plane, Plane]]:
    """Invert symmetric matrices, given and returned as (h, w) entries, by adjugates: ten times as fast as LAPACK."""
    a, b, c = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
    d, e, f = xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy
    scale = np.reciprocal(xx * a + xy * b + xz * c)
    a, b, c, d, e, f = (entry * scale for entry in (a, b, c, d, e, f))
    return (a, b, c), (b, d, e), (c, e, f)


def _window_mean(values: Plane) -> Plane:
    size = 2 * RADIUS_PX + 1
    return np.asarray(cv2.blur(values, (size, size), borderType=cv2.BORDER_REFLECT), np.float32)
