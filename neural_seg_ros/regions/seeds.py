"""Annotated pixels as annotated regions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.regions.graph import Regions

# Annotations weigh 1, presumptions less than this.
HARD = 0.5


@dataclass(frozen=True)
class Seeds:
    """What R regions are said and presumed to be.

    fixed     (R,) int64 the class most of a region's annotated pixels have, -1 where nothing was annotated
    hard      (N, R) bool whether the region has annotated pixels of a class
    presumed  (N, R) float64 summed weights of the region's pixels that are presumed to be of a class
    split     (R,) bool whether a region has annotated pixels of more than one class
    anchors   (N, R) bool whether a region holds a part of a class: by what is said or presumed there, or beside a split
              region of it
    """

    fixed: NDArray[np.int64]
    hard: NDArray[np.bool_]
    presumed: NDArray[np.float64]
    split: NDArray[np.bool_]
    anchors: NDArray[np.bool_]

    @property
    def named(self) -> NDArray[np.bool_]:
        """(N,) whether a class is said or presumed to be anywhere."""
        return np.asarray(self.anchors.any(1), np.bool_)


def seeds_of(regions: Regions, labels: NDArray[np.int64], weights: NDArray[np.float32], count: int) -> Seeds:
    """The seeds of R regions from labels (h, w) in [0, count) and weights (h, w)."""
    ids, size = regions.ids, regions.count

    def summed(chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        key = labels[chosen] * size + ids[chosen]
        sums = np.bincount(key, weights[chosen], minlength=count * size)
        return np.asarray(sums, np.float64).reshape(count, size)

    drawn = summed(weights >= HARD)
    presumed = summed((weights > 0) & (weights < HARD))
    hard = drawn > 0
    fixed = np.where(hard.any(0), drawn.argmax(0), -1)
    presumed[:, fixed >= 0] = 0
    split = hard.sum(0) > 1
    anchors = hard | (presumed > 0)
    for a, b in (regions.edges.T, regions.edges.T[::-1]):
        for own, said in zip(anchors, hard, strict=True):
            own[b[(split & said)[a]]] = True
    return Seeds(fixed, hard, presumed, split, anchors)
