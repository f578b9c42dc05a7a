"""The region graph: superpixels with their appearance, and edges where two of them touch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import slic

from neural_seg_ros.regions.cuts import CutGraph
from neural_seg_ros.regions.ensemble import MEMBERS, Ensemble
from neural_seg_ros.regions.pixel_features import histograms, lab_of, texture_of

MAX_SUPERPIXELS = 2000
SLIC_COMPACTNESS = 0.1
SLIC_ITERATIONS = 5
LAB_WEIGHTS = np.array([0.7, 1.2, 1.2], np.float32)
TEXTURE_WEIGHT = np.float32(0.5)
# Smoothing of the histograms, in units of their channels.
COLOR_SPREAD = 4.0
TEXTURE_SPREAD = 5.0
# Two superpixels whose mean colors are this far apart in CIE Lab are certainly divided.
LARGE_LAB_DIFFERENCE = 30.0
PixelPairs = tuple[NDArray[np.int64], NDArray[np.int64]]  # flat indices


@dataclass(frozen=True)
class Regions:
    """The region graph of an (h, w) frame: R superpixels, joined by E edges where two of them touch.

    ids          (h, w) int32 superpixel of every pixel, in [0, R)
    areas        (R,) float32 in pixels
    centroids    (R, 2) float32 x, y in pixels
    edges        (E, 2) int64 superpixels i < j
    lengths      (E,) float32 length of the common boundary in pixels
    strengths    (E,) float32 in [0, 1]: confidence that the frame is divided there
    members      (M, R) int32 segment of every superpixel in each member of the ensemble
    appearances  histograms (R, bins) float32, each row sums to 1: of color, and of color with texture
    """

    ids: NDArray[np.int32]
    areas: NDArray[np.float32]
    centroids: NDArray[np.float32]
    edges: NDArray[np.int64]
    lengths: NDArray[np.float32]
    strengths: NDArray[np.float32]
    members: NDArray[np.int32]
    appearances: tuple[NDArray[np.float32], NDArray[np.float32]]

    @property
    def count(self) -> int:
        """The number of superpixels, R."""
        return len(self.areas)

    @cached_property
    def cuts(self) -> CutGraph:
        """The graph in the layout of minimum cuts."""
        return CutGraph(self.edges, self.count)


class RegionFinder:
    """The computation of one image's region graph, from a part of the ensemble first and from all of it later."""

    def __init__(self, image: NDArray[np.uint8]) -> None:
        """Take an image, (h, w, 3) uint8 RGB."""
        self._image = image
        self._ensemble = Ensemble(image)

    def regions(self, members: int = MEMBERS) -> Regions:
        """Compute the graph with edges from the first ``members`` of the ensemble; all else is always the same."""
        # Neither needs the other, and both work without Python's lock.
        with ThreadPoolExecutor(1, "ensemble") as thread:
            dividing = thread.submit(self._ensemble.first, members)
            base, (first, second), edge_of_pair = self._ground
            segmentations = dividing.result()
        edges = base.edges
        majorities = np.stack([_majority(segments, base.ids, base.count) for segments in segmentations])
        flattened = segmentations.reshape(len(segmentations), -1)
        divided = (flattened[:, first] != flattened[:, second]).mean(0)
        at_pixels = np.bincount(edge_of_pair, divided, minlength=len(edges)) / np.maximum(base.lengths, 1)
        of_regions = (majorities[:, edges[:, 0]] != majorities[:, edges[:, 1]]).mean(0)
        # The mean of three measures: of pixels, of superpixels, and the color contrast that is in ``base``.
        strengths = ((at_pixels + of_regions + base.strengths) / 3).astype(np.float32)
        return replace(base, strengths=strengths, members=majorities)

    @cached_property
    def _ground(self) -> tuple[Regions, PixelPairs, NDArray[np.int64]]:
        """The graph without an ensemble, all touching pixels of two superpixels as pairs, and the edge of each pair."""
        lab = lab_of(self._image)
        ids = superpixels(self._image)
        count = int(ids.max()) + 1
        flat = ids.ravel()
        areas = np.bincount(flat, minlength=count).astype(np.float32)
        rows, columns = np.indices(ids.shape)
        centroids = np.stack([_mean(values, flat, areas) for values in (np.asarray(columns), np.asarray(rows))], axis=1)
        colors = np.stack([_mean(lab[..., channel], flat, areas) for channel in range(3)], axis=1)
        pairs = touching_pixels(ids)
        edges, edge_of_pair = edges_of(flat[pairs[0]], flat[pairs[1]], count)
        lengths = np.bincount(edge_of_pair, minlength=len(edges)).astype(np.float32)
        contrast = np.linalg.norm(colors[edges[:, 0]] - colors[edges[:, 1]], axis=1) / LARGE_LAB_DIFFERENCE
        appearances = appearance_histograms(lab, texture_of(lab), ids, count)
        no_members = np.empty((0, count), np.int32)
        base = Regions(ids, areas, centroids, edges, lengths, np.minimum(1, contrast), no_members, appearances)
        return base, pairs, edge_of_pair


