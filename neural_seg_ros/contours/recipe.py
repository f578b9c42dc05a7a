"""The contours of an image from regions: cues, a spectral step over the whole image, and a hierarchy."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.morphology import thin

from neural_seg_ros.contours.affinity import PixelFeatures, affinities, encode, spectral_strength
from neural_seg_ros.contours.arcs import Arcs, arcs_of, find_arcs
from neural_seg_ros.contours.detected import Contours
from neural_seg_ros.contours.gradients import gradients
from neural_seg_ros.contours.hierarchy import Hierarchy, by_rarity, merge, transfer
from neural_seg_ros.images.arrays import MIN_SIDE, field_shape, resize_image
from neural_seg_ros.regions.ensemble import FEW_MEMBERS, MEMBERS, Ensemble

# Scans and cameras leave frames around images, which would be the strongest contours.
FRAME_WIDTH_PX = 3
# A map is divided by this percentile of its values, and by no less than the values below.
FULL_PERCENTILE = 99.5
MIN_FULL_GRADIENT, MIN_FULL_AGREEMENT = 0.02, 0.1
AGREEMENT_SIGMA_PX = 1.2
SURROUND_SIGMA_PX = 8.0


@dataclass(frozen=True)
class Recipe:
    """The amount of work for contours.

    ensemble_size  segmentations of the ensemble
    features       pixel features, each with a spectral step of its own
    scales         (size relative to the image, weight) of further hierarchies, found by FAST; the image itself weighs 1
    rarity         strengthen contours where few others are as strong
    """

    ensemble_size: int
    features: tuple[PixelFeatures, ...]
    scales: tuple[tuple[float, float], ...] = ()
    rarity: bool = False


FAST = Recipe(FEW_MEMBERS, (PixelFeatures(texture=0.0, codes=64),))
BEST = Recipe(
    MEMBERS,
    (
        PixelFeatures(),
        PixelFeatures(texture=0.0),
        PixelFeatures(texture=0.0, blur=2.0, bandwidth=0.4, codes=64),
    ),
    scales=((1.4, 1.0), (0.7, 0.5)),
    rarity=True,
)


def region_contours(image: NDArray[np.uint8], recipe: Recipe, size: int, seed: int) -> Contours:
    """Find the contours of an (H, W, 3) uint8 RGB image, with its longer side at ``size`` pixels or less."""
    height, width = image.shape[:2]
    small = resize_image(image, *field_shape(height, width, size, MIN_SIDE))
    frame = FRAME_WIDTH_PX if min(small.shape[:2]) >= 8 * FRAME_WIDTH_PX else 0
    inner = np.ascontiguousarray(small[frame : small.shape[0] - frame, frame : small.shape[1] - frame])
    arcs, hierarchy = find_hierarchy(inner, recipe, seed)
    framed = np.pad(arcs.ids, frame, mode="edge")
    ids = np.asarray(cv2.resize(framed, (width, height), interpolation=cv2.INTER_NEAREST), np.int32)
    return _drawn(arcs_of(ids), hierarchy)


def find_hierarchy(image: NDArray[np.uint8], recipe: Recipe, seed: int = 0) -> tuple[Arcs, Hierarchy]:
    """Return the arcs of an (h, w, 3) uint8 RGB image and the hierarchy of the regions between them."""
    arcs, strengths = _find_strengths(image, recipe, seed)
    for scale, weight in recipe.scales:
        strengths = strengths + weight * transfer(*find_hierarchy(_scaled(image, scale), FAST, seed), arcs)
    hierarchy = merge(image, arcs, _normalized(strengths, 1.0))
    return arcs, by_rarity(hierarchy, arcs) if recipe.rarity else hierarchy


def _find_strengths(image: NDArray[np.uint8], recipe: Recipe, seed: int) -> tuple[Arcs, NDArray[np.float64]]:
    """Return the arcs of an (h, w, 3) uint8 RGB image and their strengths (E,) in [0, 1] before anything is merged."""
    tensors = gradients(image)
    agreement = _agreement(Ensemble(image).first(recipe.ensemble_size))
    ridges = _normalized(tensors.strongest(), MIN_FULL_GRADIENT) + _normalized(agreement, MIN_FULL_AGREEMENT)
    arcs = find_arcs(np.asarray(ridges / 2, np.float32))
    gradient = arcs.mean(tensors.along(*arcs.pairs, arcs.normals).mean(0))
    local = _normalized(gradient, MIN_FULL_GRADIENT) + _normalized(arcs.of_map(agreement), MIN_FULL_AGREEMENT)
    local = _normalized(_without_texture(arcs, _normalized(local, 1.0)), 1.0)
    contour = arcs.drawn(local)
    spectral = np.zeros(len(local))
    for features in recipe.features:
        joined = affinities(arcs.ids, arcs.count, encode(image, features, seed), contour)
        spectral += _normalized(spectral_strength(joined, arcs.edges), MIN_FULL_AGREEMENT)
    return arcs, _normalized(local + _normalized(spectral, MIN_FULL_AGREEMENT), 1.0)


def _scaled(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    height, width = (max(MIN_SIDE, round(side * scale)) for side in image.shape[:2])
    # Linear interpolation would blur edges and make gradients step.
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)


def _without_texture(arcs: Arcs, strengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Subtract the surrounding strengths from ``strengths`` (E,): many lines are texture (Grigorescu et al. 2004)."""
    around = cv2.GaussianBlur(arcs.drawn(strengths), (0, 0), SURROUND_SIGMA_PX)
    return np.maximum(0, strengths - arcs.of_map(around))


def _normalized(values: NDArray[np.floating], min_full: float) -> NDArray[np.float64]:
    """Divide ``values`` by their FULL_PERCENTILE, or by ``min_full`` if that is more, into [0, 1]."""
    full = np.percentile(values, FULL_PERCENTILE) if values.size else 0.0
    return np.asarray(np.clip(values / max(float(full), min_full), 0, 1), np.float64)


def _agreement(segmentations: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return the share (h, w) of segmentations (M, h, w) that divide a pixel from its neighbors, slightly blurred."""
    share = np.zeros(segmentations.shape[1:], np.float32)
    for ids in segmentations:
        across, down = ids[:, 1:] != ids[:, :-1], ids[1:] != ids[:-1]
        share[:, 1:] += across
        share[:, :-1] += across
        share[1:] += down
        share[:-1] += down
    share = np.minimum(share / (2 * len(segmentations)), 1)
    return np.asarray(cv2.GaussianBlur(share, (0, 0), AGREEMENT_SIGMA_PX), np.float32)


def _drawn(arcs: Arcs, hierarchy: Hierarchy) -> Contours:
    """Draw a hierarchy on its arcs at full size."""
    drawn = arcs.drawn(hierarchy.arcs)
    wide = np.asarray(cv2.dilate(drawn, np.ones((3, 3), np.uint8)), np.float32)
    return Contours(wide, lambda: _thinned(drawn), lambda threshold: hierarchy.segments(threshold)[arcs.ids])


def _thinned(drawn: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(thin(drawn > 0), drawn, 0).astype(np.float32)
