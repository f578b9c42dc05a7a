"""Objects in bounding boxes, found by iterated cuts as in GrabCut (Rother, Kolmogorov, Blake 2004).

An appearance model of the object is learned from a part of the box, the box is cut, the model is learned again from the
cut, until nothing changes. The result depends on the part that the iteration starts with, so several starts and several
boundary costs are tried, and their results vote. A result that leaves a gap to a side of its box counts less: users
draw boxes tight (Lempitsky et al. 2009).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations.implied import AnnotationTargets, BoxTarget, unlikeness
from neural_seg_ros.click_answer.candidates import FORBIDDEN, boundary_costs, scale_of
from neural_seg_ros.click_answer.carried_seeds import CARRIED_SEED_WEIGHT, contradicted
from neural_seg_ros.regions.appearance import affinity_to, appearance
from neural_seg_ros.regions.cuts import expand
from neural_seg_ros.regions.graph import Regions
from neural_seg_ros.regions.graph_distances import geodesics
from neural_seg_ros.regions.seeds import HARD


@dataclass(frozen=True)
class BoxTuning:
    """Constants of the iterated cuts."""

    # An iteration starts with this share of the box, the pixels least like the outside.
    start_shares: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    appearance_weight: float = 0.5
    # Cost of a boundary pixel where nothing divides the frame.
    boundary_costs: tuple[float, ...] = (3.0, 6.0, 12.0)
    max_iterations: int = 10
    # Superpixels outside the box count for the background's appearance, less with the distance in box sides.
    background_decay_sides: float = 0.5
    # Weight of the gaps between a result and the sides of its box.
    gap_penalty: float = 2.0
    # A superpixel becomes a seed of the object, or of the rest, when this share of the vote agrees.
    min_vote: float = 0.6
    # Cost of labeling a superpixel unlike the annotation in the box that it is similar to.
    affinity_cost: float = 2.0


TUNING = BoxTuning()

ObjectMask = NDArray[np.bool_]  # (R,) whether a superpixel is labeled as the object


def recall_boxes(drawn: AnnotationTargets, regions: Regions) -> AnnotationTargets:
    """Return ``drawn`` with seeds in its boxes where the vote is sure, in place of the priors there.

    Annotations stay as they are, and there are no seeds near an annotation that contradicts them.
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
        seeds = inside & free & (share > TUNING.min_vote) & ~contradicted(clicked, box.channel)
        labels[seeds], weights[seeds] = box.channel, CARRIED_SEED_WEIGHT
        if box.rest is not None:
            beside = inside & (weights == 0) & (share < 1 - TUNING.min_vote) & ~contradicted(clicked, box.rest)
            labels[beside], weights[beside] = box.rest, CARRIED_SEED_WEIGHT
    return replace(drawn, labels=labels, weights=weights)


def _share(
    regions: Regions, clicked: AnnotationTargets, other: NDArray[np.bool_], box: BoxTarget
) -> NDArray[np.float64]:
    """Return (R,) the share of the vote that labels each superpixel as the object of ``box``.

    ``clicked`` has the user's annotations without the box; ``other`` (h, w) is True where the object is ruled out.
    """
    annotated = clicked.weights == 1
    own = annotated & (clicked.labels == box.channel)
    affinities = np.stack([_affinity(regions, annotated & ~own), _affinity(regions, own)])
    known = np.where(_mostly(other, regions), 0, -1)
    known[np.unique(regions.ids[own])] = 1
    outside = np.ones(other.shape, np.uint8)
    outside[box.pixels] = 0
    distance = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_5)
    side = np.sqrt(outside.size - outside.sum())
    x, y = np.rint(regions.centroids).astype(int).T
    background = np.where(
        known == 0, regions.areas * np.exp(-distance[y, x] / (TUNING.background_decay_sides * side)), 0
    )
    unlike = unlikeness(clicked.image, other)[box.pixels]
    starts = []
    for share in TUNING.start_shares:
        start = np.zeros(other.shape, np.bool_)
        start[box.pixels] = unlike >= np.quantile(unlike, 1 - share)
        starts.append(_mostly(start, regions))
    votes = np.zeros(regions.count)
    total = 0.0
    for start, boundary_cost in product(starts, TUNING.boundary_costs):
        mask = _iterate_cuts(regions, known, background, affinities, start, boundary_cost)
        if mask.any():
            weight = np.exp(-TUNING.gap_penalty * _gaps(mask[regions.ids][box.pixels]))
            votes += weight * mask
            total += weight
    return votes / max(total, 1e-12)


def _iterate_cuts(
    regions: Regions,
    known: NDArray[np.int64],
    background: NDArray[np.float64],
    affinities: NDArray[np.float64],
    start: ObjectMask,
    boundary_cost: float,
) -> ObjectMask:
    """Cut until nothing changes; known (R,) is 0 where the object is ruled out, 1 where annotated, -1 elsewhere."""
    prices, scale = boundary_costs(regions, boundary_cost), scale_of(regions)
    mask = np.where(known < 0, start, known == 1)
    for _ in range(TUNING.max_iterations):
        rest = np.where(known == 0, background, ~mask * regions.areas)
        appearances = appearance(regions, np.stack([rest, mask * regions.areas]))
        costs = (TUNING.affinity_cost * affinities[::-1] - TUNING.appearance_weight * appearances) * scale
        costs[:, known == 0] = [[0.0], [FORBIDDEN]]
        costs[:, known == 1] = [[FORBIDDEN], [0.0]]
        last, mask = mask, expand(costs, regions.cuts, prices, mask.astype(np.int64)) == 1
        if not mask.any() or (mask == last).all():
            break
    return mask


def _affinity(regions: Regions, annotated: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return (R,) in [0, 1] the affinity of each superpixel to the annotated pixels (h, w)."""
    sources = np.unique(regions.ids[annotated]).astype(np.int64)
    if not len(sources):
        return np.zeros(regions.count)
    offsets = np.full((1, regions.count), np.inf)
    offsets[0, sources] = 0
    return affinity_to(regions, sources, geodesics(regions, offsets)[0])


def _mostly(mask: NDArray[np.bool_], regions: Regions) -> ObjectMask:
    covered = np.bincount(regions.ids.ravel(), mask.ravel(), minlength=regions.count)
    return np.asarray(covered > regions.areas / 2)


def _gaps(mask: NDArray[np.bool_]) -> float:
    """Add up the gaps between a mask (h, w), not empty, and the four sides, in sides."""
    gaps = 0.0
    for axis in (0, 1):
        at = np.flatnonzero(mask.any(1 - axis))
        gaps += 1 - (at[-1] + 1 - at[0]) / mask.shape[axis] if len(at) else 2.0
    return gaps
