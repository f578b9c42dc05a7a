"""The trackers of an evaluation: ours, and the interface of peers that carry the first labels on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation, Mask
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.evaluation.labelers import Labeler, Labeling
from neural_seg_ros.images.arrays import Labels
from neural_seg_ros.images.files import DEFAULT_FPS
from neural_seg_ros.metrics import IGNORE
from neural_seg_ros.session import Session


class Tracker(Labeler, Protocol):
    """A labeler of the first frame that also labels later frames; used for one sequence after another.

    ``label`` gives the first frame's labels: a peer is given one dense ``Mask`` alone.
    """

    def follow(self, image: NDArray[np.uint8]) -> Labeling:
        """Label the next frame (H, W, 3) uint8 RGB, of the size of the first."""
        ...


def mask_among(annotations: Sequence[Annotation]) -> Labels:
    """Return the labels (H, W) uint8 of the one dense mask, with its unlabeled pixels as background."""
    (mask,) = (annotation for annotation in annotations if isinstance(annotation, Mask))
    return np.where(mask.labels == IGNORE, 0, mask.labels).astype(np.uint8)


class FromClicks:
    """A peer that cannot read clicks: it carries the mask that a labeler makes of them."""

    def __init__(self, peer: Callable[[], Tracker], labeler: Callable[[], Labeler]) -> None:
        self._peer = peer()
        self._labeler = labeler()

    def start(self, image: NDArray[np.uint8]) -> None:
        self._image = image
        self._labeler.start(image)

    def label(self, annotations: Sequence[Annotation]) -> Labeling:
        labeling = self._labeler.label(annotations)
        self._peer.start(self._image)
        return self._peer.label([Mask(labeling.labels)])

    def follow(self, image: NDArray[np.uint8]) -> Labeling:
        return self._peer.follow(image)


class SessionTracker:
    """A session per sequence: observe, annotate, make the steps that are due, on every frame."""

    def __init__(self, config: SessionConfig, device: str = "auto") -> None:
        self._config = dataclasses.replace(config, label_bits=8)
        self._device = device

    def start(self, image: NDArray[np.uint8]) -> None:
        self._session = Session(self._config, self._device)
        self._session.observe(image)
        self._frames = 1

    def label(self, annotations: Sequence[Annotation]) -> Labeling:
        for annotation in annotations[len(self._session.annotations) :]:
            self._session.annotate(annotation)
        return self._fitted()

    def follow(self, image: NDArray[np.uint8]) -> Labeling:
        self._session.observe(image, stamp=self._frames / DEFAULT_FPS)
        self._frames += 1
        return self._fitted()

    def _fitted(self) -> Labeling:
        self._session.fit()
        result = self._session.result()
        return Labeling(result.labels.astype(np.uint8, copy=False), result.confidence)
