"""What the robot user drives: anything that turns the clicks so far into labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Click
from neural_seg_ros.evaluate.nearest import Labels


@dataclass(frozen=True)
class Labelling:
    """Labels (H, W) uint8 of class ids and, where the method has one, their confidence (H, W) float32 in [0, 1]."""

    labels: Labels
    confidence: NDArray[np.float32] | None = None


class Labeller(Protocol):
    """One method under test, used for one image after another."""

    def start(self, image: NDArray[np.uint8]) -> None:
        """Prepare for an image (H, W, 3) uint8 RGB, before any click."""
        ...

    def label(self, clicks: Sequence[Click]) -> Labelling:
        """Label every pixel from all clicks made so far, oldest first; one call extends the clicks of the last."""
        ...
