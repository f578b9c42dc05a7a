"""The figures of merit of DAVIS (Perazzi et al., A benchmark dataset and evaluation methodology, CVPR 2016, section 5).

The region similarity J of a frame is ``metrics.iou``. The official evaluation leaves the first and the last frame of a
sequence out of all figures; so does ``judged``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SUCCESS = 0.5
QUARTERS = 4
Values = NDArray[np.float64]  # of the frames of a sequence, in order


def judged(values: Values) -> Values:
    """Return the values (..., frames) without the first frame, which is given, and the last."""
    return values[..., 1:-1]


def recall(values: Values) -> float:
    """Compute the share of the judged frames with more than .5."""
    return float((values > SUCCESS).mean())


def decay(values: Values) -> float:
    """Subtract the mean of the last quarter from that of the first; neighboring quarters share a frame.

    Negative where a sequence ends better than it begins.
    """
    # Halves are rounded up, as in the official code.
    bounds = np.floor(np.linspace(1, len(values), QUARTERS + 1) + 0.5).astype(int) - 1
    first, last = values[: bounds[1] + 1], values[bounds[-2] : bounds[-1] + 1]
    return float(first.mean() - last.mean())
