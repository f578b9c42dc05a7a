"""Distances on the region graph: geodesics and the random walker, short inside an object, long across its edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix, diags
from scipy.sparse.csgraph import dijkstra
from scipy.sparse.linalg import splu

from neural_seg_ros.regions.graph import Regions

# Cost of a way: of one longer side of the frame, and of crossing the strongest edge.
LENGTH_COST = 0.05
CROSSING_COST = 0.5
# Weight of a boundary pixel for a random walker: its decay with the edge's strength, and its least value.
WALK_DECAY = 0.05
MIN_WALK_WEIGHT = 1e-4
# Weight of ending in the current superpixel by its prior, at mean area, and in an annotated one.
PRIOR_WEIGHT = 0.02
ANNOTATED_WEIGHT = 1e6


def geodesics(regions: Regions, offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the shortest way (N, R) to any source of each of N kinds; ``offsets`` (N, R), inf where no source is.

    A way costs its offset at the source, LENGTH_COST a longer side of the frame, and up to CROSSING_COST an edge.
    """
    a, b = regions.edges.T
    steps = np.linalg.norm(regions.centroids[a] - regions.centroids[b], axis=1) / max(regions.ids.shape)
    cost = LENGTH_COST * steps + CROSSING_COST * regions.strengths.astype(np.float64) ** 2
    kinds, sources = np.nonzero(np.isfinite(offsets))
    # One extra node a kind, joined to its sources by their offsets: one search a kind. SciPy reads 0 as no edge.
    count, extra = regions.count, len(offsets)
    tails = np.concatenate([a, b, count + kinds])
    heads = np.concatenate([b, a, sources])
    values = np.concatenate([cost, cost, offsets[kinds, sources]]) + 1e-6
    graph = csr_matrix((values, (tails, heads)), shape=(count + extra, count + extra))
    return np.asarray(dijkstra(graph, indices=np.arange(count, count + extra))[:, :count])


def walk(regions: Regions, prior: NDArray[np.float64], fixed: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute probabilities (N, R) that a random walker from each superpixel ends in each class (Grady 2005).

    prior (N, R) sums to 1 over N: the class of a walker that ends on its way; fixed (R,): class of annotated
    superpixels, else -1.
    """
    count = regions.count
    weights = regions.lengths * np.exp(-regions.strengths.astype(np.float64) / WALK_DECAY) + MIN_WALK_WEIGHT
    a, b = regions.edges.T
    ends = PRIOR_WEIGHT * regions.areas / regions.areas.mean() + np.where(fixed >= 0, ANNOTATED_WEIGHT, 0.0)
    degree = np.bincount(regions.edges.ravel(), np.repeat(weights, 2), minlength=count)
    off_diagonal = csc_matrix((-np.concatenate([weights, weights]), (np.r_[a, b], np.r_[b, a])), shape=(count, count))
    target = prior.copy()
    known = np.flatnonzero(fixed >= 0)
    target[:, known] = 0
    target[fixed[known], known] = 1
    system = csc_matrix(off_diagonal + diags(degree + ends))
    solved = splu(system, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve((target * ends).T)
    probabilities = np.maximum(solved.T, 0)
    return np.asarray(probabilities / probabilities.sum(0))
