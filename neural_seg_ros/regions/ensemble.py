"""An ensemble of segmentations: a boundary that most of them have is one, whatever its contrast."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import felzenszwalb

from neural_seg_ros.regions.pixel_features import lab_of, texture_of

# Size of the whole ensemble, and of the part that a preview uses.
MEMBERS = 28
FEW_MEMBERS = 8
# Ranges and choices of the members' parameters; the members are computed at this share of the frame's side.
SIDE_SHARE = 0.5
SCALES_GRAY_LEVELS = (25.0, 400.0)
SIGMAS_PX = (0.2, 0.8)
TEXTURE_WEIGHTS = (3.0, 8.0)
MIN_SEGMENT_SIZES_PX = (8, 25, 75)
GRAY_LEVELS = 255

# The warning about more than three channels, ignored for the process: a filter around each call is not thread-safe.
warnings.filterwarnings("ignore", "Got image with third dimension", RuntimeWarning)

Task = tuple[NDArray[np.float32], float, float, int]  # channels (h, w, C), scale, sigma, smallest size of a segment


class Ensemble:
    """Different graph segmentations of one image, computed on demand.

    Felzenszwalb & Huttenlocher 2004 with different smoothing, lightness weights, scales and smallest segments; every
    other member uses texture beside color. The same image always gives the same ensemble.
    """

    def __init__(self, image: NDArray[np.uint8]) -> None:
        """Take an image, (h, w, 3) uint8 RGB."""
        self._image = image
        self._made: list[NDArray[np.int32]] = []

    def first(self, count: int) -> NDArray[np.int32]:
        """Return segment ids (count, h, w) int32 of the first ``count`` members, at most MEMBERS."""
        height, width = self._image.shape[:2]
        # Most of the work releases the GIL.
        with ThreadPoolExecutor(max(1, cv2.getNumThreads()), "segments") as threads:
            for each in threads.map(
                lambda task: _segments(*task), islice(self._tasks, max(0, count - len(self._made)))
            ):
                full = cv2.resize(each, (width, height), interpolation=cv2.INTER_NEAREST)
                self._made.append(np.asarray(full, np.int32))
        return np.stack(self._made[:count])

    @cached_property
    def _tasks(self) -> Iterator[Task]:
        """The members that are not computed yet, in order."""
        height, width = self._image.shape[:2]
        small_size = max(8, round(width * SIDE_SHARE)), max(8, round(height * SIDE_SHARE))
        small = np.asarray(cv2.resize(self._image, small_size, interpolation=cv2.INTER_AREA), np.uint8)
        sources = [lab_of(source) for source in _sources(small)]
        texture = texture_of(sources[0])
        generator = np.random.default_rng(0)
        return (_task(member, sources, texture, generator) for member in range(MEMBERS))


def _task(
    member: int, sources: list[NDArray[np.float32]], texture: NDArray[np.float32], generator: np.random.Generator
) -> Task:
    weights = np.array([generator.uniform(0.5, 1.2), 1.6, 1.6], np.float32)
    channels = 2 * sources[member % len(sources)] * weights
    if member % 2:
        channels = np.concatenate([channels, texture * np.float32(generator.uniform(*TEXTURE_WEIGHTS))], axis=-1)
    scale = float(np.exp(generator.uniform(*np.log(SCALES_GRAY_LEVELS))))
    smallest = MIN_SEGMENT_SIZES_PX[member % len(MIN_SEGMENT_SIZES_PX)]
    return channels, scale, float(generator.uniform(*SIGMAS_PX)), smallest


def _segments(channels: NDArray[np.float32], scale: float, sigma: float, least_size: int) -> NDArray[np.int32]:
    """Segment an image (h, w, C); returns ids (h, w) int32. ``scale`` is in gray levels."""
    values = channels.astype(np.float64) / GRAY_LEVELS
    return np.asarray(felzenszwalb(values, scale, sigma, least_size, channel_axis=-1), np.int32)


def _sources(image: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Return the image itself, after two bilateral filters, and after a mean shift."""
    bilateral = cv2.bilateralFilter(cv2.bilateralFilter(image, 7, 25, 5), 7, 25, 5)
    return [image, np.asarray(bilateral, np.uint8), np.asarray(cv2.pyrMeanShiftFiltering(image, 4, 18), np.uint8)]
