"""How much each candidate counts: as much as it makes the clicks look like those of someone correcting errors.

Who clicks sees what is wrong and clicks on the largest of it, more or less in its middle. A candidate tells what was
wrong with the answer that the user saw; if the click fell into a small part of that, or at its edge, the candidate is
probably not what the user wants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.regions.graph import Regions

# How much an implausible click counts against a candidate.
SHARPNESS = 4.0
# Share of the depth at the click itself, against the greatest depth of the error that it fell into.
CENTERD = 0.5
# Older clicks tell little more.
RECENT = 8
# Depths are measured on every so many pixels.
SPACING = 2


@dataclass(frozen=True)
class PastClick:
    """A click and what the user saw when making it.

    channel, x, y  class, and pixel of the (h, w) frame
    seen           (R,) int64 channel of every region in the answer then; None: there was none yet
    """

    channel: int
    x: int
    y: int
    previous_labels: NDArray[np.int64] | None


def shares_of(
    regions: Regions,
    candidates: Sequence[NDArray[np.int64]],
    weights: NDArray[np.float64],
    clicks: Sequence[PastClick],
) -> NDArray[np.float64]:
    """Shares (K,) of K candidates (R,) that sum to 1: weights (K,) times exp(SHARPNESS sum over clicks of (r - 1)).

    r in (0, 1] is the plausibility of a click.
    """
    recent = clicks[-RECENT:]
    # Many candidates are the same.
    distinct = {each.tobytes(): each for each in candidates}
    doubt_of = {key: sum(1 - r for r in _plausibilities(regions, each, recent)) for key, each in distinct.items()}
    doubts = np.array([doubt_of[each.tobytes()] for each in candidates])
    shares = weights * np.exp(SHARPNESS * (doubts.min() - doubts))
    return np.asarray(shares / shares.sum())


def _plausibilities(regions: Regions, candidate: NDArray[np.int64], clicks: Sequence[PastClick]) -> list[float]:
    """r of every click if ``candidate`` (R,) is what the user wants.

    r = (CENTRED depth at the click + (1 - CENTRED) depth of the part it is in + 1/2) / (depth of the deepest + 1/2),
    over the parts in which the candidate differs from what was seen and is of one class; before the first answer, over
    those of the click's own class.
    """
    ids = regions.ids[::SPACING, ::SPACING]
    found: list[float] = []
    previous_labels = errors = depth = None
    for click in clicks:
        if errors is None or depth is None or click.previous_labels is not previous_labels:
            previous_labels = click.previous_labels
            wrong = candidate if previous_labels is None else np.where(candidate != previous_labels, candidate, -1)
            errors = np.asarray(wrong[ids], np.int16)
            depth = _depth(errors)
        own = errors == click.channel
        deepest = float((depth[own] if click.previous_labels is None else depth).max(initial=0.0))
        y, x = click.y // SPACING, click.x // SPACING
        around = 0.0
        if own[y, x]:
            _, parts = cv2.connectedComponents(own.astype(np.uint8), connectivity=4)
            around = CENTERD * float(depth[y, x]) + (1 - CENTERD) * float(depth[parts == parts[y, x]].max())
        found.append((around + 0.5) / (deepest + 0.5))
    return found


def _depth(errors: NDArray[np.int16]) -> NDArray[np.float32]:
    """Distance (h, w) to the edge of each part of one value, 0 where ``errors`` is -1; the frame's side is an edge."""
    padded = np.pad(errors, 1, constant_values=-1)
    inside = np.zeros(padded.shape, np.uint8)
    middle = padded[1:-1, 1:-1]
    alike = (middle >= 0) & (middle == padded[:-2, 1:-1]) & (middle == padded[2:, 1:-1])
    inside[1:-1, 1:-1] = alike & (middle == padded[1:-1, :-2]) & (middle == padded[1:-1, 2:])
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_3)
    return np.asarray(depth[1:-1, 1:-1], np.float32)
