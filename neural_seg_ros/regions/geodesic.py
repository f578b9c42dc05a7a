"""How far regions are from annotated ones, along the graph: cheap inside an object, dear across its edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

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
