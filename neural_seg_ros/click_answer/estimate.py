"""Class probabilities at working resolution, the currency between region graph, tracker, field and session."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Estimate:
    """Class probabilities of one frame at any size (h, w).

    image             (h, w, 3) uint8 RGB: the frame at that size
    probabilities     (N, h, w) float32, summing to 1 over N
    top_odds_divisor  at full size the odds of a pixel's most probable class are divided by this, at least 1
    """

    image: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    top_odds_divisor: float = 1.0
