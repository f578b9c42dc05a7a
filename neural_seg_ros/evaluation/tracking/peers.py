"""Trackers that were trained nowhere: each carries the dense mask of the first frame."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation
from neural_seg_ros.evaluation.labelers import Labeling
from neural_seg_ros.evaluation.tracking.grid import Grid, Motion, labels_of, shares_of
from neural_seg_ros.evaluation.tracking.sequences import objects_of
from neural_seg_ros.evaluation.tracking.trackers import Tracker, mask_among

# Box trackers of OpenCV that need no trained weights; which of them there are depends on how it was built.
BOX_TRACKERS = {"mil": "TrackerMIL", "kcf": "TrackerKCF", "csrt": "TrackerCSRT"}


class Copy:
    """The first mask, again and again: what motion costs."""

    def start(self, image: NDArray[np.uint8]) -> None:
        pass

    def label(self, annotations: Sequence[Annotation]) -> Labeling:
        self._labels = mask_among(annotations)
        return Labeling(self._labels)

    def follow(self, image: NDArray[np.uint8]) -> Labeling:
        return Labeling(self._labels)


class FlowWarp:
    """The soft mask of the frame before, moved by dense optical flow (DIS: Kroeger et al., ECCV 2016)."""

    def start(self, image: NDArray[np.uint8]) -> None:
        self._image = image

    def label(self, annotations: Sequence[Annotation]) -> Labeling:
        labels = mask_among(annotations)
        self._ids = objects_of(labels)
        self._shares = shares_of(labels, self._ids)
        return Labeling(labels)

    def follow(self, image: NDArray[np.uint8]) -> Labeling:
        self._shares = Motion(self._image, image).warped(self._shares)
        self._image = image
        return Labeling(labels_of(self._shares, self._ids))


class BoxTracker:
    """A box tracker of OpenCV for each object, with the object's first mask moved and scaled as its box.

    An object that its tracker calls lost is nowhere.
    """

    def __init__(self, name: str) -> None:
        self._create = _creator(name)

    def start(self, image: NDArray[np.uint8]) -> None:
        self._image = image

    def label(self, annotations: Sequence[Annotation]) -> Labeling:
        labels = mask_among(annotations)
        self._objects = []
        for class_id in objects_of(labels):
            mask = (labels == class_id).astype(np.uint8)
            box = cv2.boundingRect(mask)
            _seed_opencv()
            tracker = self._create()
            tracker.init(cv2.cvtColor(self._image, cv2.COLOR_RGB2BGR), box)
            self._objects.append((class_id, mask, box, tracker))
        return Labeling(labels)

    def follow(self, image: NDArray[np.uint8]) -> Labeling:
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        labels = np.zeros(image.shape[:2], np.uint8)
        for class_id, mask, first, tracker in self._objects:
            found, box = tracker.update(bgr)
            if found:
                labels[_moved(mask, first, box) == 1] = class_id
        return Labeling(labels)


def available_peers() -> dict[str, Callable[[], Tracker]]:
    """List the peers by name, without the box trackers that this OpenCV lacks."""
    boxes = {name: partial(BoxTracker, name) for name in BOX_TRACKERS if _creator(name) is not None}
    return {"copy": Copy, "flow": FlowWarp, **boxes, "grid": Grid}


def missing_peers() -> tuple[str, ...]:
    """List the names of the box trackers that this OpenCV lacks."""
    return tuple(name for name in BOX_TRACKERS if _creator(name) is None)


def _creator(name: str) -> Any:
    """Find the factory of an OpenCV tracker, in the main or the legacy module; None where there is none."""
    for module in (cv2, getattr(cv2, "legacy", None)):
        create = getattr(module, f"{BOX_TRACKERS[name]}_create", None)
        if create is not None:
            return create
    return None


def _seed_opencv() -> None:
    """Seed both generators that OpenCV's trackers draw from: its own and, for MIL's features, the C library's."""
    cv2.setRNGSeed(0)
    ctypes.CDLL(None).srand(0)


def _moved(mask: NDArray[np.uint8], first: Sequence[int], box: Sequence[float]) -> NDArray[np.uint8]:
    """``mask`` with its box ``first`` (x, y, width, height) brought onto another one."""
    across, down = box[2] / first[2], box[3] / first[3]
    change = np.array([[across, 0, box[0] - across * first[0]], [0, down, box[1] - down * first[1]]])
    size = mask.shape[1], mask.shape[0]
    return np.asarray(cv2.warpAffine(mask, change, size, flags=cv2.INTER_NEAREST), np.uint8)
