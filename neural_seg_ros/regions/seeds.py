"""Seeds: superpixels whose class is annotated or assumed by a prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.regions.graph import Regions

# Annotations and carried seeds have at least this weight, priors less.
HARD = 0.5


@dataclass(frozen=True)
class Seeds:
    """The annotations and priors of R superpixels and N classes.

    fixed     (R,) int64 class of most annotated pixels of a superpixel, -1 without any
    hard      (N, R) bool: the superpixel has annotated pixels of the class
    presumed  (N, R) float64 summed weights of the superpixel's pixels that a prior gives to the class
    split     (R,) bool: the superpixel has annotated pixels of more than one class
    anchors   (N, R) bool: the superpixel holds a component of the class, by annotation or prior, or beside a split
              superpixel of the class
    """

    fixed: NDArray[np.int64]
    hard: NDArray[np.bool_]
    presumed: NDArray[np.float64]
    split: NDArray[np.bool_]
    anchors: NDArray[np.bool_]

    @property
    def present(self) -> NDArray[np.bool_]:
        """(N,) bool: the class is annotated or assumed somewhere."""
        return np.asarray(self.anchors.any(1), np.bool_)


def seeds_of(regions: Regions, labels: NDArray[np.int64], weights: NDArray[np.float32], count: int) -> Seeds:
    """Compute the seeds from labels (h, w) in [0, count) and weights (h, w)."""
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
        for own, annotated in zip(anchors, hard, strict=True):
            own[b[(split & annotated)[a]]] = True
    return Seeds(fixed, hard, presumed, split, anchors)
