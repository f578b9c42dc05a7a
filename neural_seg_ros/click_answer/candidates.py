"""Candidates: what the frame's classes may be, from the same annotations by differently weighted minimum cuts.

Some start from the annotations alone. The others also start from the last answer: what it says holds within a short way
along the graph, so that a new click changes what lies around it and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.regions.appearance import appearance, neighborhoods
from neural_seg_ros.regions.cuts import expand, remove_islands
from neural_seg_ros.regions.graph import Regions
from neural_seg_ros.regions.graph_distances import geodesics
from neural_seg_ros.regions.seeds import Seeds

# Nothing is nearer than this: longer sides of the frame, and the same in units of geodesics.
POSITION_SOFTENING, GEODESIC_SOFTENING = 0.02, 0.01
# A presumption is a little farther away than an annotation.
PRESUMED_OFFSET = 0.02
# Beyond every way in the frame.
FARTHEST = 10.0


@dataclass(frozen=True)
class Evidence:
    """Parts of the log-probabilities (N, R) of N classes in R regions, and what looks are learnt from.

    look      how much like the class a region looks, in [-4, 0]
    geodesic  -log of the way along the graph from the class's annotations
    position  -log of the distance in the frame from them
    weights   (N, R) how much each region counts for the look of each class
    """

    look: NDArray[np.float64]
    geodesic: NDArray[np.float64]
    position: NDArray[np.float64]
    weights: NDArray[np.float64]

    def mixed(self, look: float, geodesic: float, position: float) -> NDArray[np.float64]:
        """The parts with these shares, (N, R)."""
        return look * self.look + geodesic * self.geodesic + position * self.position


def evidence_of(regions: Regions, seeds: Seeds) -> Evidence:
    """What annotations and presumptions say of all regions."""
    offsets = np.where(seeds.hard, 0.0, np.where(seeds.presumed > 0, PRESUMED_OFFSET, np.inf))
    ways = _ways(regions, offsets)
    weights = neighborhoods(regions, seeds, ways)
    return Evidence(appearance(regions, weights), _nearness(ways), _position(regions, seeds), weights)


def relearnt(evidence: Evidence, regions: Regions, classes: NDArray[np.int64], share: float) -> Evidence:
    """``evidence`` with the looks learnt for ``share`` from where ``classes`` (R,) finds them."""
    weights = (1 - share) * evidence.weights
    weights[classes, np.arange(regions.count)] += share * regions.areas
    return Evidence(appearance(regions, weights), evidence.geodesic, evidence.position, weights)


def nearness_with(regions: Regions, seeds: Seeds, classes: NDArray[np.int64], offset: float) -> NDArray[np.float64]:
    """-log of the way (N, R) from annotations, or from where ``classes`` (R,) already has the class, ``offset`` off.

    Annotated regions are of their own class alone; a class that nothing speaks for stays away.
    """
    offsets = np.where(seeds.hard, 0.0, np.inf)
    free = np.flatnonzero((seeds.fixed < 0) & seeds.named[classes])
    offsets[classes[free], free] = offset
    return _nearness(_ways(regions, offsets))


def _ways(regions: Regions, offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.minimum(geodesics(regions, offsets), FARTHEST)


def _nearness(ways: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(-np.log(ways + GEODESIC_SOFTENING))


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


# Shares of look, nearness along the graph and nearness in the frame in a log-probability.
LOOK, GEODESIC, POSITION = 0.5, 1.0, 0.35
# A pixel of border between two classes costs this, less where the frame is divided.
PRICE, FADING = 6.0, 0.3
# A look is learnt around the annotations, and for this share where a first cut finds the class.
RELEARNT = 0.3
# Candidates from the annotations: every combination of these.
LOOKS, GEODESICS, PRICES = (0.25, 1.0), (0.5, 2.0), (3.0, 10.0)
# Candidates from the last answer too: how far off it is, and these looks; each counts as much as several others.
OFFSETS, KEEPING_LOOKS, KEEPING_WEIGHT = (0.005, 0.02, 0.1), (0.25, 1.0), 2.5
FORBIDDEN = 1e6
Classes = NDArray[np.int64]  # (R,) channel of every region


def candidates_of(
    regions: Regions, seeds: Seeds, seen: Classes | None
) -> tuple[list[Classes], NDArray[np.float64], NDArray[np.float64]]:
    """K candidates, their weights (K,), and the log-probabilities (N, R) of the regions by themselves.

    ``seen`` is the last answer, None where there is none.
    """
    evidence = evidence_of(regions, seeds)
    first = _cut(regions, seeds, evidence.mixed(LOOK, GEODESIC, POSITION), PRICE, None)
    evidence = relearnt(evidence, regions, first, RELEARNT)
    fresh = [
        _cut(regions, seeds, evidence.mixed(look, geodesic, POSITION), price, first)
        for look, geodesic, price in product(LOOKS, GEODESICS, PRICES)
    ]
    keeping = _keeping(regions, seeds, evidence, seen) if seen is not None else []
    weights = np.repeat([1.0, KEEPING_WEIGHT], [len(fresh), len(keeping)])
    return fresh + keeping, weights, evidence.mixed(LOOK, GEODESIC, POSITION)


def prices_of(regions: Regions, price: float) -> NDArray[np.float64]:
    """What a border between classes costs at every edge (E,): ``price`` a pixel where nothing divides the frame."""
    return np.asarray(price * regions.lengths * np.exp(-regions.strengths / FADING), np.float64)


def scale_of(regions: Regions) -> NDArray[np.float64]:
    """What a region's log-probability counts in a cut, (R,)."""
    return np.asarray(regions.areas / np.sqrt(regions.areas.mean()), np.float64)


def _keeping(regions: Regions, seeds: Seeds, evidence: Evidence, seen: Classes) -> list[Classes]:
    found = []
    for offset in OFFSETS:
        near = nearness_with(regions, seeds, seen, offset)
        found += [_cut(regions, seeds, look * evidence.look + near, PRICE, seen) for look in KEEPING_LOOKS]
    return found


def _cut(regions: Regions, seeds: Seeds, likely: NDArray[np.float64], price: float, start: Classes | None) -> Classes:
    """The cut of least cost for log-probabilities (N, R); parts without an annotation go to what surrounds them."""
    costs = -likely * scale_of(regions)
    known = np.flatnonzero(seeds.fixed >= 0)
    costs[:, known] = FORBIDDEN
    costs[seeds.fixed[known], known] = 0
    prices = prices_of(regions, price)
    # What is named nowhere is nowhere.
    named = np.flatnonzero(seeds.named)
    costs = costs[named]
    # From a good start one round finds what two would.
    begin, rounds = costs.argmin(0), 2
    if start is not None:
        begin, rounds = np.where(seeds.named[start], np.searchsorted(named, start), begin), 1
    classes = named[expand(costs, regions.cuts, prices, begin, rounds)]
    return remove_islands(classes, seeds.anchors, likely * regions.areas, regions.edges)
