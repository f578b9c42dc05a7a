"""Candidates: what the frame's classes may be, from the same annotations by differently weighted minimum cuts.

Some start from the annotations alone. The others also start from the last answer: what it says holds within a short way
along the graph, so that a new click changes what lies around it and nothing else.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.answer.evidence import Evidence, evidence_of, nearness_with, relearnt
from neural_seg_ros.regions.expansion import expand
from neural_seg_ros.regions.graph import Regions
from neural_seg_ros.regions.islands import remove_islands
from neural_seg_ros.regions.seeds import Seeds

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
