"""Contours where the gray value changes: gradients, thinned across their direction."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from skimage.measure import label

from neural_seg_ros.contours.detected import Contours

Values = NDArray[np.float32]

# Of the blur before the gradient, in pixels. Tuned on BSDS500's validation images, as LOWER is.
SIGMA = 2.0
# Canny's lower threshold is that share of the upper one.
LOWER = 0.4
LEVELS = 50


def roberts(image: NDArray[np.uint8]) -> Contours:
    """Apply the cross operator to the gray image (Roberts: Machine perception of three-dimensional solids, 1963)."""
    gray = _gray(image)
    rising = cv2.filter2D(gray, -1, np.array([[1, 0], [0, -1]], np.float32), anchor=(0, 0))
    falling = cv2.filter2D(gray, -1, np.array([[0, 1], [-1, 0]], np.float32), anchor=(0, 0))
    size = np.stack([falling - rising, -(falling + rising)]) / 2
    return Contours(_strength(np.hypot(*size)), lambda: _strength(_thinned(*size)))


def sobel(image: NDArray[np.uint8]) -> Contours:
    """Apply Sobel's operator to the blurred gray image."""
    right, down = _blurred_gradient(image)
    return Contours(_strength(np.hypot(right, down)), lambda: _strength(_thinned(right, down)))


def canny(image: NDArray[np.uint8]) -> Contours:
    """Apply Canny's detector for every upper threshold at once; the lower one is .4 of it.

    The strength of a pixel is the greatest of 50 upper thresholds at which it is kept (Canny: A computational approach
    to edge detection, PAMI 1986).
    """
    right, down = _blurred_gradient(image)
    strength, thin = _strength(np.hypot(right, down)), _strength(_thinned(right, down))
    kept = np.zeros_like(thin)
    for level in np.linspace(0, 1, LEVELS + 1, dtype=np.float32)[1:]:
        lines = label(thin >= np.sqrt(LOWER) * level)
        kept[np.isin(lines, lines[thin >= level])] = level
    return Contours(strength, lambda: kept)


def _gray(image: NDArray[np.uint8]) -> Values:
    """Convert to gray (H, W) in [0, 1]."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255)


def _blurred_gradient(image: NDArray[np.uint8]) -> tuple[Values, Values]:
    """Compute the change of gray to the right and down, in units of a step from black to white."""
    blurred = cv2.GaussianBlur(_gray(image), (0, 0), SIGMA)
    scale = SIGMA * np.sqrt(2 * np.pi) / 8
    right, down = (
        cv2.Sobel(blurred, cv2.CV_32F, dx, 1 - dx, scale=scale, borderType=cv2.BORDER_REFLECT) for dx in (1, 0)
    )
    return right, down


def _thinned(right: Values, down: Values) -> Values:
    """Thin the size of a gradient: 0 where it is greater a pixel further along its direction."""
    size = np.hypot(right, down)
    step = np.stack([down, right]) / np.maximum(size, 1e-6)
    places = np.indices(size.shape, dtype=np.float32)
    greatest = np.ones(size.shape, bool)
    for sign in (1, -1):
        greatest &= size >= map_coordinates(size, places + sign * step, order=1, mode="nearest")
    return np.where(greatest, size, 0).astype(np.float32)


def _strength(size: Values) -> Values:
    """Scale into [0, 1]; the root spreads the many weak gradients over more thresholds."""
    return np.asarray(np.sqrt(np.minimum(size, 1)), np.float32)
