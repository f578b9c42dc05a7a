"""What each class looks like, learnt from the regions around its annotations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.regions.graph import Regions
from neural_seg_ros.regions.seeds import Seeds

LOOK_WEIGHTS = (1.0, 1.5)
FLOOR = 0.002
LEAST = -4.0
REACH = 0.1
# A presumption of weight 0.1 counts like ten times its area: it stands for all that lies beyond the frame.
PRESUMED_MASS = 100.0
# Seeds of a class whose neighbourhoods are looked at one by one; more tell little new.
SAMPLED_SEEDS = 32


def neighborhoods(regions: Regions, seeds: Seeds, geodesic: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (N, R): areas times how surely a region belongs with a seed of the class (``together``)."""
    weights = np.zeros_like(geodesic)
    for channel, hard in enumerate(seeds.hard):
        sources = np.flatnonzero(hard)
        if len(sources):
            weights[channel] = together(regions, sources, geodesic[channel])
    known = seeds.fixed >= 0
    weights[:, known] = 0
    weights[seeds.fixed[known], known] = 1
    return np.asarray(weights * regions.areas + PRESUMED_MASS * seeds.presumed)


def together(regions: Regions, sources: NDArray[np.int64], geodesic: NDArray[np.float64]) -> NDArray[np.float64]:
    """How surely a region belongs with one of the regions ``sources``: R^2 exp(-geodesic / REACH), (R,) in [0, 1].

    R is the share of the ensemble that puts both into one segment, geodesic (R,) the way from the nearest source.
    """
    sampled = sources[:: -(-len(sources) // SAMPLED_SEEDS)]
    same = regions.members[:, sampled, None] == regions.members[:, None, :]
    return np.asarray(same.mean(0).max(0) ** 2 * np.exp(-geodesic / REACH))


def appearance(regions: Regions, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much less like the class than like the likeliest class a region looks: (N, R) in [LEAST, 0].

    weights (N, R): how much each region counts for the look of each class.
    """
    total = np.zeros(weights.shape)
    for look, weight in zip(regions.looks, LOOK_WEIGHTS, strict=True):
        of_class = weights @ look
        of_class /= np.maximum(of_class.sum(1, keepdims=True), 1e-9)
        total += weight * (np.log(of_class + FLOOR) @ look.T)
    return np.asarray(np.maximum(total - total.max(0), LEAST))
