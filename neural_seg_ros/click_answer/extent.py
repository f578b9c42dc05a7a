"""Hypotheses of how far objects reach around their annotations, and scores of the shapes that follow.

One click does not tell how large its object is, and a scribble tells a lot. So several extents are assumed in turn:
beyond some distance from everything drawn on objects, the frame belongs to the rest. Each extent gives candidates for
the vote. A candidate is plausible if it is uniform inside, differs from its surroundings, and resembles what was drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.regions.appearance import MAX_SEEDS
from neural_seg_ros.regions.graph import Regions
from neural_seg_ros.regions.seeds import Seeds


@dataclass(frozen=True)
class ExtentTuning:
    """Constants of the extents and of the scores, fitted to marks of seven kinds on 75 images (docs/lab/drawing.md)."""

    # Distances from the annotations of objects beyond which the rest is assumed, in longer sides of the frame.
    distances: tuple[float, ...] = (0.04, 0.11, 0.26, np.inf)
    # The same for candidates that do not use the distance from assumed pixels of the rest.
    distances_without_position: tuple[float, ...] = (0.26, np.inf)
    # Weight of an assumed pixel, beside 1 for an annotated one.
    rest_weight: float = 0.02
    # Rings of superpixels around a shape that are its surroundings.
    rings: int = 3
    # Marks of this diameter, in longer sides, count half as a point.
    point_diameter_sides: float = 0.05
    # Weights of the features of a shape, and their change for marks that are a point.
    weights: tuple[float, ...] = (2.9, 0.8, 0.6, -0.65, 0.15, 0.1)
    point_weights: tuple[float, ...] = (-1.9, -1.25, 0.1, -0.75, 0.25, 0.5)
    # Log-weight in the vote per unit of the score, which predicts IoU: of a first answer, and of a corrected one.
    scale: float = 20.0
    correction_scale: float = 5.0


TUNING = ExtentTuning()


def assume_rest(regions: Regions, seeds: Seeds, distances: NDArray[np.float64], extent: float, rest: int) -> Seeds:
    """Return ``seeds`` with the superpixels assumed to be the rest whose distance (R,) is above ``extent``."""
    far = (distances > extent) & (seeds.fixed < 0)
    presumed, anchors = seeds.presumed.copy(), seeds.anchors.copy()
    presumed[:, far] = 0
    presumed[rest, far] = np.maximum(seeds.presumed[rest, far], TUNING.rest_weight * regions.areas[far])
    anchors[rest] |= far
    return replace(seeds, presumed=presumed, anchors=anchors)


def extents() -> list[tuple[float, bool]]:
    """List the extents, each with whether the distance from assumed pixels counts."""
    with_position = [(extent, True) for extent in TUNING.distances]
    return with_position + [(extent, False) for extent in TUNING.distances_without_position]


def distance_from(regions: Regions, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Compute the distance (R,) from chosen superpixels (R,) bool, at least one, in longer sides of the frame."""
    empty = (~chosen[regions.ids]).astype(np.uint8)
    x, y = np.rint(regions.centroids).astype(int).T
    pixels = cv2.distanceTransform(empty, cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(pixels[y, x] / max(regions.ids.shape), np.float64)


class ShapeScorer:
    """The scores of candidate shapes of one class, whose annotated superpixels are ``drawn`` (R,) bool.

    point  1 for a single click, towards 0 the farther the annotations spread
    """

    def __init__(self, regions: Regions, drawn: NDArray[np.bool_]) -> None:
        self._regions = regions
        sources = np.flatnonzero(drawn)
        sampled = sources[:: -(-len(sources) // MAX_SEEDS)]
        same = regions.members[:, sampled, None] == regions.members[:, None, :]
        self._affinity = np.asarray(same.mean(0).max(0), np.float64)
        self._drawn_colors = regions.appearances[0][sources].mean(0)
        ends = regions.centroids[sources]
        diameter = float(np.ptp(ends, axis=0).max()) / max(regions.ids.shape)
        self.point = float(np.exp(-diameter / TUNING.point_diameter_sides))
        ids = regions.ids
        border = np.concatenate([ids[0], ids[-1], ids[1:-1, 0], ids[1:-1, -1]])
        self._border = np.bincount(border, minlength=regions.count)
        # Many candidates are the same.
        self._scores: dict[bytes, float] = {}

    def score(self, mask: NDArray[np.bool_]) -> float:
        """Predict the IoU of a shape (R,) bool with the object, up to a constant."""
        key = mask.tobytes()
        if key not in self._scores:
            weights = np.array(TUNING.weights) + self.point * np.array(TUNING.point_weights)
            self._scores[key] = float(self.features(mask) @ weights)
        return self._scores[key]

    def features(self, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Compute the features of a shape (R,) bool.

        These are the mean strength inside, the affinity to the marks compared with that of the surroundings, the
        difference in texture from the surroundings, the share of the frame's border, the difference in color from the
        marks, and the mean strength of the boundary.
        """
        regions, areas = self._regions, self._regions.areas.astype(np.float64)
        a, b = regions.edges.T
        crossed, inside = mask[a] != mask[b], mask[a] & mask[b]
        around = self._surroundings(mask)
        own, other = areas * mask, areas * around
        texture = regions.appearances[1]
        return np.array(
            [
                _mean(regions.strengths, regions.lengths * inside),
                _mean(self._affinity, own) - _mean(self._affinity, other),
                1 - _similarity(own @ texture, other @ texture),
                self._border[mask].sum() / self._border.sum(),
                1 - _similarity(self._drawn_colors, own @ regions.appearances[0]),
                _mean(regions.strengths, regions.lengths * crossed),
            ]
        )

    def _surroundings(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the superpixels (R,) within the rings around a shape."""
        a, b = self._regions.edges.T
        reached = mask.copy()
        for _ in range(TUNING.rings):
            grown = reached.copy()
            grown[b[reached[a]]] = True
            grown[a[reached[b]]] = True
            reached = grown
        return reached & ~mask


def _mean(values: NDArray[np.floating], weights: NDArray[np.floating]) -> float:
    return float((values * weights).sum() / (weights.sum() + 1e-6))


def _similarity(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Compute the Bhattacharyya coefficient of two histograms (bins,), in [0, 1]."""
    return float(np.sqrt(one / (one.sum() + 1e-9) * (other / (other.sum() + 1e-9))).sum())
