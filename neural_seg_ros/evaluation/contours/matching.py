"""Pixels of a contour map matched one to one with those of an annotator (Martin, Fowlkes, Malik: Learning to detect
natural image boundaries, PAMI 2004, appendix B).

The official ``correspondPixels`` looks for the matching of least cost, where a pixel left alone costs 100 times the
greatest distance. One more match saves more than it costs to move the others, so that this is the matching with the
most pairs, and of those the one with the least sum of distances. The second half matters: which pixels of a detector
are matched decides what several annotators together say of its precision. The official code rounds distances to .01
and keeps its graph sparse with random edges; here the optimum is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

# Share of the image's diagonal.
TOLERANCE = 0.0075
# Cost of a pixel left alone, in the greatest distance.
OUTLIER = 100


class Matcher:
    """The matching of contour pixels with those of one annotator.

    possible  (H, W) bool, all pixels that any of the maps has
    truth     (H, W) bool, the annotator's boundaries
    """

    def __init__(self, possible: NDArray[np.bool_], truth: NDArray[np.bool_]) -> None:
        self._distance = TOLERANCE * float(np.hypot(*truth.shape))
        self._pixels = np.argwhere(possible)
        pairs = cKDTree(self._pixels).sparse_distance_matrix(
            cKDTree(np.argwhere(truth)), self._distance, output_type="coo_matrix"
        )
        self._found, self._wanted, self._distances = pairs.row, pairs.col, pairs.data

    def matched(self, found: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the pixels (H, W) bool of a map ``found`` (H, W) bool that are matched; as many of the truth are."""
        matched = np.zeros_like(found)
        present = found[tuple(self._pixels.T)][self._found]
        if present.any():
            rows = _matched(self._found[present], self._wanted[present], self._distances[present], self._distance)
            matched[tuple(self._pixels[rows].T)] = True
        return matched


def _matched(
    found: NDArray[np.int32], wanted: NDArray[np.int32], distances: NDArray[np.float64], greatest: float
) -> NDArray[np.int64]:
    """Select those of ``found`` in the matching of most pairs and least distance; arguments are (pairs,)."""
    pixels, rows = np.unique(found, return_inverse=True)
    others, columns = np.unique(wanted, return_inverse=True)
    transposed = len(pixels) > len(others)
    if transposed:
        rows, columns = columns, rows
    count, width = int(rows.max()) + 1, int(columns.max()) + 1
    alone = np.arange(count)
    # Every row may stay alone in a column of its own. scipy takes a weight of 0 for no edge: all are greater by one.
    weights = np.concatenate([distances, np.full(count, OUTLIER * greatest)]) + 1
    places = np.concatenate([rows, alone]), np.concatenate([columns, width + alone])
    graph = csr_matrix((weights, places), shape=(count, width + count))
    first, second = min_weight_full_bipartite_matching(graph)
    paired = second < width
    return np.asarray(pixels[second[paired] if transposed else first[paired]])
