"""What a pixel looks like: its CIE Lab colour, and the texture around it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

TEXTURE_SCALES = (1.5, 4.0)


def lab_of(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """CIE Lab (h, w, 3) float32, L in [0, 100], of an (h, w, 3) uint8 RGB image."""
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2Lab), np.float32)


def texture_of(lab: NDArray[np.float32]) -> NDArray[np.float32]:
    """Texture (h, w, 6) float32 in units of L: mean |dx|, mean |dy| and the deviation of L, each at two scales."""
    light = np.ascontiguousarray(lab[..., 0])
    slopes = [np.abs(cv2.Sobel(light, cv2.CV_32F, dx, 1 - dx, ksize=3, scale=0.25)) for dx in (1, 0)]
    channels = []
    for sigma in TEXTURE_SCALES:
        channels += [_blurred(slope, sigma) for slope in slopes]
        variance = _blurred(light * light, sigma) - _blurred(light, sigma) ** 2
        channels.append(np.sqrt(np.maximum(variance, 0)))
    return np.stack(channels, axis=-1)


def _blurred(channel: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(channel, (0, 0), sigma), np.float32)
