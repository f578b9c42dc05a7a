"""The hierarchy of segments: merged arcs, rarity of strengths, and other image sizes carried onto the arcs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import higra as hg
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix

from neural_seg_ros.contours.arcs import Arcs
from neural_seg_ros.regions.graph import appearance_histograms
from neural_seg_ros.regions.pixel_features import lab_of, texture_of

# Weight of the difference in appearance of two segments, beside 1 for the contour between them.
APPEARANCE_WEIGHT = 0.2
# A division that explains less than this share of the image's variance in color and texture is weakened.
FULL_VARIANCE_SHARE, VARIANCE_SHARE_POWER = 0.05, 0.1
TEXTURE_WEIGHT = 1.5


@dataclass(frozen=True)
class Hierarchy:
    """The segments of R superpixels at any threshold.

    tree       binary tree of the merges; its first R nodes are the regions
    altitudes  (N,) float64 in [0, 1]: strength of the contour over which a node's children are merged, 0 for regions
    divisions  (N,) float64 in [0, 1]: the altitudes, lower where a division explains little of the image's variance
    arcs       (E,) float64 in [0, 1] the strength at which the regions on both sides of each arc become one
    """

    tree: hg.Tree
    altitudes: NDArray[np.float64]
    divisions: NDArray[np.float64]
    arcs: NDArray[np.float64]

    def segments(self, threshold: float) -> NDArray[np.int32]:
        """Return the segment (R,) of every superpixel, 0, 1, ..., divided by the contours above the threshold."""
        labels = hg.labelisation_horizontal_cut_from_threshold(self.tree, self.divisions, threshold)
        return np.unique(labels, return_inverse=True)[1].astype(np.int32)


def merge(image: NDArray[np.uint8], arcs: Arcs, strengths: NDArray[np.float64]) -> Hierarchy:
    """Return the ultrametric contour map of arcs with a strength (E,) in [0, 1] (Arbelaez et al. 2011, section 4.2).

    The order of the merges follows the mean strength along the common border. The strength of a merge also depends on
    the appearance of both sides in the (h, w, 3) uint8 RGB image: two parts of one texture are similar, however strong
    the lines in it are.
    """
    if arcs.count == 1:
        return Hierarchy(hg.Tree(np.zeros(1, np.int64)), np.zeros(1), np.zeros(1), np.zeros(0))
    graph = hg.UndirectedGraph(arcs.count)
    graph.add_edges(arcs.edges[:, 0], arcs.edges[:, 1])
    lab = lab_of(image)
    texture = texture_of(lab)
    tree, altitudes = hg.binary_partition_tree_average_linkage(graph, strengths, arcs.lengths)
    merged = np.arange(arcs.count, tree.num_vertices())
    appearances = appearance_histograms(lab, texture, arcs.ids, arcs.count)
    differences = APPEARANCE_WEIGHT * _dissimilarity(appearances, arcs, tree, merged)
    altitudes[merged] = (altitudes[merged] + differences) / (1 + APPEARANCE_WEIGHT)
    altitudes = _rising(tree, altitudes)
    divisions = altitudes.copy()
    values = np.concatenate([lab, TEXTURE_WEIGHT * texture], axis=-1)
    divisions[merged] *= (
        np.minimum(1, _explained(values, arcs, tree, merged) / FULL_VARIANCE_SHARE) ** VARIANCE_SHARE_POWER
    )
    return Hierarchy(tree, altitudes, _rising(tree, divisions), np.asarray(hg.saliency(tree, altitudes)))


def _rising(tree: hg.Tree, altitudes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Raise ``altitudes`` (N,) so that a later merge is never lower than an earlier one below it."""
    leaves = np.zeros(tree.num_leaves())
    return np.asarray(hg.accumulate_and_max_sequential(tree, altitudes, leaves, hg.Accumulators.max))


