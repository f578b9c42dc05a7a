"""Contours of an image by the configured method, at a size that bounds the time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.config import ContourConfig
from neural_seg_ros.contours.detected import Contours
from neural_seg_ros.contours.recipe import BEST, FAST, Recipe, region_contours
from neural_seg_ros.images.arrays import check_image

_Method = Callable[[NDArray[np.uint8], ContourConfig, str], Contours]


def find_contours(image: NDArray[np.uint8], config: ContourConfig | None = None, device: str = "auto") -> Contours:
    """Return the contours of an (H, W, 3) uint8 RGB image; the same image always gives the same.

    ``device`` (``auto``, ``cpu``, ``cuda`` or ``cuda:N``) is where a network is fitted, in methods that have one.
    Raises ImageError or ConfigError.
    """
    chosen = config or ContourConfig()
    return _METHODS[chosen.method](check_image(image), chosen, device)


def _regions(recipe: Recipe) -> _Method:
    return lambda image, config, _: region_contours(image, recipe, config.size, config.seed)


def _thesis(image: NDArray[np.uint8], config: ContourConfig, device: str) -> Contours:
    # Only this method needs torch.
    from neural_seg_ros.contours.thesis.fit import HeadsConfig, thesis_contours

    # Larger fields take minutes, and are no better.
    return thesis_contours(image, HeadsConfig(size=min(config.size, HeadsConfig.size), seed=config.seed), device)


_METHODS: dict[str, _Method] = {"best": _regions(BEST), "fast": _regions(FAST), "thesis": _thesis}
