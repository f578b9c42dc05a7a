"""What speaks for each class in each region of a frame: its look, nearness along the graph, nearness in the frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.regions.appearance import appearance, neighbourhoods
from neural_seg_ros.regions.geodesic import geodesics
from neural_seg_ros.regions.graph import Regions
from neural_seg_ros.regions.seeds import Seeds

# Nothing is nearer than this: longer sides of the frame, and the same in units of geodesics.
POSITION_SOFTENING, GEODESIC_SOFTENING = 0.02, 0.01
# A presumption is a little farther away than an annotation.
PRESUMED_OFFSET = 0.02
# Beyond every way in the frame.
FARTHEST = 10.0


@dataclass(frozen=True)
class Evidence:
    """Parts of the log-probabilities (N, R) of N classes in R regions, and what looks are learnt from.

    look      how much like the class a region looks, in [-4, 0]
    geodesic  -log of the way along the graph from the class's annotations
    position  -log of the distance in the frame from them
    weights   (N, R) how much each region counts for the look of each class
    """

    look: NDArray[np.float64]
    geodesic: NDArray[np.float64]
    position: NDArray[np.float64]
    weights: NDArray[np.float64]

    def mixed(self, look: float, geodesic: float, position: float) -> NDArray[np.float64]:
        """The parts with these shares, (N, R)."""
        return look * self.look + geodesic * self.geodesic + position * self.position


def evidence_of(regions: Regions, seeds: Seeds) -> Evidence:
    """What annotations and presumptions say of all regions."""
    offsets = np.where(seeds.hard, 0.0, np.where(seeds.presumed > 0, PRESUMED_OFFSET, np.inf))
    ways = _ways(regions, offsets)
    weights = neighbourhoods(regions, seeds, ways)
    return Evidence(appearance(regions, weights), _nearness(ways), _position(regions, seeds), weights)


def relearnt(evidence: Evidence, regions: Regions, classes: NDArray[np.int64], share: float) -> Evidence:
    """``evidence`` with the looks learnt for ``share`` from where ``classes`` (R,) finds them."""
    weights = (1 - share) * evidence.weights
    weights[classes, np.arange(regions.count)] += share * regions.areas
    return Evidence(appearance(regions, weights), evidence.geodesic, evidence.position, weights)


def nearness_with(regions: Regions, seeds: Seeds, classes: NDArray[np.int64], offset: float) -> NDArray[np.float64]:
    """-log of the way (N, R) from annotations, or from where ``classes`` (R,) already has the class, ``offset`` off.

    Annotated regions are of their own class alone; a class that nothing speaks for stays away.
    """
    offsets = np.where(seeds.hard, 0.0, np.inf)
    free = np.flatnonzero((seeds.fixed < 0) & seeds.named[classes])
    offsets[classes[free], free] = offset
    return _nearness(_ways(regions, offsets))


def _ways(regions: Regions, offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.minimum(geodesics(regions, offsets), FARTHEST)


def _nearness(ways: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(-np.log(ways + GEODESIC_SOFTENING))


def _position(regions: Regions, seeds: Seeds) -> NDArray[np.float64]:
    """-log of the distance (N, R) from each class's nearest annotated region, in longer sides of the frame."""
    scale = max(regions.ids.shape)
    distances = np.full(seeds.hard.shape, 1.0)
    for channel, hard in enumerate(seeds.hard):
        if hard.any():
            empty = (~hard[regions.ids]).astype(np.uint8)
            pixels = cv2.distanceTransform(empty, cv2.DIST_L2, cv2.DIST_MASK_5)
            x, y = np.rint(regions.centroids).astype(int).T
            distances[channel] = pixels[y, x] / scale
    return np.asarray(-np.log(distances + POSITION_SOFTENING))
