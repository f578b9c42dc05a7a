"""The region graph of a frame: made once, then every click is answered on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.regions.channels import lab_of, texture_of
from neural_seg_ros.regions.cut import CutGraph
from neural_seg_ros.regions.ensemble import ensemble
from neural_seg_ros.regions.histograms import histograms
from neural_seg_ros.regions.superpixels import superpixels

LAB_WEIGHTS = np.array([0.7, 1.2, 1.2], np.float32)
TEXTURE_WEIGHT = np.float32(0.5)
COLOUR_SPREAD = 4.0
TEXTURE_SPREAD = 5.0
# Two regions whose mean colours are this far apart in CIE Lab are certainly divided.
LARGE_DIFFERENCE = 30.0


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


def prepare_regions(image: NDArray[np.uint8]) -> Regions:
    """The region graph of an (h, w, 3) uint8 RGB image; once a frame, before any click."""
    lab = lab_of(image)
    ids = superpixels(image)
    count = int(ids.max()) + 1
    flat = ids.ravel()
    areas = np.bincount(flat, minlength=count).astype(np.float32)
    rows, columns = np.indices(ids.shape)
    centroids = np.stack([_mean(values, flat, areas) for values in (np.asarray(columns), np.asarray(rows))], axis=1)
    colours = np.stack([_mean(lab[..., channel], flat, areas) for channel in range(3)], axis=1)
    segmentations = ensemble(image)
    members = np.stack([_majority(segments, ids, count) for segments in segmentations])
    first, second = _touching_pixels(ids)
    edges, edge_of_pair = _edges(flat[first], flat[second], count)
    lengths = np.bincount(edge_of_pair, minlength=len(edges)).astype(np.float32)
    flattened = segmentations.reshape(len(segmentations), -1)
    divided = (flattened[:, first] != flattened[:, second]).mean(0)
    at_pixels = np.bincount(edge_of_pair, divided, minlength=len(edges)) / np.maximum(lengths, 1)
    of_regions = (members[:, edges[:, 0]] != members[:, edges[:, 1]]).mean(0)
    contrast = np.linalg.norm(colours[edges[:, 0]] - colours[edges[:, 1]], axis=1) / LARGE_DIFFERENCE
    strengths = ((at_pixels + of_regions + np.minimum(1, contrast)) / 3).astype(np.float32)
    colour = lab * LAB_WEIGHTS
    texture = np.concatenate([colour, TEXTURE_WEIGHT * texture_of(lab)], axis=-1)
    looks = histograms(colour, ids, count, COLOUR_SPREAD), histograms(texture, ids, count, TEXTURE_SPREAD)
    return Regions(ids, areas, centroids, edges, lengths, strengths, members, looks)


def _mean(values: NDArray[Any], flat: NDArray[np.int32], areas: NDArray[np.float32]) -> NDArray[np.float32]:
    return (np.bincount(flat, values.ravel(), minlength=len(areas)) / areas).astype(np.float32)


def _majority(segments: NDArray[np.int32], ids: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """The commonest segment (R,) in each region."""
    kinds = int(segments.max()) + 1
    votes = np.bincount((ids.astype(np.int64) * kinds + segments).ravel(), minlength=count * kinds)
    return np.asarray(votes.reshape(count, kinds).argmax(1), np.int32)


def _touching_pixels(ids: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Flat indices of all pairs of 4-neighbours that lie in different regions."""
    index = np.arange(ids.size).reshape(ids.shape)
    across, down = ids[:, :-1] != ids[:, 1:], ids[:-1] != ids[1:]
    first = np.concatenate([index[:, :-1][across], index[:-1][down]])
    return first, np.concatenate([index[:, 1:][across], index[1:][down]])


def _edges(
    first: NDArray[np.int32], second: NDArray[np.int32], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct pairs (E, 2) of regions among pairs of touching pixels, and the edge of every pair."""
    key = np.minimum(first, second).astype(np.int64) * count + np.maximum(first, second)
    keys, edge_of_pair = np.unique(key, return_inverse=True)
    return np.stack([keys // count, keys % count], axis=1), edge_of_pair.ravel()
