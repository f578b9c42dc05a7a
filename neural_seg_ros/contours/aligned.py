"""The hierarchy of one size of an image on the arcs of another (as in MCG of Arbelaez et al. 2014)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix

from neural_seg_ros.contours.arcs import Arcs
from neural_seg_ros.contours.hierarchy import Hierarchy


def carried(other: Arcs, hierarchy: Hierarchy, arcs: Arcs) -> NDArray[np.float64]:
    """The strength (E,) in [0, 1] at which the regions of each of ``arcs`` become one in a hierarchy of ``other`` arcs.

    ``other`` and ``arcs`` are of one image at two sizes. A region lies in the one of the others in which most of its
    pixels do; two that lie in the same are not divided.
    """
    height, width = arcs.ids.shape
    ids = np.asarray(cv2.resize(other.ids, (width, height), interpolation=cv2.INTER_NEAREST), np.int32)
    first, second = majority(ids, arcs.ids)[arcs.edges].T
    if not len(first):
        return np.zeros(0)
    return np.asarray(hierarchy.altitudes[hierarchy.tree.lowest_common_ancestor(first, second)])


def majority(values: NDArray[np.int32], ids: NDArray[np.int32]) -> NDArray[np.int64]:
    """The commonest of ``values`` (h, w) int32 >= 0 in each region (R,) of ``ids`` (h, w), the least of equals."""
    shape = int(ids.max()) + 1, int(values.max()) + 1
    # No table of all pairs: both may be thousands.
    votes = coo_matrix((np.ones(ids.size, np.int32), (ids.ravel(), values.ravel())), shape=shape).tocsr()
    return np.asarray(votes.argmax(1), np.int64).ravel()
