"""Our own session as a tracker."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.evaluate.labeller import Labelling
from neural_seg_ros.session import Session
from neural_seg_ros.video import DEFAULT_FPS


class SessionTracker:
    """A session per sequence: observe, annotate, make the steps that are due, on every frame."""

    def __init__(self, config: SessionConfig, device: str = "auto") -> None:
        self._config = dataclasses.replace(config, label_bits=8)
        self._device = device

    def start(self, image: NDArray[np.uint8]) -> None:
        self._session = Session(self._config, self._device)
        self._session.observe(image)
        self._frames = 1

    def label(self, annotations: Sequence[Annotation]) -> Labelling:
        for annotation in annotations[len(self._session.annotations) :]:
            self._session.annotate(annotation)
        return self._fitted()

    def follow(self, image: NDArray[np.uint8]) -> Labelling:
        self._session.observe(image, stamp=self._frames / DEFAULT_FPS)
        self._frames += 1
        return self._fitted()

    def _fitted(self) -> Labelling:
        self._session.fit()
        result = self._session.result()
        return Labelling(result.labels.astype(np.uint8, copy=False), result.confidence)