def prepare_regions(image: NDArray[np.uint8]) -> Regions:
    """Compute the region graph of an (h, w, 3) uint8 RGB image from the whole ensemble."""
    return RegionFinder(image).regions()


def superpixels(image: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Compute SLIC superpixels of an (h, w, 3) uint8 RGB image.

    Returns ids (h, w) int32, 0, 1, ... without gaps, each connected.
    """
    smooth = cv2.bilateralFilter(image, 7, 25, 5)
    count = min(MAX_SUPERPIXELS, max(1, image.shape[0] * image.shape[1] // 4))
    ids = slic(
        lab_of(smooth) / 10,
        n_segments=count,
        compactness=SLIC_COMPACTNESS,
        max_num_iter=SLIC_ITERATIONS,
        convert2lab=False,
        start_label=0,
    )
    return np.unique(ids, return_inverse=True)[1].reshape(ids.shape).astype(np.int32)


def appearance_histograms(
    lab: NDArray[np.float32], texture: NDArray[np.float32], ids: NDArray[np.int32], count: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute histograms (count, bins) float32 of superpixels (h, w): of color, and of color with texture.

    lab: (h, w, 3) CIE Lab; texture: (h, w, 6) as ``texture_of`` computes it from ``lab``
    """
    color = lab * LAB_WEIGHTS
    both = np.concatenate([color, TEXTURE_WEIGHT * texture], axis=-1)
    return histograms(color, ids, count, COLOR_SPREAD), histograms(both, ids, count, TEXTURE_SPREAD)


def _mean(values: NDArray[Any], flat: NDArray[np.int32], areas: NDArray[np.float32]) -> NDArray[np.float32]:
    return (np.bincount(flat, values.ravel(), minlength=len(areas)) / areas).astype(np.float32)


def _majority(segments: NDArray[np.int32], ids: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """Find the most frequent segment (R,) in each superpixel."""
    kinds = int(segments.max()) + 1
    votes = np.bincount((ids.astype(np.int64) * kinds + segments).ravel(), minlength=count * kinds)
    return np.asarray(votes.reshape(count, kinds).argmax(1), np.int32)


def touching_pixels(ids: NDArray[np.int32]) -> PixelPairs:
    """Find all pairs of 4-neighbors of ids (h, w) that lie in different superpixels, as flat indices."""
    index = np.arange(ids.size).reshape(ids.shape)
    across, down = ids[:, :-1] != ids[:, 1:], ids[:-1] != ids[1:]
    first = np.concatenate([index[:, :-1][across], index[:-1][down]])
    return first, np.concatenate([index[:, 1:][across], index[1:][down]])


def edges_of(
    first: NDArray[np.int32], second: NDArray[np.int32], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the distinct pairs (E, 2), i < j, of superpixels among touching pixels, and the edge of every pair."""
    key = np.minimum(first, second).astype(np.int64) * count + np.maximum(first, second)
    keys, edge_of_pair = np.unique(key, return_inverse=True)
    return np.stack([keys // count, keys % count], axis=1), edge_of_pair.ravel()
