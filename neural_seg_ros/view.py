"""The frame in view as it is annotated now."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation
from neural_seg_ros.answer import Drawn
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.placed import draw, rest_of
from neural_seg_ros.rasterise import bounding_boxes, outside_boxes, rasterise


@dataclass(frozen=True, eq=False)
class View:
    """A frame and what is said of it.

    frame        (H, W, 3) uint8 RGB
    annotations  made on this very frame, oldest first
    classes      the class ids annotated on any frame, ascending
    """

    frame: NDArray[np.uint8]
    annotations: tuple[Annotation, ...]
    classes: tuple[int, ...]
    config: SessionConfig

    @property
    def shown(self) -> tuple[int, ...]:
        """The classes of the answer, ascending: those annotated, and the rest beside a single one."""
        rest = rest_of(self.classes, self.config.unlabelled)
        return self.classes if rest is None else tuple(sorted({*self.classes, rest}))

    def draw(self, channels: tuple[int, ...], size: tuple[int, int]) -> Drawn:
        """Its annotations, and what is presumed, at (height, width); ``channels``: the class id of each."""
        return draw(self.annotations, self.classes, channels, self.frame, size, self.config)

    def certain(self) -> tuple[NDArray[np.int32] | None, dict[int, NDArray[np.bool_]]]:
        """(H, W) int32 class ids of what was drawn on it, NOTHING elsewhere, or None when nothing was.

        Then {class id: (H, W) bool} of the classes with bounding boxes on it: True where the class cannot be.
        """
        if not self.annotations:
            return None, {}
        size = self.frame.shape[:2]
        drawn = rasterise(self.annotations, size, size, self.config.unlabelled)
        return drawn, outside_boxes(bounding_boxes(self.annotations, size, size), drawn)
