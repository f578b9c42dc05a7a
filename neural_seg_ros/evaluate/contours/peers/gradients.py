"""Contours where the grey value changes: gradients, thinned across their direction."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from skimage.measure import label

from neural_seg_ros.contours.detected import Contours

Values = NDArray[np.float32]

# Tuned on BSDS500's validation images, in pixels.
SOBEL_SIGMA = 2.0
CANNY_SIGMA = 2.0
# Canny's lower threshold is that share of the upper one.
LOWER = 0.4
LEVELS = 50
# The change of grey from 0 to 1, a pixel, that is as strong as can be.
STEEPEST = 0.5


def roberts(image: NDArray[np.uint8]) -> Contours:
    """The cross operator on the grey image as it is (Roberts: Machine perception of three-dimensional solids, 1963)."""
    grey = _grey(image)
    rising = cv2.filter2D(grey, -1, np.array([[1, 0], [0, -1]], np.float32), anchor=(0, 0))
    falling = cv2.filter2D(grey, -1, np.array([[0, 1], [-1, 0]], np.float32), anchor=(0, 0))
    return _contours(*_thinned((falling - rising) / 2, -(falling + rising) / 2))


def sobel(image: NDArray[np.uint8]) -> Contours:
    """Sobel's operator on the grey image, blurred."""
    return _contours(*_thinned(*_sobel(cv2.GaussianBlur(_grey(image), (0, 0), SOBEL_SIGMA))))


def canny(image: NDArray[np.uint8]) -> Contours:
    """Canny's detector for every upper threshold at once; the lower one is .4 of it, both of the gradient.

    The strength of a pixel is the greatest of 50 upper thresholds at which it is kept (Canny: A computational approach
    to edge detection, PAMI 1986).
    """
    strength, thin = _thinned(*_sobel(cv2.GaussianBlur(_grey(image), (0, 0), CANNY_SIGMA)))
    soft = _scaled(thin)
    kept = np.zeros_like(soft)
    for level in np.linspace(0, 1, LEVELS + 1, dtype=np.float32)[1:]:
        lines = label(soft >= np.sqrt(LOWER) * level)
        kept[np.isin(lines, lines[soft >= level])] = level
    return Contours(_scaled(strength), kept)


def _grey(image: NDArray[np.uint8]) -> Values:
    """(H, W) in [0, 1]."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255)


def _sobel(grey: Values) -> tuple[Values, Values]:
    """The change to the right and downwards, a pixel."""
    right, down = (cv2.Sobel(grey, cv2.CV_32F, dx, 1 - dx, scale=1 / 8, borderType=cv2.BORDER_REFLECT) for dx in (1, 0))
    return right, down


def _thinned(right: Values, down: Values) -> tuple[Values, Values]:
    """The size of a gradient, and the same with 0 where it is greater a pixel further along its direction."""
    size = np.hypot(right, down)
    length = np.maximum(size, 1e-6)
    step = np.stack([down / length, right / length])
    places = np.indices(size.shape, dtype=np.float32)
    greatest = np.ones(size.shape, bool)
    for sign in (1, -1):
        greatest &= size >= map_coordinates(size, places + sign * step, order=1, mode="nearest")
    return size, np.where(greatest, size, 0).astype(np.float32)


def _contours(strength: Values, thin: Values) -> Contours:
    return Contours(_scaled(strength), _scaled(thin))


def _scaled(size: Values) -> Values:
    """In [0, 1]; the root spreads weak gradients, of which most are, over more thresholds."""
    return np.asarray(np.sqrt(np.minimum(size / STEEPEST, 1)), np.float32)
