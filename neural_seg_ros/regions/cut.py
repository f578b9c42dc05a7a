"""Minimum cuts of small graphs, exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

# Maximum flow wants whole numbers: costs are counted in these parts of the largest one.
RESOLUTION = 1_000_000
SETTLING_ROUNDS = 4


def minimum_cut(
    costs: NDArray[np.float64], edges: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """The y in {0, 1}^R that minimises sum_i costs_i y_i + sum_e weights_e |y_i - y_j|, as (R,) bool.

    costs (R,) of any sign; edges (E, 2) nodes; weights (E,) at least 0.
    """
    settled = np.zeros(len(costs), np.int8)
    costs = costs.astype(np.float64)
    for _ in range(SETTLING_ROUNDS):
        # A node whose own cost outweighs all of its undecided edges is decided without the others.
        around = _around(edges, weights, len(costs))
        now = (settled == 0) & (np.abs(costs) >= around)
        if not now.any():
            break
        settled[now] = np.where(costs[now] < 0, 1, -1)
        a, b = edges.T
        for node, other in ((a, b), (b, a)):
            known = settled[node] != 0
            np.subtract.at(costs, other[known], settled[node[known]] * weights[known])
        open_edges = (settled[a] == 0) & (settled[b] == 0)
        edges, weights = edges[open_edges], weights[open_edges]
    taken = settled == 1
    rest = np.flatnonzero(settled == 0)
    if len(rest):
        position = np.full(len(costs), -1)
        position[rest] = np.arange(len(rest))
        taken[rest] = _source_side(costs[rest], position[edges], weights)
    return np.asarray(taken, np.bool_)


def _around(edges: NDArray[np.int64], weights: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    return np.asarray(np.bincount(edges.ravel(), np.repeat(weights, 2), minlength=count), np.float64)


def _source_side(
    costs: NDArray[np.float64], edges: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which nodes stay with the source, where negative costs pull, by maximum flow."""
    count = len(costs)
    nodes = np.arange(count)
    source, sink = count, count + 1
    a, b = edges.T
    tails = np.concatenate([a, b, np.full(count, source), nodes])
    heads = np.concatenate([b, a, nodes, np.full(count, sink)])
    values = np.concatenate([weights, weights, np.maximum(-costs, 0), np.maximum(costs, 0)])
    whole = np.rint(values * (RESOLUTION / max(values.max(), 1e-12))).astype(np.int32)
    capacity = csr_matrix((whole, (tails, heads)), shape=(count + 2, count + 2))
    residual = capacity - maximum_flow(capacity, source, sink, method="dinic").flow
    residual.data = np.maximum(residual.data, 0)
    residual.eliminate_zeros()
    reached = breadth_first_order(residual, source, return_predecessors=False)
    kept = np.zeros(count + 2, np.bool_)
    kept[reached] = True
    return kept[:count]
