"""A hierarchy of segments: regions merged over the weakest contours first."""

from __future__ import annotations

from dataclasses import dataclass

import higra as hg
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.contours.arcs import Arcs


@dataclass(frozen=True)
class Hierarchy:
    """Segments of R regions at any threshold.

    tree       the binary tree of what is merged, its first R nodes the regions
    altitudes  (N,) float64 in [0, 1]: strength of the contour over which a node's children are merged, 0 for regions
    arcs       (E,) float64 in [0, 1] the strength at which the regions on both sides of each arc become one
    """

    tree: hg.Tree
    altitudes: NDArray[np.float64]
    arcs: NDArray[np.float64]

    def segments(self, threshold: float) -> NDArray[np.int32]:
        """The segment (R,) of every region, 0, 1, ...: those divided by a contour above the threshold are two."""
        labels = hg.labelisation_horizontal_cut_from_threshold(self.tree, self.altitudes, threshold)
        return np.unique(labels, return_inverse=True)[1].astype(np.int32)


def merge(arcs: Arcs, strengths: NDArray[np.float64]) -> Hierarchy:
    """The ultrametric contour map of arcs with a strength (E,) in [0, 1] (Arbelaez et al. 2011, section 4.2).

    Two segments are as far apart as the mean strength of the pixels of their common border.
    """
    if arcs.count == 1:
        return Hierarchy(hg.Tree(np.zeros(1, np.int64)), np.zeros(1), np.zeros(0))
    graph = hg.UndirectedGraph(arcs.count)
    graph.add_edges(arcs.edges[:, 0], arcs.edges[:, 1])
    tree, altitudes = hg.binary_partition_tree_average_linkage(graph, strengths, arcs.lengths)
    # Nothing that merges later is divided by less.
    leaves = np.zeros(arcs.count)
    rising = hg.accumulate_and_max_sequential(tree, altitudes, leaves, hg.Accumulators.max)
    return Hierarchy(tree, np.asarray(rising), np.asarray(hg.saliency(tree, rising)))
