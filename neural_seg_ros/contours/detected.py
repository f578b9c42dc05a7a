"""The contours and segments that a detector finds in an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Contours:
    """The contours of an (H, W, 3) image, and the segments that they enclose.

    strength  (H, W) float32 in [0, 1], as wide as the detector leaves them
    thinned   gives ``thin``
    segments  ids (H, W) int32 from 0 on at a threshold in [0, 1]: the higher, the fewer; None where contours are all
    """

    strength: NDArray[np.float32]
    thinned: Callable[[], NDArray[np.float32]]
    segments: Callable[[float], NDArray[np.int32]] | None = None

    @cached_property
    def thin(self) -> NDArray[np.float32]:
        """(H, W) float32 in [0, 1], one pixel wide; computed at the first access."""
        return self.thinned()
