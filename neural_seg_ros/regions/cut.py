"""Minimum cuts of small graphs, exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

# Maximum flow wants whole numbers: costs are counted in these parts of the largest one.
RESOLUTION = 1_000_000
# A node whose own cost is more than all of its edges is decided by it alone; more than this much more says nothing new.
DECIDED, LEAST_SHARE = 1.01, 1e-3


class CutGraph:
    """A graph of ``count`` nodes and edges (E, 2), each pair once; laid out once for any number of cuts."""

    def __init__(self, edges: NDArray[np.int64], count: int) -> None:
        self.edges, self.count = edges, count
        a, b = edges.T
        nodes, source, sink = np.arange(count), np.full(count, count), np.full(count, count + 1)
        # Flow goes back along every arc, so each has its reverse beside it.
        tails = np.concatenate([a, b, source, nodes, nodes, sink])
        heads = np.concatenate([b, a, nodes, source, sink, nodes])
        self._order = np.lexsort((heads, tails))
        self._heads = heads[self._order].astype(np.int32)
        self._starts = np.concatenate([[0], np.bincount(tails, minlength=count + 2).cumsum()]).astype(np.int32)

    def minimum_cut(self, costs: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.bool_]:
        """The y in {0, 1}^R that minimises sum_i costs_i y_i + sum_e weights_e |y_i - y_j|, as (R,) bool.

        costs (R,) of any sign; weights (E,) at least 0. It is the source's side of a maximum flow.
        """
        around = np.bincount(self.edges.ravel(), np.repeat(weights, 2), minlength=self.count)
        most = DECIDED * around + max(LEAST_SHARE * float(around.max(initial=0)), 1e-12)
        costs = np.clip(costs, -most, most)
        none = np.zeros(self.count)
        values = np.concatenate([weights, weights, np.maximum(-costs, 0), none, np.maximum(costs, 0), none])
        capacity = self._matrix(np.rint(values * (RESOLUTION / values.max()))[self._order].astype(np.int32))
        flow = maximum_flow(capacity, self.count, self.count + 1, method="dinic").flow
        residual = self._matrix(capacity.data - flow.data)
        residual.eliminate_zeros()
        reached = breadth_first_order(residual, self.count, return_predecessors=False)
        taken = np.zeros(self.count + 2, np.bool_)
        taken[reached] = True
        return taken[: self.count]

    def _matrix(self, data: NDArray[np.int32]) -> csr_matrix:
        size = self.count + 2
        return csr_matrix((data, self._heads, self._starts), shape=(size, size), copy=True)
