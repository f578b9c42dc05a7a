"""Small regions of an image and the arcs between them: the places where a contour can be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import watershed

from neural_seg_ros.regions.graph import edges_of, touching_pixels

LEVELS = 250


@dataclass(frozen=True)
class Arcs:
    """R connected regions of an (h, w) image and the E arcs along which two of them touch.

    ids          (h, w) int32 region of every pixel, in [0, R)
    edges        (E, 2) int64 regions i < j on the sides of each arc
    lengths      (E,) float64 pairs of touching pixels along it
    pairs        two (P,) int64 flat indices of all pairs of touching pixels of two regions
    arc_of_pair  (P,) int64
    normals      (P, 2) float32 x, y of the unit vector across the arc of each pair
    """

    ids: NDArray[np.int32]
    edges: NDArray[np.int64]
    lengths: NDArray[np.float64]
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]]
    arc_of_pair: NDArray[np.int64]
    normals: NDArray[np.float32]

    @property
    def count(self) -> int:
        """R."""
        return int(self.ids.max()) + 1

    def mean(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the mean (E,) over each arc of a value (P,) of each pair."""
        return np.bincount(self.arc_of_pair, values, minlength=len(self.edges)) / np.maximum(self.lengths, 1)

    def of_map(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the mean (E,) over each arc of a map (h, w)."""
        flat, (first, second) = values.ravel(), self.pairs
        return self.mean((flat[first] + flat[second]) / 2)

    def drawn(self, strengths: NDArray[np.float64]) -> NDArray[np.float32]:
        """Draw each arc's strength (E,) to its left and above: (h, w) float32, the greatest where arcs meet."""
        canvas = np.zeros(self.ids.size, np.float32)
        np.maximum.at(canvas, self.pairs[0], strengths[self.arc_of_pair].astype(np.float32))
        return canvas.reshape(self.ids.shape)


def find_arcs(strength: NDArray[np.float32]) -> Arcs:
    """Return the basins of a contour strength (h, w) in [0, 1] and their arcs (Arbelaez et al. 2011, section 4.1)."""
    # A flat floor is one basin: differences below a level are no divide.
    levels = np.asarray(np.rint(strength * LEVELS), np.int32)
    # A picture that is level everywhere has no basins.
    basins = watershed(levels) - 1 if np.ptp(levels) else np.zeros_like(levels)
    return arcs_of(np.asarray(basins, np.int32))


def arcs_of(ids: NDArray[np.int32]) -> Arcs:
    """Return the arcs of regions (h, w) int32, each connected, without gaps in their numbers."""
    flat, width = ids.ravel(), ids.shape[1]
    first, second = touching_pixels(ids)
    edges, arc_of_pair = edges_of(flat[first], flat[second], int(ids.max()) + 1)
    lengths = np.bincount(arc_of_pair, minlength=len(edges)).astype(np.float64)
    upright = second - first == 1
    x, y = first % width + 0.5 * upright, first // width + 0.5 * ~upright
    return Arcs(ids, edges, lengths, (first, second), arc_of_pair, _normals(x, y, upright, arc_of_pair, lengths))


def _normals(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    upright: NDArray[np.bool_],
    arc_of_pair: NDArray[np.int64],
    lengths: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Compute normals of each pair's arc: across its main axis. An arc consists of unit-long pixel boundaries."""

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(arc_of_pair, values, minlength=len(lengths)) / np.maximum(lengths, 1)

    dx, dy = x - mean(x)[arc_of_pair], y - mean(y)[arc_of_pair]
    # A piece of length 1 has the variance 1/12 along itself.
    xx, yy, xy = mean(dx * dx + ~upright / 12), mean(dy * dy + upright / 12), mean(dx * dy)
    along = np.arctan2(2 * xy, xx - yy) / 2
    return np.stack([-np.sin(along), np.cos(along)], axis=1).astype(np.float32)[arc_of_pair]
