"""Classical peers: each gets the annotations in the form that serves it best.

While there is one class only, the border of the image is taken as the rest (class 0).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import random_walker

from neural_seg_ros.annotations import Annotation, Box, Click, Region, Stroke
from neural_seg_ros.annotations.rasterize import NOTHING, box_pixels, rasterize
from neural_seg_ros.evaluation.labelers import Labeler, Labeling
from neural_seg_ros.images.arrays import fill_from_nearest
from neural_seg_ros.regions.pixel_features import lab_of

BACKGROUND = 0
SEED_RADIUS = 2
# Pixels; OpenCV's watershed overwrites the outermost one.
BORDER = 2
_ANY_CLASS = 255  # no dense mask comes here, so none is unlabelled


class GrabCut:
    """OpenCV grabCut, one object, from clicks, strokes and regions, or from a bounding box with these.

    The surroundings of a click or stroke are probably of its class; a region is sure. The inside of the box is probably
    object, the outside surely not. Rother, Kolmogorov, Blake: GrabCut, SIGGRAPH 2004.
    """

    disc = 1 / 8
    hard_radius = 2
    iterations_of_clicks, iterations_of_box = 3, 5

    def start(self, image: NDArray[np.uint8]) -> None:
        self._image = np.ascontiguousarray(image)

    def label(self, annotations: Sequence[Annotation]) -> Labeling:
        box = next((annotation for annotation in annotations if isinstance(annotation, Box)), None)
        clicks = [annotation for annotation in annotations if isinstance(annotation, Click)]
        marks = [each for each in annotations if isinstance(each, Click | Stroke | Region)]
        trimap = self._without_box(marks) if box is None else self._inside(box)
        radius = round(self.disc * max(trimap.shape))
        probable, sure = (cv2.GC_PR_BGD, cv2.GC_PR_FGD), (cv2.GC_BGD, cv2.GC_FGD)
        for value, size in ((probable, radius), (sure, self.hard_radius)):
            for click in clicks:
                cv2.circle(trimap, _pixel(click), size, value[click.class_id != BACKGROUND], cv2.FILLED)
            for stroke in (annotation for annotation in annotations if isinstance(annotation, Stroke)):
                # OpenCV draws nothing for a line of one point.
                points = [np.rint((*stroke.points, stroke.points[-1])).astype(np.int32)]
                width = round(stroke.width) if value is sure else radius
                cv2.polylines(trimap, points, False, value[stroke.class_id != BACKGROUND], max(1, width))
        shape = trimap.shape[0], trimap.shape[1]
        regions = rasterize([each for each in annotations if isinstance(each, Region)], shape, shape, _ANY_CLASS)
        trimap[regions == BACKGROUND], trimap[regions > BACKGROUND] = cv2.GC_BGD, cv2.GC_FGD
        if not np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD)).any():
            return Labeling(np.zeros(trimap.shape, np.uint8))
        iterations = self.iterations_of_clicks if box is None else self.iterations_of_box
        cv2.setRNGSeed(0)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(self._image, trimap, None, *models, iterations, cv2.GC_INIT_WITH_MASK)
        return Labeling(np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8))

    def _without_box(self, marks: Sequence[Click | Stroke | Region]) -> NDArray[np.uint8]:
        trimap = np.full(self._image.shape[:2], cv2.GC_PR_BGD, np.uint8)
        if not any(each.class_id == BACKGROUND for each in marks):
            trimap[_border(trimap)] = cv2.GC_BGD
        return trimap

    def _inside(self, box: Box) -> NDArray[np.uint8]:
        """Return the trimap of GC_INIT_WITH_RECT; a box as large as the image leaves its outermost pixels outside."""
        shape = self._image.shape[0], self._image.shape[1]
        inside = np.zeros(shape, bool)
        inside[box_pixels(box, shape, shape)] = True
        if inside.all():
            inside = ~_border(inside, 1)
        return np.where(inside, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)


class Watershed:
    """OpenCV watershed, many classes: discs around clicks are the markers. Meyer: Color image segmentation, 1992."""

    def start(self, image: NDArray[np.uint8]) -> None:
        self._image = np.ascontiguousarray(image)

    def label(self, annotations: Sequence[Annotation]) -> Labeling:
        seeds = _seeds(self._image, annotations)
        # cv2.watershed reads 0 as unknown and writes -1 on the lines between basins.
        basins = cv2.watershed(self._image, seeds + 1) - 1
        return Labeling(fill_from_nearest(basins.astype(np.uint8), basins < 0))


class RandomWalker:
    """scikit-image random walker on CIE Lab, many classes, with probabilities. Grady: Random walks, PAMI 2006."""

    def __init__(self, beta: float) -> None:
        self._beta = beta

    def start(self, image: NDArray[np.uint8]) -> None:
        self._lab = lab_of(image).astype(np.float64)

    def label(self, annotations: Sequence[Annotation]) -> Labeling:
        seeds = _seeds(self._lab, annotations)
        classes = np.unique(seeds[seeds != NOTHING])
        if len(classes) < 2 or np.count_nonzero(seeds == NOTHING) == 0:
            labels = fill_from_nearest(seeds.astype(np.uint8), seeds == NOTHING)
            return Labeling(labels, np.ones(labels.shape, np.float32))
        probabilities = random_walker(
            self._lab,
            np.searchsorted(classes, seeds) + (seeds != NOTHING),
            beta=self._beta,
            mode="bf",
            return_full_prob=True,
            channel_axis=-1,
        )
        labels = classes[probabilities.argmax(0)].astype(np.uint8)
        return Labeling(labels, probabilities.max(0).clip(0, 1).astype(np.float32))


class NearestClick:
    """The class of the nearest click or stroke, as a baseline that uses positions alone."""

    def start(self, image: NDArray[np.uint8]) -> None:
        self._image = image

    def label(self, annotations: Sequence[Annotation]) -> Labeling:
        seeds = _seeds(self._image, annotations)
        return Labeling(fill_from_nearest(seeds.astype(np.uint8), seeds == NOTHING))


# The random walker's beta is the best of 5 to 500 on the development images of each task.
OBJECT_PEERS: dict[str, Callable[[], Labeler]] = {
    "grabcut": GrabCut,
    "watershed": Watershed,
    "random_walker": partial(RandomWalker, beta=50.0),
}
BOX_PEERS: dict[str, Callable[[], Labeler]] = {"grabcut": GrabCut}
REGION_PEERS: dict[str, Callable[[], Labeler]] = {
    "nearest": NearestClick,
    "watershed": Watershed,
    "random_walker": partial(RandomWalker, beta=20.0),
}


def _seeds(image: NDArray[np.generic], annotations: Sequence[Annotation]) -> NDArray[np.int32]:
    """Draw (H, W) int32 classes, clicks as small discs, later ones on top, NOTHING elsewhere."""
    shape = image.shape[0], image.shape[1]
    seeds = np.full(shape, NOTHING, np.int32)
    for annotation in annotations:
        if isinstance(annotation, Click):
            cv2.circle(seeds, _pixel(annotation), SEED_RADIUS, annotation.class_id, cv2.FILLED)
        else:
            drawn = rasterize([annotation], shape, shape, _ANY_CLASS)
            seeds = np.where(drawn == NOTHING, seeds, drawn)
    if len(np.unique(seeds[seeds != NOTHING])) < 2:
        seeds[_border(seeds) & (seeds == NOTHING)] = BACKGROUND
    return seeds


def _border(image: NDArray[np.generic], width: int = BORDER) -> NDArray[np.bool_]:
    border = np.ones(image.shape[:2], bool)
    border[width:-width, width:-width] = False
    return border


def _pixel(click: Click) -> tuple[int, int]:
    return round(click.x), round(click.y)
