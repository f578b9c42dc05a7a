"""The interface of an answer, and what passes through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation
from neural_seg_ros.annotations.implied import Draw


@dataclass(frozen=True)
class Estimate:
    """Class probabilities of one frame at any size (h, w).

    image          (h, w, 3) uint8 RGB: the frame at that size
    probabilities  (N, h, w) float32, summing to 1 over N
    doubt          at full size the odds of a pixel's most probable class are divided by this, at least 1
    """

    image: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    doubt: float = 1.0


class Answer(Protocol):
    """How labels are found from a frame, its annotations and the field. One object per session."""

    def observe(self, frame: NDArray[np.uint8]) -> None:
        """A new frame (H, W, 3): what was prepared for the last one is dropped. Cheap."""

    def prepare(self, wait: bool) -> None:
        """Begin in the background, or do, what the first annotation of this frame would have to wait for."""

    @property
    def prepared(self) -> bool:
        """Whether an annotation of this frame would wait for nothing."""

    def forget(self) -> None:
        """All annotations are gone; what was prepared for the frame stays."""

    def instant(self, draw: Draw, carried: Estimate | None, hurry: bool) -> Estimate | None:
        """What this frame's annotations say without any fit; the field is then taught it. None: wait for the field.

        carried is what the field knew of this frame before its first annotation; None where nothing was known. In a
        hurry, and with the frame not prepared, the answer may be one that ``improves`` later.
        """

    def improves(self, hurry: bool) -> bool:
        """Whether ``instant`` would now give a better answer to the same annotations, in a hurry or not."""

    def final(self, instant: Estimate | None, field: Callable[[], Estimate]) -> Estimate:
        """The answer to show, from the instant estimate of this frame, if there is one, and the field's."""

    def saved(self, annotations: Sequence[Annotation]) -> tuple[Any, dict[str, NDArray[Any]]]:
        """What it keeps of the frame observed last, as JSON values and arrays; ``annotations``: those made on it."""

    def restore(self, values: Any, arrays: Mapping[str, NDArray[Any]], annotations: Sequence[Annotation]) -> None:
        """Take up again what was saved, of the same frame and annotations. Raises KeyError, TypeError, ValueError."""
