"""A hierarchy of segments: regions merged over the weakest contours first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import higra as hg
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.contours.arcs import Arcs
from neural_seg_ros.regions.channels import lab_of, texture_of
from neural_seg_ros.regions.graph import looks_of

# What the looks of two segments say beside the contour between them.
LOOK_WEIGHT = 0.2
# A division that explains less than this share of the image's variance in colour and texture divides segments less.
FULL_SHARE, SHARE_POWER, TEXTURE_WEIGHT = 0.05, 0.1, 1.5


@dataclass(frozen=True)
class Hierarchy:
    """Segments of R regions at any threshold.

    tree       the binary tree of what is merged, its first R nodes the regions
    altitudes  (N,) float64 in [0, 1]: strength of the contour over which a node's children are merged, 0 for regions
    divisions  (N,) float64 in [0, 1]: the same, less where a division says little about the image as a whole
    arcs       (E,) float64 in [0, 1] the strength at which the regions on both sides of each arc become one
    """

    tree: hg.Tree
    altitudes: NDArray[np.float64]
    divisions: NDArray[np.float64]
    arcs: NDArray[np.float64]

    def segments(self, threshold: float) -> NDArray[np.int32]:
        """The segment (R,) of every region, 0, 1, ...; what divides two of them is a contour above the threshold."""
        labels = hg.labelisation_horizontal_cut_from_threshold(self.tree, self.divisions, threshold)
        return np.unique(labels, return_inverse=True)[1].astype(np.int32)


def merge(image: NDArray[np.uint8], arcs: Arcs, strengths: NDArray[np.float64]) -> Hierarchy:
    """The ultrametric contour map of arcs with a strength (E,) in [0, 1] (Arbelaez et al. 2011, section 4.2).

    What is merged first is decided by the mean strength of the pixels of the common border. How strong the contour
    between the two is then depends on their looks as well, in the (h, w, 3) uint8 RGB image: two parts of one texture
    look alike, however strong the lines in it are.
    """
    if arcs.count == 1:
        return Hierarchy(hg.Tree(np.zeros(1, np.int64)), np.zeros(1), np.zeros(1), np.zeros(0))
    graph = hg.UndirectedGraph(arcs.count)
    graph.add_edges(arcs.edges[:, 0], arcs.edges[:, 1])
    lab = lab_of(image)
    texture = texture_of(lab)
    tree, altitudes = hg.binary_partition_tree_average_linkage(graph, strengths, arcs.lengths)
    merged = np.arange(arcs.count, tree.num_vertices())
    looks = looks_of(lab, texture, arcs.ids, arcs.count)
    altitudes[merged] = (altitudes[merged] + LOOK_WEIGHT * _unlike(looks, arcs, tree, merged)) / (1 + LOOK_WEIGHT)
    altitudes = _rising(tree, altitudes)
    divisions = altitudes.copy()
    values = np.concatenate([lab, TEXTURE_WEIGHT * texture], axis=-1)
    divisions[merged] *= np.minimum(1, _explained(values, arcs, tree, merged) / FULL_SHARE) ** SHARE_POWER
    return Hierarchy(tree, altitudes, _rising(tree, divisions), np.asarray(hg.saliency(tree, altitudes)))


def _rising(tree: hg.Tree, altitudes: NDArray[np.float64]) -> NDArray[np.float64]:
    """``altitudes`` (N,) so that nothing that merges later is divided by less."""
    leaves = np.zeros(tree.num_leaves())
    return np.asarray(hg.accumulate_and_max_sequential(tree, altitudes, leaves, hg.Accumulators.max))


def _explained(
    values: NDArray[np.float32], arcs: Arcs, tree: hg.Tree, merged: NDArray[np.int64]
) -> NDArray[np.float64]:
    """By what share of the variance of ``values`` (h, w, C) the pixels are nearer to the means of a node's children
    than to its own (Ward 1963)."""
    flat = arcs.ids.ravel()
    values = values.reshape(len(flat), -1)
    columns = (np.ones(len(values)), *values.T)
    moments = np.stack([np.bincount(flat, column, minlength=arcs.count) for column in columns], axis=1)
    areas, *sums = np.asarray(hg.accumulate_sequential(tree, moments, hg.Accumulators.sum)).T
    means = np.stack(sums, axis=1) / areas[:, None]
    first, second = tree.child(0, merged), tree.child(1, merged)
    between = areas[first] * areas[second] / areas[merged] * np.square(means[first] - means[second]).sum(1)
    return np.asarray(between / max(float(values.var(0).sum()) * len(values), 1e-9))


def _unlike(
    looks: Sequence[NDArray[np.float32]], arcs: Arcs, tree: hg.Tree, merged: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The chi-square distance in [0, 1] between a node's children of histograms (R, bins), the mean of all of them."""
    areas = np.bincount(arcs.ids.ravel(), minlength=arcs.count).astype(np.float64)
    first, second = tree.child(0, merged), tree.child(1, merged)
    distance = np.zeros(len(merged))
    for histograms in looks:
        sums = hg.accumulate_sequential(tree, histograms * areas[:, None], hg.Accumulators.sum)
        shares = sums / sums.sum(1, keepdims=True)
        distance += (np.square(shares[first] - shares[second]) / (shares[first] + shares[second] + 1e-9)).sum(1) / 2
    return distance / len(looks)
