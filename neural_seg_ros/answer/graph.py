"""Answers at click time from the region graph of the frame, without the field."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.regions.appearance import appearance, neighbourhoods
from neural_seg_ros.regions.expansion import expand
from neural_seg_ros.regions.geodesic import geodesics
from neural_seg_ros.regions.graph import Regions
from neural_seg_ros.regions.islands import remove_islands
from neural_seg_ros.regions.seeds import HARD, Seeds, seeds_of
from neural_seg_ros.regions.walker import walk

# What speaks for a class: its look, nearness along the graph, nearness in the frame; as parts of a log-probability.
APPEARANCE, GEODESIC, POSITION = 0.5, 1.0, 0.5
# Nothing is nearer than this: longer sides of the frame, and the same in units of geodesics.
POSITION_SOFTENING, GEODESIC_SOFTENING = 0.02, 0.01
# A pixel of border between two classes costs this, less where the frame is divided.
BORDER_PRICE, BORDER_FADING = 8.0, 0.1
# A look is learnt around the annotations, and for this share where a first cut finds the class.
REFIT = 0.3
# A presumption is a little farther away than an annotation.
PRESUMED_OFFSET = 0.02
# Beyond every way in the frame.
FARTHEST = 10.0
FORBIDDEN = 1e6
SHARPNESS = 2.0
# Shares of the cut, the random walker and the prior in the probabilities, as calibrated on BSDS500 val.
CUT, WALKER, PRIOR = 0.679, 0.291, 0.03


def graph_answer(
    regions: Regions, labels: NDArray[np.int64], weights: NDArray[np.float32], count: int
) -> NDArray[np.float32]:
    """Class probabilities (N, h, w) float32 that sum to 1 over N = ``count``.

    labels (h, w) int64 channel in [0, N), read where weights > 0; weights (h, w) float32, at least 0.5 where a user
    annotated (the most probable class there is the label), less where a class is only presumed.
    """
    seeds = seeds_of(regions.ids, regions.count, labels, weights, count)
    if count == 1 or not (seeds.hard.any() or seeds.presumed.any()):
        return np.full((count, *regions.ids.shape), 1 / count, np.float32)
    classes, prior = _classes(regions, seeds)
    walker = walk(regions, prior, seeds.fixed)
    mixed = WALKER * walker + PRIOR * prior
    mixed[classes, np.arange(regions.count)] += CUT
    answer = mixed.astype(np.float32)[:, regions.ids]
    return _kept_at_annotations(answer, regions, seeds, labels, weights)


def _classes(regions: Regions, seeds: Seeds) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The class (R,) of every region, and the probabilities (N, R) it has by itself."""
    offsets = np.where(seeds.hard, 0.0, np.where(seeds.presumed > 0, PRESUMED_OFFSET, np.inf))
    geodesic = np.minimum(geodesics(regions, offsets), FARTHEST)
    near = POSITION * _position(regions, seeds) - GEODESIC * np.log(geodesic + GEODESIC_SOFTENING)
    looks = neighbourhoods(regions, seeds, geodesic)
    first = _expanded(regions, seeds, APPEARANCE * appearance(regions, looks) + near)
    looks *= 1 - REFIT
    looks[first, np.arange(regions.count)] += REFIT * regions.areas
    likely = APPEARANCE * appearance(regions, looks) + near
    classes = remove_islands(_expanded(regions, seeds, likely), seeds.anchors, likely * regions.areas, regions.edges)
    odds = np.exp(SHARPNESS * (likely - likely.max(0)))
    return classes, odds / odds.sum(0)


def _expanded(regions: Regions, seeds: Seeds, likely: NDArray[np.float64]) -> NDArray[np.int64]:
    costs = -likely * (regions.areas / np.sqrt(regions.areas.mean()))
    known = np.flatnonzero(seeds.fixed >= 0)
    costs[:, known] = FORBIDDEN
    costs[seeds.fixed[known], known] = 0
    prices = np.asarray(BORDER_PRICE * regions.lengths * np.exp(-regions.strengths / BORDER_FADING), np.float64)
    return expand(costs, regions.edges, prices, costs.argmin(0))


def _position(regions: Regions, seeds: Seeds) -> NDArray[np.float64]:
    """-log of the distance (N, R) from each class's nearest annotated region, in longer sides of the frame."""
    scale = max(regions.ids.shape)
    distances = np.full(seeds.hard.shape, 1.0)
    for channel, hard in enumerate(seeds.hard):
        if hard.any():
            empty = (~hard[regions.ids]).astype(np.uint8)
            pixels = cv2.distanceTransform(empty, cv2.DIST_L2, cv2.DIST_MASK_5)
            x, y = np.rint(regions.centroids).astype(int).T
            distances[channel] = pixels[y, x] / scale
    return np.asarray(-np.log(distances + POSITION_SOFTENING))


def _kept_at_annotations(
    answer: NDArray[np.float32],
    regions: Regions,
    seeds: Seeds,
    labels: NDArray[np.int64],
    weights: NDArray[np.float32],
) -> NDArray[np.float32]:
    """``answer`` where regions with annotations of several classes are split between their nearest annotated pixels."""
    if not seeds.split.any():
        return answer
    drawn = weights >= HARD
    _, nearest = cv2.distanceTransformWithLabels(
        (~drawn).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    class_of = np.zeros(int(nearest.max()) + 1, np.int64)
    class_of[nearest[drawn]] = labels[drawn]
    y, x = np.nonzero(seeds.split[regions.ids])
    answer[:, y, x] = (1 - CUT) / len(answer)
    answer[class_of[nearest[y, x]], y, x] += CUT
    return answer
