"""Connectivity: a part of a class without an annotation of its own goes to what surrounds it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

ROUNDS = 2


def remove_islands(
    classes: NDArray[np.int64], seeded: NDArray[np.bool_], likely: NDArray[np.float64], edges: NDArray[np.int64]
) -> NDArray[np.int64]:
    """``classes`` (R,) where each connected component without a seed takes the likeliest class beside it.

    seeded (N, R) bool: seeds of each class; likely (N, R): log-probabilities of the classes, times area.
    """
    classes = classes.copy()
    size = len(classes)
    nodes = np.arange(size)
    # What lies beside a moved part may be moved only after it.
    for _ in range(ROUNDS):
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
