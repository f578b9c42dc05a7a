"""Segments from small regions that are grown, split or merged."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import graph, segmentation
from skimage.measure import label
from skimage.morphology import h_minima, thin

from neural_seg_ros.contours.detected import Contours
from neural_seg_ros.evaluation.contours.images import borders_of
from neural_seg_ros.evaluation.contours.peers.segmentation import contours_of, pieces_of
from neural_seg_ros.regions.pixel_features import lab_of

# Tuned on BSDS500's validation images; colors in units of Lab.
SCALE, SMALLEST = 400, 300
SUPERPIXELS, COMPACTNESS = 400, 10
LEVELS, STEP = 20, 2.0
SIMILAR, LEAST_SIMILAR, CUT, CUTS = 20.0, 1e-6, 0.005, 10
SIGMA, DEPTH = 2.0, 2.0
SPREAD, DIFFERENCE, SIDE = 5.0, 15.0, 4
LEAST = 300


def felzenszwalb(image: NDArray[np.uint8]) -> Contours:
    """Segment by scikit-image's felzenszwalb (Efficient graph-based image segmentation, IJCV 2004)."""
    return contours_of(segmentation.felzenszwalb(image, SCALE, sigma=0.8, min_size=SMALLEST))


def watershed(image: NDArray[np.uint8]) -> Contours:
    """Segment by scikit-image's watershed of the gradient in blurred Lab (Meyer: Topographic distance and
    watershed lines, 1994).
    """
    lab = cv2.GaussianBlur(lab_of(image), (0, 0), SIGMA)
    slopes = [cv2.Sobel(lab, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0)]
    gradient = np.sqrt(np.square(slopes).sum((0, -1)))
    return contours_of(segmentation.watershed(gradient, label(h_minima(gradient, DEPTH))))


def ncut(image: NDArray[np.uint8]) -> Contours:
    """Segment by scikit-image's normalized cuts of SLIC superpixels (Shi, Malik: Normalized cuts, PAMI 2000)."""
    superpixels, lab = _superpixels(image)
    similarity = graph.rag_mean_color(lab, superpixels, mode="similarity", sigma=SIMILAR)
    for *_, edge in similarity.edges(data=True):
        # Where the graph falls apart, which cut is found would be a matter of the machine's rounding.
        edge["weight"] = max(edge["weight"], LEAST_SIMILAR)
    return contours_of(graph.cut_normalized(superpixels, similarity, CUT, CUTS, rng=0))


def slic_rag(image: NDArray[np.uint8]) -> Contours:
    """Merge SLIC superpixels of most similar mean color; a hierarchy of 20 differences.

    Achanta et al.: SLIC superpixels, PAMI 2012. A border is as strong as the share of the levels that have it.
    """
    superpixels, lab = _superpixels(image)
    neighbors = graph.rag_mean_color(lab, superpixels)
    levels = [_merged(superpixels, neighbors, STEP * number).astype(np.int32) for number in range(1, LEVELS + 1)]
    strength = np.asarray(np.mean([thin(borders_of(ids)) for ids in levels], axis=0), np.float32)
    return Contours(strength, lambda: strength, lambda threshold: levels[min(int(threshold * LEVELS), LEVELS - 1)])


def split_merge(image: NDArray[np.uint8]) -> Contours:
    """Split into quarters until colors spread little, then merge neighbors of similar mean color.

    Horowitz, Pavlidis: Picture segmentation by a tree traversal algorithm, 1976.
    """
    lab = lab_of(image)
    blocks = np.zeros(lab.shape[:2], np.int32)
    waiting = [(0, lab.shape[0], 0, lab.shape[1])]
    count = 0
    while waiting:
        top, bottom, left, right = waiting.pop()
        block = lab[top:bottom, left:right]
        if min(block.shape[:2]) >= 2 * SIDE and block.std((0, 1)).max() > SPREAD:
            middle, center = (top + bottom) // 2, (left + right) // 2
            halves = ((left, center), (center, right))
            waiting += [(*rows, *columns) for rows in ((top, middle), (middle, bottom)) for columns in halves]
        else:
            blocks[top:bottom, left:right] = count
            count += 1
    return contours_of(pieces_of(_merged(blocks, graph.rag_mean_color(lab, blocks), DIFFERENCE), LEAST))


def _superpixels(image: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Compute SLIC superpixels (H, W), and Lab."""
    return segmentation.slic(image, SUPERPIXELS, COMPACTNESS, start_label=0), lab_of(image)


def _merged(regions: NDArray[Any], neighbors: Any, difference: float) -> NDArray[Any]:
    """Merge regions (H, W), the most similar first, until all neighbors differ more in mean color.

    ``neighbours``, the graph of ``regions``, is changed; merging goes on from it with a greater difference.
    """
    return np.asarray(
        graph.merge_hierarchical(
            regions,
            neighbors,
            thresh=difference,
            rag_copy=False,
            in_place_merge=True,
            merge_func=_join,
            weight_func=_difference,
        )
    )


def _join(neighbors: Any, gone: int, kept: int) -> None:
    for key in ("total color", "pixel count"):
        neighbors.nodes[kept][key] = neighbors.nodes[kept][key] + neighbors.nodes[gone][key]


def _difference(neighbors: Any, kept: int, gone: int, other: int) -> dict[str, float]:
    """Compute the weight of an edge of the union of ``gone`` and ``kept``; ``kept`` holds it already."""
    first, second = (
        neighbors.nodes[node]["total color"] / neighbors.nodes[node]["pixel count"] for node in (kept, other)
    )
    return {"weight": float(np.linalg.norm(first - second))}
