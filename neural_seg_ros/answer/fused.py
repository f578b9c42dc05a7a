"""``answer: fused``: a region graph answers on the annotated frame at once, the field learns it and carries it on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.answer.estimate import Draw, Estimate
from neural_seg_ros.answer.graph import graph_answer
from neural_seg_ros.answer.memory import recall
from neural_seg_ros.image import MIN_SIDE, field_shape, resize_image
from neural_seg_ros.regions import Regions, prepare_regions

GRAPH_SIZE = 300


class FusedAnswer:
    """Keeps the regions of the frame observed last, made when its first annotation asks for them."""

    def __init__(self) -> None:
        self._frame: NDArray[np.uint8] | None = None
        self._regions: Regions | None = None

    def observe(self, frame: NDArray[np.uint8]) -> None:
        """Drop the regions of the last frame."""
        self._frame = frame
        self._regions = None

    def instant(self, draw: Draw, carried: Estimate | None) -> Estimate | None:
        """The region graph's answer to this frame's annotations and what it remembers, at 300 pixels."""
        assert self._frame is not None
        frame_height, frame_width = self._frame.shape[:2]
        height, width = field_shape(frame_height, frame_width, GRAPH_SIZE, MIN_SIDE)
        drawn = draw((height, width))
        if not drawn.weights.any():
            return None
        if self._regions is None:
            self._regions = prepare_regions(resize_image(self._frame, height, width))
        if carried is not None:
            drawn = recall(drawn, carried)
        probabilities = graph_answer(self._regions, drawn.labels, drawn.weights, drawn.count)
        return Estimate(drawn.image, probabilities)

    def final(self, instant: Estimate | None, field: Callable[[], Estimate]) -> Estimate:
        """The graph's answer on an annotated frame; on later ones the field's, which was taught it."""
        return instant if instant is not None else field()
