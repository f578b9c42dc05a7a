"""Minimum cuts of the region graph: exact for two classes, alpha-expansion for more, without unseeded islands."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components, maximum_flow

# SciPy's maximum flow takes integers: costs are scaled so that the largest is this.
MAX_CAPACITY = 1_000_000
# A node whose own cost exceeds this multiple of all its edges is decided by it; larger costs are clipped to it.
MAX_COST_PER_EDGES, MIN_COST_SHARE = 1.01, 1e-3
# Rounds of ``remove_islands``, and the cost that holds a superpixel in its class.
ISLAND_ROUNDS = 2
HOLD_COST = 1e9


class CutGraph:
    """A graph of ``count`` nodes and edges (E, 2), each pair once, in the layout of the maximum flow."""

    def __init__(self, edges: NDArray[np.int64], count: int) -> None:
        self.edges, self.count = edges, count
        a, b = edges.T
        nodes, source, sink = np.arange(count), np.full(count, count), np.full(count, count + 1)
        # Every arc needs its reverse for the residual flow.
        tails = np.concatenate([a, b, source, nodes, nodes, sink])
        heads = np.concatenate([b, a, nodes, source, sink, nodes])
        self._order = np.lexsort((heads, tails))
        self._heads = heads[self._order].astype(np.int32)
        self._starts = np.concatenate([[0], np.bincount(tails, minlength=count + 2).cumsum()]).astype(np.int32)

    def minimum_cut(self, costs: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Find the y in {0, 1}^R that minimizes sum_i costs_i y_i + sum_e weights_e |y_i - y_j|, as (R,) bool.

        costs (R,) of any sign; weights (E,) at least 0. The result is the source's side of a maximum flow.
        """
        around = np.bincount(self.edges.ravel(), np.repeat(weights, 2), minlength=self.count)
        most = MAX_COST_PER_EDGES * around + max(MIN_COST_SHARE * float(around.max(initial=0)), 1e-12)
        costs = np.clip(costs, -most, most)
        none = np.zeros(self.count)
        values = np.concatenate([weights, weights, np.maximum(-costs, 0), none, np.maximum(costs, 0), none])
        capacity = self._matrix(np.rint(values * (MAX_CAPACITY / values.max()))[self._order].astype(np.int32))
        flow = maximum_flow(capacity, self.count, self.count + 1, method="dinic").flow
        residual = self._matrix(capacity.data - flow.data)
        residual.eliminate_zeros()
        reached = breadth_first_order(residual, self.count, return_predecessors=False)
        source_side = np.zeros(self.count + 2, np.bool_)
        source_side[reached] = True
        return source_side[: self.count]

    def _matrix(self, data: NDArray[np.int32]) -> csr_matrix:
        size = self.count + 2
        return csr_matrix((data, self._heads, self._starts), shape=(size, size), copy=True)


def remove_islands(
    classes: NDArray[np.int64], seeded: NDArray[np.bool_], likely: NDArray[np.float64], edges: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Give each connected component of ``classes`` (R,) without a seed the likeliest class beside it.

    seeded (N, R) bool: seeds of each class; likely (N, R): log-probabilities of the classes, times area.
    """
    classes = classes.copy()
    size = len(classes)
    nodes = np.arange(size)
    # A component beside a moved one can move in the next round only.
    for _ in range(ISLAND_ROUNDS):
        a, b = edges.T
        same = classes[a] == classes[b]
        graph = coo_matrix((np.ones(same.sum()), (a[same], b[same])), shape=(size, size))
        number, component = connected_components(graph, directed=False)
        anchored = np.bincount(component, seeded[classes, nodes], minlength=number) > 0
        if anchored.all():
            return classes
        sums = np.stack([np.bincount(component, row, minlength=number) for row in likely])
        beside = np.zeros((len(likely), number), np.bool_)
        for i, j in ((a, b), (b, a)):
            known = anchored[component[j]]
            beside[classes[j[known]], component[i[known]]] = True
        best = np.where(beside, sums, -np.inf).argmax(0)
        movable = ~anchored & np.asarray(beside.any(0))
        moved = movable[component]
        if not moved.any():
            return classes
        classes[moved] = best[component[moved]]
    return classes


def expand(
    costs: NDArray[np.float64],
    graph: CutGraph,
    weights: NDArray[np.float64],
    start: NDArray[np.int64],
    rounds: int = 2,
) -> NDArray[np.int64]:
    """Find classes (R,) with small sum_i costs[x_i, i] + sum_e weights_e [x_i != x_j] by alpha-expansion.

    costs (N, R); weights (E,) at least 0; start (R,) classes in [0, N); every round expands every class once. Exact for
    N = 2. (Boykov, Veksler, Zabih 2001)
    """
    count, size = costs.shape
    nodes = np.arange(size)
    edges = graph.edges
    a, b = edges.T
    # One expansion of class 1 into a frame of class 0 is already the minimum of two classes.
    classes = np.zeros_like(start) if count == 2 else start.copy()
    for alpha in [1] if count == 2 else [*range(count)] * rounds:
        change = costs[alpha] - costs[classes, nodes]
        different = classes[a] != classes[b]
        mixed = different & (classes[a] != alpha) & (classes[b] != alpha)
        # Between two other classes: w (1 - y_a y_b) = w - w/2 y_a - w/2 y_b + w/2 |y_a - y_b|.
        half = np.where(mixed, weights / 2, 0)
        change -= np.bincount(edges.ravel(), np.repeat(half, 2), minlength=size)
        # A superpixel that has the class already cannot leave it.
        change[classes == alpha] = -HOLD_COST
        classes[graph.minimum_cut(change, weights - half)] = alpha
    return classes
