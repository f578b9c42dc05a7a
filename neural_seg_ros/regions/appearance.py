"""Appearance models of the classes, learned from the superpixels around their annotations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.regions.graph import Regions
from neural_seg_ros.regions.seeds import Seeds

# Weights of the color histograms, and of those of color with texture.
HISTOGRAM_WEIGHTS = (1.0, 1.5)
MIN_BIN_PROBABILITY = 0.002
MIN_LOG_ODDS = -4.0
AFFINITY_RADIUS_GEODESIC = 0.1
# A prior of weight 0.1 counts like ten times its area: it represents all that lies beyond the frame.
PRIOR_MASS = 100.0
# Seeds of a class whose affinities are computed one by one; more add little.
MAX_SEEDS = 32


def appearance_weights(regions: Regions, seeds: Seeds, geodesic: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the weight (N, R) of each superpixel in the appearance of each class: area times ``affinity_to``."""
    weights = np.zeros_like(geodesic)
    for channel, hard in enumerate(seeds.hard):
        sources = np.flatnonzero(hard)
        if len(sources):
            weights[channel] = affinity_to(regions, sources, geodesic[channel])
    known = seeds.fixed >= 0
    weights[:, known] = 0
    weights[seeds.fixed[known], known] = 1
    return np.asarray(weights * regions.areas + PRIOR_MASS * seeds.presumed)


def affinity_to(regions: Regions, sources: NDArray[np.int64], geodesic: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the affinity (R,) in [0, 1] of each superpixel to the superpixels ``sources``.

    It is s^2 exp(-geodesic / AFFINITY_RADIUS_GEODESIC): s is the share of the ensemble that puts both into one segment,
    geodesic (R,) the way from the nearest source.
    """
    sampled = sources[:: -(-len(sources) // MAX_SEEDS)]
    same = regions.members[:, sampled, None] == regions.members[:, None, :]
    return np.asarray(same.mean(0).max(0) ** 2 * np.exp(-geodesic / AFFINITY_RADIUS_GEODESIC))


def appearance(regions: Regions, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute log-odds (N, R) in [MIN_LOG_ODDS, 0] of each superpixel against its likeliest class, by appearance.

    weights: (N, R) of each superpixel in the appearance model of each class
    """
    total = np.zeros(weights.shape)
    for histograms, weight in zip(regions.appearances, HISTOGRAM_WEIGHTS, strict=True):
        of_class = weights @ histograms
        of_class /= np.maximum(of_class.sum(1, keepdims=True), 1e-9)
        total += weight * (np.log(of_class + MIN_BIN_PROBABILITY) @ histograms.T)
    return np.asarray(np.maximum(total - total.max(0), MIN_LOG_ODDS))
