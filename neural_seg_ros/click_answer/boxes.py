"""What bounding boxes hold: objects found by iterated cuts, as in GrabCut (Rother, Kolmogorov, Blake 2004).

The look of the object is learnt from a part of the box, the box is cut, the look is learnt from what the cut found, and
again until nothing changes. Which part one starts with decides much, so several are tried, at several prices of border;
what they find votes, and counts less when it leaves a side of its box far away: a user draws boxes tight (Lempitsky et
al. 2009).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations.implied import AnnotationTargets, BoxTarget, unlikeness
from neural_seg_ros.click_answer.candidates import FORBIDDEN, prices_of, scale_of
from neural_seg_ros.click_answer.carried_seeds import REMEMBERED_WEIGHT, contradicted
from neural_seg_ros.regions.appearance import appearance, together
from neural_seg_ros.regions.cuts import expand
from neural_seg_ros.regions.graph import Regions
from neural_seg_ros.regions.graph_distances import geodesics
from neural_seg_ros.regions.seeds import HARD

# The parts to start with: these shares of the box, least like what is outside.
SHARES = (0.25, 0.5, 0.75, 1.0)
LOOK, PRICES = 0.5, (3.0, 6.0, 12.0)
ROUNDS = 10
# What is outside counts for the look of the rest by its distance from the box, in box sides.
NEAR = 0.5
# How much a gap to the sides of a box counts against what was found in it.
TIGHT = 2.0
# A region is remembered as in or out of the object when this share of the vote agrees.
SURE = 0.6
# Cost of giving a region to another class than that of the annotation in the box that it belongs with.
BELONG = 2.0

Found = NDArray[np.bool_]  # (R,) whether a region is of the object


def recall_boxes(drawn: AnnotationTargets, regions: Regions) -> AnnotationTargets:
    """``drawn`` with what its boxes hold as seeds, where the vote is sure, in place of what was presumed there.

    Annotations hold, and nothing is remembered near one that contradicts it.
    """
    labels, weights = drawn.labels.copy(), drawn.weights.copy()
    free = drawn.weights < HARD
    for box in sorted(drawn.boxes, key=lambda box: -labels[box.pixels].size):
        other = (drawn.weights > 0) & (drawn.labels != box.channel) | drawn.outside[box.channel]
        inside = np.zeros(labels.shape, np.bool_)
        inside[box.pixels] = True
        inside &= ~other
        if not other.any() or not inside.any():
            continue
        clicked = replace(drawn, weights=np.where(drawn.outside[box.channel], 0, drawn.weights))
        share = _share(regions, clicked, other, box)[regions.ids]
        if not share.any():
            continue
        weights[inside & free & (labels == box.channel)] = 0
        of_it = inside & free & (share > SURE) & ~contradicted(clicked, box.channel)
        labels[of_it], weights[of_it] = box.channel, REMEMBERED_WEIGHT
        if box.rest is not None:
            beside = inside & (weights == 0) & (share < 1 - SURE) & ~contradicted(clicked, box.rest)
            labels[beside], weights[beside] = box.rest, REMEMBERED_WEIGHT
    return replace(drawn, labels=labels, weights=weights)


def _share(
    regions: Regions, clicked: AnnotationTargets, other: NDArray[np.bool_], box: BoxTarget
) -> NDArray[np.float64]:
    """The share (R,) of the vote that finds the object of ``box`` in a region.

    ``clicked`` has what users said and nothing of what the box says; ``other`` (h, w) is not of the object.
    """
    said = clicked.weights == 1
    own = said & (clicked.labels == box.channel)
    belongs = np.stack([_belongs(regions, said & ~own), _belongs(regions, own)])
    known = np.where(_mostly(other, regions), 0, -1)
    known[np.unique(regions.ids[own])] = 1
    outside = np.ones(other.shape, np.uint8)
    outside[box.pixels] = 0
    distance = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_5)
    side = np.sqrt(outside.size - outside.sum())
    x, y = np.rint(regions.centroids).astype(int).T
    background = np.where(known == 0, regions.areas * np.exp(-distance[y, x] / (NEAR * side)), 0)
    unlike = unlikeness(clicked.image, other)[box.pixels]
    starts = []
    for share in SHARES:
        start = np.zeros(other.shape, np.bool_)
        start[box.pixels] = unlike >= np.quantile(unlike, 1 - share)
        starts.append(_mostly(start, regions))
    votes = np.zeros(regions.count)
    total = 0.0
    for start, price in product(starts, PRICES):
        found = _iterated(regions, known, background, belongs, start, price)
        if found.any():
            weight = np.exp(-TIGHT * _gaps(found[regions.ids][box.pixels]))
            votes += weight * found
            total += weight
    return votes / max(total, 1e-12)


def _iterated(
    regions: Regions,
    known: NDArray[np.int64],
    background: NDArray[np.float64],
    belongs: NDArray[np.float64],
    start: Found,
    price: float,
) -> Found:
    """What is cut out at last; known (R,) is 0 where a region is not of the object, 1 where it is, -1 elsewhere."""
    prices, scale = prices_of(regions, price), scale_of(regions)
    found = np.where(known < 0, start, known == 1)
    for _ in range(ROUNDS):
        rest = np.where(known == 0, background, ~found * regions.areas)
        looks = appearance(regions, np.stack([rest, found * regions.areas]))
        costs = (BELONG * belongs[::-1] - LOOK * looks) * scale
        costs[:, known == 0] = [[0.0], [FORBIDDEN]]
        costs[:, known == 1] = [[FORBIDDEN], [0.0]]
        last, found = found, expand(costs, regions.cuts, prices, found.astype(np.int64)) == 1
        if not found.any() or (found == last).all():
            break
    return found


def _belongs(regions: Regions, said: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How surely a region (R,) belongs with what was said at pixels (h, w), in [0, 1]."""
    sources = np.unique(regions.ids[said]).astype(np.int64)
    if not len(sources):
        return np.zeros(regions.count)
    offsets = np.full((1, regions.count), np.inf)
    offsets[0, sources] = 0
    return together(regions, sources, geodesics(regions, offsets)[0])


def _mostly(mask: NDArray[np.bool_], regions: Regions) -> Found:
    covered = np.bincount(regions.ids.ravel(), mask.ravel(), minlength=regions.count)
    return np.asarray(covered > regions.areas / 2)


def _gaps(mask: NDArray[np.bool_]) -> float:
    """The gaps between a mask (h, w), not empty, and the four sides, in sides, added."""
    gaps = 0.0
    for axis in (0, 1):
        at = np.flatnonzero(mask.any(1 - axis))
        gaps += 1 - (at[-1] + 1 - at[0]) / mask.shape[axis] if len(at) else 2.0
    return gaps
