"""The spectral step: what divides the image as a whole, from the affinities of its regions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import eigsh

VECTORS = 24
LEAST = 1e-3


def spectral_strength(affinities: csr_matrix, edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much the normalised cuts of the regions divide the two of each edge: (E,) of edges (E, 2).

    sum over k of |v_k(i) - v_k(j)| / sqrt(lambda_k), with v_k the generalised eigenvectors of (D - W) v = lambda D v
    scaled to a range of 1 (sPb of Arbelaez et al. 2011, equation 13, on regions).
    """
    count = affinities.shape[0]
    if count < 3:
        return np.zeros(len(edges))
    root = 1 / np.sqrt(np.asarray(affinities.sum(1)).ravel() + 1e-12)
    normalised = diags(root) @ affinities @ diags(root)
    start = np.random.default_rng(0).normal(size=count)
    number = min(VECTORS + 1, count - 1)
    values, vectors = eigsh(normalised, number, which="LA", v0=start, tol=1e-4)
    # The first is constant.
    order = np.argsort(-values)[1:]
    shown = vectors[:, order] * root[:, None]
    shown /= np.maximum(np.ptp(shown, axis=0), 1e-12)
    weights = 1 / np.sqrt(np.maximum(1 - values[order], LEAST))
    return np.asarray(np.abs(shown[edges[:, 0]] - shown[edges[:, 1]]) @ weights)
