"""``answer: field``: the class head of the field as it is, the system of the papers (thesis 2.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation
from neural_seg_ros.annotations.implied import Draw
from neural_seg_ros.click_answer.interface import Estimate


class FieldAnswer:
    """Clicks reach the labels through the fit alone."""

    def observe(self, frame: NDArray[np.uint8]) -> None:
        """Nothing to drop."""

    def prepare(self, wait: bool) -> None:
        """Nothing to prepare."""

    @property
    def prepared(self) -> bool:
        """True."""
        return True

    def forget(self) -> None:
        """Nothing to forget."""

    def instant(self, draw: Draw, carried: Estimate | None, hurry: bool) -> Estimate | None:
        """None: the field answers when it is fitted."""
        return None

    def improves(self, hurry: bool) -> bool:
        """False."""
        return False

    def final(self, instant: Estimate | None, field: Callable[[], Estimate]) -> Estimate:
        """The field's estimate."""
        return field()

    def saved(self, annotations: Sequence[Annotation]) -> tuple[Any, dict[str, NDArray[Any]]]:
        """Nothing to keep."""
        return None, {}

    def restore(self, values: Any, arrays: Mapping[str, NDArray[Any]], annotations: Sequence[Annotation]) -> None:
        """Nothing to take up again."""
