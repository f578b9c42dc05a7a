"""What the robot user drives: anything that turns what is drawn so far into labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation
from neural_seg_ros.evaluate.nearest import Labels


@dataclass(frozen=True)
class Labelling:
    """Labels (H, W) uint8 of class ids and, where the method has one, their confidence (H, W) float32 in [0, 1]."""

    labels: Labels
    confidence: NDArray[np.float32] | None = None


class Labeller(Protocol):
    """One method under test, used for one image after another."""

    def start(self, image: NDArray[np.uint8]) -> None:
        """Prepare for an image (H, W, 3) uint8 RGB, before anything is drawn."""
        ...

    def label(self, annotations: Sequence[Annotation]) -> Labelling:
        """Label every pixel from all that was drawn so far, oldest first; one call extends what the last was given."""
        ...
