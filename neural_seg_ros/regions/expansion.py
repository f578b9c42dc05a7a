"""Alpha-expansion: one class per region, from costs per region and a price for every border between classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.regions.cut import CutGraph

KEPT = 1e9


def expand(
    costs: NDArray[np.float64],
    graph: CutGraph,
    weights: NDArray[np.float64],
    start: NDArray[np.int64],
    rounds: int = 2,
) -> NDArray[np.int64]:
    """Classes (R,) with small sum_i costs[x_i, i] + sum_e weights_e [x_i != x_j] (Boykov, Veksler, Zabih 2001).

    costs (N, R); weights (E,) at least 0; start (R,) classes in [0, N); every round expands every class once. Exact for
    N = 2.
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
        # Regions that have the class already cannot leave it.
        change[classes == alpha] = -KEPT
        taken = graph.minimum_cut(change, weights - half)
        classes[taken] = alpha
    return classes
