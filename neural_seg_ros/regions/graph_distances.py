"""How far regions are from annotated ones, along the graph: cheap inside an object, dear across its edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix, diags
from scipy.sparse.csgraph import dijkstra
from scipy.sparse.linalg import splu

from neural_seg_ros.regions.graph import Regions

LENGTH_COST = 0.05
CROSSING_COST = 0.5


def geodesics(regions: Regions, offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shortest way (N, R) to any source of each of N kinds; ``offsets`` (N, R), inf where no source is.

    A way costs its offset at the source, LENGTH_COST a longer side of the frame, and up to CROSSING_COST an edge.
    """
    a, b = regions.edges.T
    steps = np.linalg.norm(regions.centroids[a] - regions.centroids[b], axis=1) / max(regions.ids.shape)
    cost = LENGTH_COST * steps + CROSSING_COST * regions.strengths.astype(np.float64) ** 2
    kinds, sources = np.nonzero(np.isfinite(offsets))
    # One more node a kind, joined to its sources by their offsets, makes one search of each kind. Zero is no edge.
    count, extra = regions.count, len(offsets)
    tails = np.concatenate([a, b, count + kinds])
    heads = np.concatenate([b, a, sources])
    values = np.concatenate([cost, cost, offsets[kinds, sources]]) + 1e-6
    graph = csr_matrix((values, (tails, heads)), shape=(count + extra, count + extra))
    return np.asarray(dijkstra(graph, indices=np.arange(count, count + extra))[:, :count])


# Along a border pixel a walker goes with this weight at least; the weight fades with the strength of the edge.
FADING = 0.05
FLOOR = 1e-4
# Weight of ending on the way, in a region of mean area.
PRIOR_WEIGHT = 0.02
KNOWN = 1e6


def walk(regions: Regions, prior: NDArray[np.float64], fixed: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probabilities (N, R) that a walker starting in a region ends in each class (Grady 2005, with priors).

    prior (N, R) sums to 1 over N: where a walker that ends on its way ends; fixed (R,) class of regions that are
    known, else -1.
    """
    count = regions.count
    weights = regions.lengths * np.exp(-regions.strengths.astype(np.float64) / FADING) + FLOOR
    a, b = regions.edges.T
    ends = PRIOR_WEIGHT * regions.areas / regions.areas.mean() + np.where(fixed >= 0, KNOWN, 0.0)
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
