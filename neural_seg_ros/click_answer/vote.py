"""The vote of the candidates, weighted by how plausible each makes the user's clicks.

A user who sees an error clicks on its largest part, more or less in the middle. Each candidate implies which pixels of
the previous answer were wrong. If a click fell into a small part of these, or at an edge, the candidate is probably not
what the user wants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.regions.graph import Regions

# Weight of an implausible click against a candidate.
IMPLAUSIBILITY_SCALE = 4.0
# Share of the depth at the click itself; the rest is the greatest depth of the error part that it fell into.
CLICK_DEPTH_SHARE = 0.5
# Older clicks add little.
MAX_CLICKS = 8
# Depths are measured on a grid of this spacing.
SPACING_PX = 2


@dataclass(frozen=True)
class PastClick:
    """A click, and the answer that the user saw when making it.

    channel, x, y    class, and pixel of the (h, w) frame
    previous_labels  (R,) int64 channel of every superpixel in that answer; None before the first
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
    """Compute the shares (K,) of K candidates (R,) in the vote; they sum to 1.

    A share is proportional to weight (K,) times exp(IMPLAUSIBILITY_SCALE sum over clicks of (r - 1)), with the
    plausibility r in (0, 1] of a click.
    """
    recent = clicks[-MAX_CLICKS:]
    # Many candidates are the same.
    distinct = {each.tobytes(): each for each in candidates}
    doubt_of = {key: sum(1 - r for r in _plausibilities(regions, each, recent)) for key, each in distinct.items()}
    doubts = np.array([doubt_of[each.tobytes()] for each in candidates])
    shares = weights * np.exp(IMPLAUSIBILITY_SCALE * (doubts.min() - doubts))
    return np.asarray(shares / shares.sum())


def _plausibilities(regions: Regions, candidate: NDArray[np.int64], clicks: Sequence[PastClick]) -> list[float]:
    """Compute the plausibility r of every click, if ``candidate`` (R,) is what the user wants.

    r = (s depth at the click + (1 - s) depth of its part + 1/2) / (depth of the deepest part + 1/2), s =
    CLICK_DEPTH_SHARE, over
    the connected parts of one class in which the candidate differs from the previous labels; before the first answer,
    over the parts of the click's own class.
    """
    ids = regions.ids[::SPACING_PX, ::SPACING_PX]
    plausibilities: list[float] = []
    previous_labels = errors = depth = None
    for click in clicks:
        if errors is None or depth is None or click.previous_labels is not previous_labels:
            previous_labels = click.previous_labels
            wrong = candidate if previous_labels is None else np.where(candidate != previous_labels, candidate, -1)
            errors = np.asarray(wrong[ids], np.int16)
            depth = _depth(errors)
        own = errors == click.channel
        deepest = float((depth[own] if click.previous_labels is None else depth).max(initial=0.0))
        y, x = click.y // SPACING_PX, click.x // SPACING_PX
        around = 0.0
        if own[y, x]:
            _, parts = cv2.connectedComponents(own.astype(np.uint8), connectivity=4)
            deepest_here = float(depth[parts == parts[y, x]].max())
            around = CLICK_DEPTH_SHARE * float(depth[y, x]) + (1 - CLICK_DEPTH_SHARE) * deepest_here
        plausibilities.append((around + 0.5) / (deepest + 0.5))
    return plausibilities


def _depth(errors: NDArray[np.int16]) -> NDArray[np.float32]:
    """Compute the distance (h, w) to the edge of each part of one value, 0 where ``errors`` is -1.

    The frame's side is an edge.
    """
    padded = np.pad(errors, 1, constant_values=-1)
    inside = np.zeros(padded.shape, np.uint8)
    middle = padded[1:-1, 1:-1]
    alike = (middle >= 0) & (middle == padded[:-2, 1:-1]) & (middle == padded[2:, 1:-1])
    inside[1:-1, 1:-1] = alike & (middle == padded[1:-1, :-2]) & (middle == padded[1:-1, 2:])
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_3)
    return np.asarray(depth[1:-1, 1:-1], np.float32)