def _explained(
    values: NDArray[np.float32], arcs: Arcs, tree: hg.Tree, merged: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Compute the share of the variance of ``values`` (h, w, C) that each node's children explain (Ward 1963)."""
    flat = arcs.ids.ravel()
    values = values.reshape(len(flat), -1)
    columns = (np.ones(len(values)), *values.T)
    moments = np.stack([np.bincount(flat, column, minlength=arcs.count) for column in columns], axis=1)
    areas, *sums = np.asarray(hg.accumulate_sequential(tree, moments, hg.Accumulators.sum)).T
    means = np.stack(sums, axis=1) / areas[:, None]
    first, second = tree.child(0, merged), tree.child(1, merged)
    between = areas[first] * areas[second] / areas[merged] * np.square(means[first] - means[second]).sum(1)
    return np.asarray(between / max(float(values.var(0).sum()) * len(values), 1e-9))


def _dissimilarity(
    appearances: Sequence[NDArray[np.float32]], arcs: Arcs, tree: hg.Tree, merged: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Compute the mean chi-square distance in [0, 1] between a node's children, of histograms (R, bins)."""
    areas = np.bincount(arcs.ids.ravel(), minlength=arcs.count).astype(np.float64)
    first, second = tree.child(0, merged), tree.child(1, merged)
    distance = np.zeros(len(merged))
    for histograms in appearances:
        sums = hg.accumulate_sequential(tree, histograms * areas[:, None], hg.Accumulators.sum)
        shares = sums / sums.sum(1, keepdims=True)
        distance += (np.square(shares[first] - shares[second]) / (shares[first] + shares[second] + 1e-9)).sum(1) / 2
    return distance / len(appearances)


# Power of the rarity beside the strength. People draw about the same length of contours in any image.
RARITY_POWER = 2 / 3
# A contour has no rarity beside this length of stronger ones, in sides of a square image of the same area.
COMMON_LENGTH_SIDES = 60.0


def by_rarity(hierarchy: Hierarchy, arcs: Arcs) -> Hierarchy:
    """Return the hierarchy with each strength s in [0, 1] replaced by s r^RARITY_POWER.

    r falls from 1 to 0 with the length of the contours stronger than s. The order of strengths stays, so that segments
    are connected and nested as before, and their borders still are contours above the threshold.
    """
    order = np.argsort(hierarchy.arcs)
    strengths, lengths = hierarchy.arcs[order], arcs.lengths[order]
    stronger = np.append(np.cumsum(lengths[::-1])[::-1], 0)
    common = COMMON_LENGTH_SIDES * np.sqrt(arcs.ids.size)

    def changed(values: NDArray[np.float64]) -> NDArray[np.float64]:
        rarity = np.maximum(0, 1 - stronger[np.searchsorted(strengths, values, side="right")] / common)
        return np.asarray(values * rarity**RARITY_POWER)

    altitudes, divisions, arc_strengths = (
        changed(v) for v in (hierarchy.altitudes, hierarchy.divisions, hierarchy.arcs)
    )
    return replace(hierarchy, altitudes=altitudes, divisions=divisions, arcs=arc_strengths)


def transfer(other: Arcs, hierarchy: Hierarchy, arcs: Arcs) -> NDArray[np.float64]:
    """Compute the strength (E,) at which both sides of each of ``arcs`` merge in a hierarchy of ``other`` arcs.

    ``other`` and ``arcs`` are of one image at two sizes. Each region is assigned to the other region that has
    most of its pixels. Two regions assigned to the same one are not divided.
    """
    height, width = arcs.ids.shape
    ids = np.asarray(cv2.resize(other.ids, (width, height), interpolation=cv2.INTER_NEAREST), np.int32)
    first, second = majority(ids, arcs.ids)[arcs.edges].T
    if not len(first):
        return np.zeros(0)
    return np.asarray(hierarchy.altitudes[hierarchy.tree.lowest_common_ancestor(first, second)])


def majority(values: NDArray[np.int32], ids: NDArray[np.int32]) -> NDArray[np.int64]:
    """Find the most frequent ``values`` (h, w) int32 >= 0 in each superpixel (R,) of ``ids``, the least of equals."""
    shape = int(ids.max()) + 1, int(values.max()) + 1
    # No table of all pairs: both may be thousands.
    votes = coo_matrix((np.ones(ids.size, np.int32), (ids.ravel(), values.ravel())), shape=shape).tocsr()
    return np.asarray(votes.argmax(1), np.int64).ravel()
