"""An untrained tracker: a bilateral grid that moves with the scene, color, the warped mask, and a minimum cut.

After Maerki, Perazzi, Wang, Sorkine-Hornung: Bilateral space video segmentation (BVS), CVPR 2016. There the grid spans
the whole video and is cut itself; here frames come one by one, vertices move along the flow, and pixels are cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import expit

from neural_seg_ros.annotations import Annotation
from neural_seg_ros.evaluation.labelers import Labeling
from neural_seg_ros.evaluation.tracking.sequences import objects_of
from neural_seg_ros.evaluation.tracking.trackers import mask_among
from neural_seg_ros.images.arrays import Labels, field_shape, resize_channels, resize_image
from neural_seg_ros.regions.cuts import CutGraph
from neural_seg_ros.regions.pixel_features import lab_of
from neural_seg_ros.tracking.pixel_evidence import backward_flow, warped

LONGER_SIDE = 427
# Sides of a cell of the grid: pixels across and down, then L, a and b of CIE Lab.
CELL = np.array([24, 24, 9, 6, 6], np.float64)
# The grid decays by this factor with every frame; vertices that weigh less than LEAST pixels are dropped.
FADING, LEAST = 0.9, 0.02
# Colors are counted in BINS of L, a and b each, L in [0, 100], a and b in [-60, 60], smoothed by SPREAD bins.
BINS, SPREAD = 20, 0.8
MOST_LOG_ODDS = {"grid": 4.0, "warp": 4.0, "colour": 3.0}
CUT_WEIGHT, CUT_FLOOR = 2.0, 0.1
# The greatest number of values of a coordinate; the offset keeps neighbors of the first cell above 0.
_RANGE, _OFFSET = 512, 64

Lab = NDArray[np.float32]  # (H, W, 3)
Masses = NDArray[np.float64]


class Grid:
    """Each object against the rest; of several the most probable one.

    The log-odds of a pixel are the sum of those of the grid around its place and color, of the object's colors on the
    first frame, and of the mask of the frame before, warped. The new mask is the mean of their sigmoid and of a cut.
    """

    def start(self, image: NDArray[np.uint8]) -> None:
        self._size = image.shape[1], image.shape[0]
        self._shape = field_shape(image.shape[0], image.shape[1], LONGER_SIDE, least=1)
        self._image = resize_image(image, *self._shape)
        rows, columns = self._shape
        numbers = np.arange(rows * columns).reshape(rows, columns)
        pairs = (numbers[:, :-1], numbers[:, 1:]), (numbers[:-1], numbers[1:])
        edges = np.concatenate([np.stack([a.ravel(), b.ravel()], 1) for a, b in pairs])
        self._graph = CutGraph(edges, rows * columns)

    def label(self, annotations: Sequence[Annotation]) -> Labeling:
        labels = mask_among(annotations)
        self._ids = objects_of(labels)
        shares = shares_of(labels, self._ids)
        self._shares = resize_channels(shares, *self._shape, cv2.INTER_AREA)
        lab = lab_of(self._image)
        self._colors = _color_log_odds(lab, self._shares)
        self._vertices = _vertices(lab, self._shares).merged()
        return Labeling(labels)

    def follow(self, image: NDArray[np.uint8]) -> Labeling:
        small = resize_image(image, *self._shape)
        motion, lab = Motion(self._image, small), lab_of(small)
        moved, warped = self._vertices.moved(motion.forward), motion.warped(self._shares)
        odds = self._colors[:, _bins(lab)]
        odds += _log_odds(moved.around(lab), "grid", floor=0.25)
        odds += _log_odds(np.stack([warped, 1 - warped], 1), "warp", floor=0.02)
        weights = self._cut_weights(lab)
        cuts = [self._graph.minimum_cut(-own.ravel().astype(np.float64), weights) for own in odds]
        self._shares = ((np.reshape(cuts, odds.shape) + expit(odds)) / 2).astype(np.float32)
        self._shares /= np.maximum(1, self._shares.sum(0))
        self._image = small
        self._vertices = moved.with_more(_vertices(lab, self._shares))
        full = resize_channels(self._shares, *self._size[::-1], cv2.INTER_LINEAR)
        return Labeling(labels_of(full, self._ids))

    def _cut_weights(self, lab: Lab) -> NDArray[np.float64]:
        a, b = self._graph.edges.T
        pixels = lab.reshape(-1, 3).astype(np.float64)
        distances = np.square(pixels[a] - pixels[b]).sum(1)
        return np.asarray(CUT_WEIGHT * (np.exp(-distances / max(2 * distances.mean(), 1e-9)) + CUT_FLOOR))


@dataclass(frozen=True)
class _Vertices:
    """The occupied vertices of the grid.

    places  (N, 5): x, y, L, a, b, the mean of the pixels that are in it
    masses  (N, 1 + objects): how many pixels were background, and of each object
    """

    places: NDArray[np.float64]
    masses: Masses

    @cached_property
    def keys(self) -> NDArray[np.int64]:
        """(N,) the cell of each vertex as one number."""
        return np.asarray((np.rint(self.places / CELL).astype(np.int64) + _OFFSET) @ _STRIDES)

    def moved(self, flow: NDArray[np.float32]) -> _Vertices:
        """Move each vertex along the flow (H, W, 2) at its place."""
        height, width = flow.shape[:2]
        x, y = (np.rint(self.places[:, axis]).astype(int) for axis in (0, 1))
        places = self.places.copy()
        places[:, :2] += flow[y.clip(0, height - 1), x.clip(0, width - 1)]
        return _Vertices(places, self.masses)

    def with_more(self, others: _Vertices) -> _Vertices:
        """Add the vertices of a new frame; the older ones fade."""
        masses = np.concatenate([FADING * self.masses, others.masses])
        return _Vertices(np.concatenate([self.places, others.places]), masses).merged()

    def merged(self) -> _Vertices:
        """Merge to one vertex a cell."""
        _, index = np.unique(self.keys, return_inverse=True)
        total = self.masses.sum(1)
        masses = _summed(self.masses, index, int(index.max()) + 1)
        weights = masses.sum(1)
        places = _summed(self.places * total[:, None], index, len(weights)) / np.maximum(weights, 1e-9)[:, None]
        kept = weights > LEAST
        return _Vertices(places[kept], masses[kept])

    def around(self, lab: Lab) -> Masses:
        """Compute (objects, 2, H, W) masses of each object and the rest around every pixel: blurred and sliced."""
        pixels = _vertices(lab, np.empty((0, *lab.shape[:2]), np.float32))
        cells, index = np.unique(np.concatenate([pixels.keys, self.keys]), return_inverse=True)
        masses = _summed(self.masses, index[len(pixels.keys) :], len(cells))
        for stride in _STRIDES:
            masses = (2 * masses + _neighbors(masses, cells, -stride) + _neighbors(masses, cells, stride)) / 4
        of_pixels = masses[index[: len(pixels.keys)]].reshape(*lab.shape[:2], -1)
        objects = np.moveaxis(of_pixels[..., 1:], -1, 0)
        return np.stack([objects, of_pixels.sum(-1) - objects], 1)


_STRIDES = _RANGE ** np.arange(4, -1, -1, dtype=np.int64)


def _vertices(lab: Lab, shares: Shares) -> _Vertices:
    """Make a vertex for every pixel."""
    height, width = lab.shape[:2]
    y, x = np.mgrid[:height, :width]
    places = np.concatenate([x[..., None], y[..., None], lab], -1).reshape(-1, 5)
    masses = np.concatenate([1 - shares.sum(0, keepdims=True), shares]).reshape(len(shares) + 1, -1).T
    return _Vertices(places.astype(np.float64), masses.astype(np.float64))


def _summed(values: Masses, index: NDArray[np.intp], count: int) -> Masses:
    """(count, C) sums of the rows of ``values`` (N, C) with the same ``index``."""
    return np.stack([np.bincount(index, column, count) for column in values.T], 1)


def _neighbors(masses: Masses, cells: NDArray[np.int64], offset: np.int64) -> Masses:
    """Return the masses of the cells at ``offset``, 0 for empty ones; ``cells`` ascending."""
    place = np.searchsorted(cells, cells + offset).clip(max=len(cells) - 1)
    there = cells[place] == cells + offset
    return np.where(there[:, None], masses[place], 0)


def _log_odds(pairs: NDArray[np.floating], kind: str, floor: float) -> NDArray[np.float64]:
    """Compute (objects, H, W) log-odds of (objects, 2, H, W) amounts for and against; ``floor`` is added to both."""
    most = MOST_LOG_ODDS[kind]
    return np.clip(np.log((pairs[:, 0] + floor) / (pairs[:, 1] + floor)), -most, most)


def _color_log_odds(lab: Lab, shares: Shares) -> NDArray[np.float64]:
    """Compute (objects, BINS^3) log-odds of each color on each object against the rest."""
    bins = _bins(lab).ravel()
    counts = np.array([[np.bincount(bins, part.ravel(), BINS**3) for part in (own, 1 - own)] for own in shares])
    smooth = gaussian_filter(counts.reshape(*counts.shape[:2], BINS, BINS, BINS), (0, 0, SPREAD, SPREAD, SPREAD))
    smooth = smooth.reshape(counts.shape) / np.maximum(counts.sum(-1, keepdims=True), 1)
    return _log_odds(smooth, "colour", floor=1e-5)


def _bins(lab: Lab) -> NDArray[np.int64]:
    """Compute (H, W) the bin of each pixel's color."""
    parts = ((lab - (0, -60, -60)) / (100, 120, 120) * BINS).astype(np.int64).clip(0, BINS - 1)
    return np.asarray((parts[..., 0] * BINS + parts[..., 1]) * BINS + parts[..., 2])


