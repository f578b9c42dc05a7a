"""Our own session as a labeler."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.field.steps import MakeSteps, make_steps
from neural_seg_ros.images.arrays import Labels
from neural_seg_ros.session import Session


@dataclass(frozen=True)
class Labeling:
    """Labels (H, W) uint8 of class ids and, where the method has one, their confidence (H, W) float32 in [0, 1]."""

    labels: Labels
    confidence: NDArray[np.float32] | None = None


class Labeler(Protocol):
    """One method under test, used for one image after another."""

    def start(self, image: NDArray[np.uint8]) -> None:
        """Prepare for an image (H, W, 3) uint8 RGB, before anything is drawn."""
        ...

    def label(self, annotations: Sequence[Annotation]) -> Labeling:
        """Label every pixel from all that was drawn so far, oldest first; one call extends what the last was given."""
        ...


class SessionLabeler:
    """A session per image: the first fit before the first click, then the steps that are due after every click.

    ``answer: fused`` answers a click before any fit and the fit does not change it, so there is none.
    """

    def __init__(self, config: SessionConfig, device: str = "auto", make_steps: MakeSteps = make_steps) -> None:
        self._config = dataclasses.replace(config, label_bits=8)
        self._device = device
        self._make_steps = make_steps

    def start(self, image: NDArray[np.uint8]) -> None:
        self._session = Session(self._config, self._device, self._make_steps)
        self._session.observe(image)
        self._session.prepare(wait=True)
        self._fit()

    def label(self, annotations: Sequence[Annotation]) -> Labeling:
        for annotation in annotations[len(self._session.annotations) :]:
            self._session.annotate(annotation)
        self._fit()
        result = self._session.result()
        return Labeling(result.labels.astype(np.uint8, copy=False), result.confidence)

    def _fit(self) -> None:
        if not self._config.answers_at_once:
            self._session.fit()
