"""Strengths that mean the same in a plain image and in one full of lines: what is rare counts more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.contours.arcs import Arcs
from neural_seg_ros.contours.hierarchy import Hierarchy

# How much rarity says beside strength; people draw about as much in any image.
RARITY_POWER = 2 / 3
# With this much contour at least as strong, in sides of a square image of that area, one more is not rare at all.
COMMON_LENGTH = 60.0


def by_rarity(hierarchy: Hierarchy, arcs: Arcs) -> Hierarchy:
    """The same hierarchy, each strength s in [0, 1] become s r^RARITY_POWER.

    r falls from 1 to 0 with the length of the contours stronger than s. The order of strengths stays, so that segments
    are connected and nested as before, and their borders still are contours above the threshold.
    """
    order = np.argsort(hierarchy.arcs)
    strengths, lengths = hierarchy.arcs[order], arcs.lengths[order]
    stronger = np.append(np.cumsum(lengths[::-1])[::-1], 0)
    common = COMMON_LENGTH * np.sqrt(arcs.ids.size)

    def changed(values: NDArray[np.float64]) -> NDArray[np.float64]:
        rarity = np.maximum(0, 1 - stronger[np.searchsorted(strengths, values, side="right")] / common)
        return np.asarray(values * rarity**RARITY_POWER)

    altitudes, divisions, kept = (changed(v) for v in (hierarchy.altitudes, hierarchy.divisions, hierarchy.arcs))
    return replace(hierarchy, altitudes=altitudes, divisions=divisions, arcs=kept)
