"""The region graph of a frame: made once, then every click is answered on it."""

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

COUNT = 2000
COMPACTNESS = 0.1
ITERATIONS = 5


def superpixels(image: NDArray[np.uint8]) -> NDArray[np.int32]:
    """SLIC superpixels of an (h, w, 3) uint8 RGB image: ids (h, w) int32, 0, 1, ... without gaps, each connected."""
    smooth = cv2.bilateralFilter(image, 7, 25, 5)
    count = min(COUNT, max(1, image.shape[0] * image.shape[1] // 4))
    ids = slic(
        lab_of(smooth) / 10,
        n_segments=count,
        compactness=COMPACTNESS,
        max_num_iter=ITERATIONS,
        convert2lab=False,
        start_label=0,
    )
    return np.unique(ids, return_inverse=True)[1].reshape(ids.shape).astype(np.int32)


LAB_WEIGHTS = np.array([0.7, 1.2, 1.2], np.float32)
TEXTURE_WEIGHT = np.float32(0.5)
COLOR_SPREAD = 4.0
TEXTURE_SPREAD = 5.0
# Two regions whose mean colours are this far apart in CIE Lab are certainly divided.
LARGE_DIFFERENCE = 30.0
PixelPairs = tuple[NDArray[np.int64], NDArray[np.int64]]  # flat indices


@dataclass(frozen=True)
class Regions:
    """R connected regions of an (h, w) frame, joined by E edges where two of them touch.

    ids        (h, w) int32 region of every pixel, in [0, R)
    areas      (R,) float32 in pixels
    centroids  (R, 2) float32 x, y in pixels
    edges      (E, 2) int64 regions i < j
    lengths    (E,) float32 length of the common border in pixels
    strengths  (E,) float32 how surely the frame is divided there, in [0, 1]
    members    (M, R) int32 segment of every region in each segmentation of the ensemble
    looks      histograms (R, bins) float32, each row sums to 1: of colour, and of colour with texture
    """

    ids: NDArray[np.int32]
    areas: NDArray[np.float32]
    centroids: NDArray[np.float32]
    edges: NDArray[np.int64]
    lengths: NDArray[np.float32]
    strengths: NDArray[np.float32]
    members: NDArray[np.int32]
    looks: tuple[NDArray[np.float32], NDArray[np.float32]]

    @property
    def count(self) -> int:
        """R."""
        return len(self.areas)

    @cached_property
    def cuts(self) -> CutGraph:
        """The regions and their edges, laid out for minimum cuts."""
        return CutGraph(self.edges, self.count)


class RegionFinder:
    """Finds the regions of one image, with as many segmentations as there is time for; more can be added later."""

    def __init__(self, image: NDArray[np.uint8]) -> None:
        """image: (h, w, 3) uint8 RGB."""
        self._image = image
        self._ensemble = Ensemble(image)

    def regions(self, members: int = MEMBERS) -> Regions:
        """The region graph as the first ``members`` of the ensemble divide it; ids, edges and looks stay the same."""
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
        # As strong as the pixels, the regions and the colours say, which is all that the base knows.
        strengths = ((at_pixels + of_regions + base.strengths) / 3).astype(np.float32)
        return replace(base, strengths=strengths, members=majorities)

    @cached_property
    def _ground(self) -> tuple[Regions, PixelPairs, NDArray[np.int64]]:
        """The regions without an ensemble, all pairs of touching pixels of two regions, and the edge of every pair."""
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
        contrast = np.linalg.norm(colors[edges[:, 0]] - colors[edges[:, 1]], axis=1) / LARGE_DIFFERENCE
        looks = looks_of(lab, texture_of(lab), ids, count)
        nobody = np.empty((0, count), np.int32)
        base = Regions(ids, areas, centroids, edges, lengths, np.minimum(1, contrast), nobody, looks)
        return base, pairs, edge_of_pair


def prepare_regions(image: NDArray[np.uint8]) -> Regions:
    """The region graph of an (h, w, 3) uint8 RGB image; once a frame, before any click."""
    return RegionFinder(image).regions()


def looks_of(
    lab: NDArray[np.float32], texture: NDArray[np.float32], ids: NDArray[np.int32], count: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Histograms (count, bins) float32 of regions (h, w) in Lab (h, w, 3): of colour, and of colour with texture.

    ``texture`` is what ``texture_of`` says of the Lab image.
    """
    color = lab * LAB_WEIGHTS
    both = np.concatenate([color, TEXTURE_WEIGHT * texture], axis=-1)
    return histograms(color, ids, count, COLOR_SPREAD), histograms(both, ids, count, TEXTURE_SPREAD)


def _mean(values: NDArray[Any], flat: NDArray[np.int32], areas: NDArray[np.float32]) -> NDArray[np.float32]:
    return (np.bincount(flat, values.ravel(), minlength=len(areas)) / areas).astype(np.float32)


def _majority(segments: NDArray[np.int32], ids: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """The commonest segment (R,) in each region."""
    kinds = int(segments.max()) + 1
    votes = np.bincount((ids.astype(np.int64) * kinds + segments).ravel(), minlength=count * kinds)
    return np.asarray(votes.reshape(count, kinds).argmax(1), np.int32)


def touching_pixels(ids: NDArray[np.int32]) -> PixelPairs:
    """All pairs of 4-neighbours of ids (h, w) that lie in different regions, as flat indices."""
    index = np.arange(ids.size).reshape(ids.shape)
    across, down = ids[:, :-1] != ids[:, 1:], ids[:-1] != ids[1:]
    first = np.concatenate([index[:, :-1][across], index[:-1][down]])
    return first, np.concatenate([index[:, 1:][across], index[1:][down]])


def edges_of(
    first: NDArray[np.int32], second: NDArray[np.int32], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct pairs (E, 2), i < j, of regions among pairs of touching pixels, and the edge of every pair."""
    key = np.minimum(first, second).astype(np.int64) * count + np.maximum(first, second)
    keys, edge_of_pair = np.unique(key, return_inverse=True)
    return np.stack([keys // count, keys % count], axis=1), edge_of_pair.ravel()