# -- soft masks --------------------------------------------------------------------------------------------------------

Shares = NDArray[np.float32]  # (objects, H, W) in [0, 1]


def shares_of(labels: Labels, ids: Sequence[int]) -> Shares:
    """Return 1 where the labels (H, W) are the object, else 0."""
    return np.stack([labels == class_id for class_id in ids]).astype(np.float32)


def labels_of(shares: Shares, ids: Sequence[int]) -> Labels:
    """Return (H, W) uint8: the object with the largest share, background where the rest has more."""
    best = shares.argmax(0)
    left_over = 1 - shares.sum(0)
    return np.where(shares.max(0) > left_over, np.asarray(ids, np.uint8)[best], 0).astype(np.uint8)


class Motion:
    """Dense optical flow between two frames (H, W, 3) uint8 RGB: OpenCV DIS, preset medium, on gray."""

    def __init__(self, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> None:
        self._before, self._after = before, after

    @cached_property
    def forward(self) -> NDArray[np.float32]:
        """(H, W, 2) pixels right and down from each pixel of ``before`` to where it is in ``after``."""
        return backward_flow(self._after, self._before)

    @cached_property
    def back(self) -> NDArray[np.float32]:
        """(H, W, 2) pixels right and down from each pixel of ``after`` to where it was in ``before``."""
        return backward_flow(self._before, self._after)

    def warped(self, shares: Shares) -> Shares:
        """Warp shares of ``before`` to ``after``; 0 where they would come from outside the frame."""
        return warped(shares, self.back, cv2.BORDER_CONSTANT)
