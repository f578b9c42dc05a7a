"""Classical peers: each gets the clicks in the form that serves it best.

While there are clicks of one class only, the border of the image stands for the rest (class 0).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import random_walker

from neural_seg_ros.annotations import Click
from neural_seg_ros.evaluate.labeller import Labeller, Labelling
from neural_seg_ros.evaluate.nearest import fill_from_nearest

BACKGROUND = 0
SEED_RADIUS = 2
# Pixels; OpenCV's watershed overwrites the outermost one.
BORDER = 2
_NO_SEED = -1


class GrabCut:
    """OpenCV grabCut, one object: a positive click is a disc of probable object, a negative one of background.

    Rother, Kolmogorov, Blake: GrabCut, SIGGRAPH 2004.
    """

    disc = 1 / 8
    hard_radius = 2
    iterations = 3

    def start(self, image: NDArray[np.uint8]) -> None:
        self._image = np.ascontiguousarray(image)

    def label(self, clicks: Sequence[Click]) -> Labelling:
        height, width = self._image.shape[:2]
        radius = round(self.disc * max(height, width))
        trimap = np.full((height, width), cv2.GC_PR_BGD, np.uint8)
        if not any(click.class_id == BACKGROUND for click in clicks):
            trimap[_border(trimap)] = cv2.GC_BGD
        probable, sure = (cv2.GC_PR_BGD, cv2.GC_PR_FGD), (cv2.GC_BGD, cv2.GC_FGD)
        for value, size in ((probable, radius), (sure, self.hard_radius)):
            for click in clicks:
                cv2.circle(trimap, _pixel(click), size, value[click.class_id != BACKGROUND], cv2.FILLED)
        if not np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD)).any():
            return Labelling(np.zeros((height, width), np.uint8))
        cv2.setRNGSeed(0)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(self._image, trimap, None, *models, self.iterations, cv2.GC_INIT_WITH_MASK)
        return Labelling(np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8))


class Watershed:
    """OpenCV watershed, many classes: discs around clicks are the markers. Meyer: Color image segmentation, 1992."""

    def start(self, image: NDArray[np.uint8]) -> None:
        self._image = np.ascontiguousarray(image)

    def label(self, clicks: Sequence[Click]) -> Labelling:
        seeds = _seeds(self._image, clicks)
        # cv2.watershed reads 0 as unknown and writes -1 on the lines between basins.
        basins = cv2.watershed(self._image, seeds + 1) - 1
        return Labelling(fill_from_nearest(basins.astype(np.uint8), basins < 0))


class RandomWalker:
    """scikit-image random walker on CIE Lab, many classes, with probabilities. Grady: Random walks, PAMI 2006."""

    def __init__(self, beta: float) -> None:
        self._beta = beta

    def start(self, image: NDArray[np.uint8]) -> None:
        self._lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).astype(np.float64)

    def label(self, clicks: Sequence[Click]) -> Labelling:
        seeds = _seeds(self._lab, clicks)
        classes = np.unique(seeds[seeds != _NO_SEED])
        if len(classes) < 2 or np.count_nonzero(seeds == _NO_SEED) == 0:
            return Labelling(fill_from_nearest(seeds.astype(np.uint8), seeds == _NO_SEED))
        probabilities = random_walker(
            self._lab,
            np.searchsorted(classes, seeds) + (seeds != _NO_SEED),
            beta=self._beta,
            mode="bf",
            return_full_prob=True,
            channel_axis=-1,
        )
        labels = classes[probabilities.argmax(0)].astype(np.uint8)
        return Labelling(labels, probabilities.max(0).clip(0, 1).astype(np.float32))


class NearestClick:
    """The class of the nearest click: what the positions alone are worth."""

    def start(self, image: NDArray[np.uint8]) -> None:
        self._image = image

    def label(self, clicks: Sequence[Click]) -> Labelling:
        seeds = _seeds(self._image, clicks)
        return Labelling(fill_from_nearest(seeds.astype(np.uint8), seeds == _NO_SEED))


# The random walker's beta is the best of 5 to 500 on the development images of each task.
OBJECT_PEERS: dict[str, Callable[[], Labeller]] = {
    "grabcut": GrabCut,
    "watershed": Watershed,
    "random_walker": partial(RandomWalker, beta=50.0),
}
REGION_PEERS: dict[str, Callable[[], Labeller]] = {
    "nearest": NearestClick,
    "watershed": Watershed,
    "random_walker": partial(RandomWalker, beta=20.0),
}


def _seeds(image: NDArray[np.generic], clicks: Sequence[Click]) -> NDArray[np.int32]:
    """(H, W) int32: the class on a small disc around every click, later clicks on top, _NO_SEED elsewhere."""
    seeds = np.full(image.shape[:2], _NO_SEED, np.int32)
    if len({click.class_id for click in clicks}) < 2:
        seeds[_border(seeds)] = BACKGROUND
    for click in clicks:
        cv2.circle(seeds, _pixel(click), SEED_RADIUS, click.class_id, cv2.FILLED)
    return seeds


def _border(image: NDArray[np.generic]) -> NDArray[np.bool_]:
    border = np.ones(image.shape[:2], bool)
    border[BORDER:-BORDER, BORDER:-BORDER] = False
    return border


def _pixel(click: Click) -> tuple[int, int]:
    return round(click.x), round(click.y)
