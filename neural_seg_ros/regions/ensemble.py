"""An ensemble of segmentations: where most of them agree on a border there is one, whatever its contrast."""

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

MEMBERS = 28
# The first of them say nearly as much; where every tenth of a second counts they are enough.
FEW_MEMBERS = 8
# Members are made at this share of the frame's side: four times as many for the same time.
SHRINK = 0.5
SCALES = (25.0, 400.0)
SIGMAS = (0.2, 0.8)
TEXTURE_WEIGHTS = (3.0, 8.0)
LEAST_SIZES = (8, 25, 75)
# Felzenszwalb's scale is counted in grey levels of 8-bit images.
GRAY_LEVELS = 255

# More than three channels are meant. Once for all: a filter around each call would not be safe among threads.
warnings.filterwarnings("ignore", "Got image with third dimension", RuntimeWarning)

Task = tuple[NDArray[np.float32], float, float, int]  # channels (h, w, C), scale, sigma, smallest size of a segment


class Ensemble:
    """Different graph segmentations of one image, made as they are asked for.

    Felzenszwalb & Huttenlocher 2004 on differently smoothed sources, weights of lightness, scales and smallest sizes,
    every other one with texture beside colour. The same image always gives the same ensemble.
    """

    def __init__(self, image: NDArray[np.uint8]) -> None:
        """image: (h, w, 3) uint8 RGB."""
        self._image = image
        self._made: list[NDArray[np.int32]] = []

    def first(self, count: int) -> NDArray[np.int32]:
        """Segment ids (count, h, w) int32 of the first members, of MEMBERS."""
        height, width = self._image.shape[:2]
        # Most of the work is done without Python's lock.
        with ThreadPoolExecutor(max(1, cv2.getNumThreads()), "segments") as threads:
            for each in threads.map(
                lambda task: _segments(*task), islice(self._tasks, max(0, count - len(self._made)))
            ):
                full = cv2.resize(each, (width, height), interpolation=cv2.INTER_NEAREST)
                self._made.append(np.asarray(full, np.int32))
        return np.stack(self._made[:count])

    @cached_property
    def _tasks(self) -> Iterator[Task]:
        """What is still to be made, in order."""
        height, width = self._image.shape[:2]
        small_size = max(8, round(width * SHRINK)), max(8, round(height * SHRINK))
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
    scale = float(np.exp(generator.uniform(*np.log(SCALES))))
    return channels, scale, float(generator.uniform(*SIGMAS)), LEAST_SIZES[member % len(LEAST_SIZES)]


def _segments(channels: NDArray[np.float32], scale: float, sigma: float, least_size: int) -> NDArray[np.int32]:
    """(h, w) int32 of (h, w, C); scale is counted in grey levels."""
    values = channels.astype(np.float64) / GRAY_LEVELS
    return np.asarray(felzenszwalb(values, scale, sigma, least_size, channel_axis=-1), np.int32)


def _sources(image: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The image, smoothed twice by a bilateral filter, and after a mean shift."""
    bilateral = cv2.bilateralFilter(cv2.bilateralFilter(image, 7, 25, 5), 7, 25, 5)
    return [image, np.asarray(bilateral, np.uint8), np.asarray(cv2.pyrMeanShiftFiltering(image, 4, 18), np.uint8)]
