"""The contours of an image from regions: cues, a spectral step over the whole image, and a hierarchy."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.morphology import thin

from neural_seg_ros.contours.affinity import Look, affinities, coded, spectral_strength
from neural_seg_ros.contours.arcs import Arcs, arcs_of, find_arcs
from neural_seg_ros.contours.detected import Contours
from neural_seg_ros.contours.gradients import gradients
from neural_seg_ros.contours.hierarchy import Hierarchy, by_rarity, carried, merge
from neural_seg_ros.images.arrays import MIN_SIDE, field_shape, resize_image
from neural_seg_ros.regions.ensemble import FEW_MEMBERS, MEMBERS, Ensemble

# Scans and cameras leave frames around images: the strongest contours there are, and none that anybody means.
FRAME = 3
FULL_PERCENTILE = 99.5
# Nothing below this is made to look like a contour because the rest of the image is weaker still.
LEAST_GRADIENT, LEAST_AGREEMENT = 0.02, 0.1
AGREEMENT_SIGMA = 1.2
SURROUND_SIGMA = 8.0


@dataclass(frozen=True)
class Recipe:
    """The amount of work for contours.

    members  segmentations of the ensemble
    looks    ways to compare pixels, each with a spectral step of its own
    scales   sizes of the image whose hierarchies, found by FAST, count as well, and how much beside a weight of 1
    rarity   whether a contour is stronger where few others are
    """

    members: int
    looks: tuple[Look, ...]
    scales: tuple[tuple[float, float], ...] = ()
    rarity: bool = False


FAST = Recipe(FEW_MEMBERS, (Look(texture=0.0, codes=64),))
BEST = Recipe(
    MEMBERS,
    (Look(), Look(texture=0.0), Look(texture=0.0, blur=2.0, bandwidth=0.4, codes=64)),
    scales=((1.4, 1.0), (0.7, 0.5)),
    rarity=True,
)


def region_contours(image: NDArray[np.uint8], recipe: Recipe, size: int, seed: int) -> Contours:
    """Find the contours of an (H, W, 3) uint8 RGB image, with its longer side at ``size`` pixels or less."""
    height, width = image.shape[:2]
    small = resize_image(image, *field_shape(height, width, size, MIN_SIDE))
    frame = FRAME if min(small.shape[:2]) >= 8 * FRAME else 0
    inner = np.ascontiguousarray(small[frame : small.shape[0] - frame, frame : small.shape[1] - frame])
    arcs, hierarchy = find_hierarchy(inner, recipe, seed)
    framed = np.pad(arcs.ids, frame, mode="edge")
    ids = np.asarray(cv2.resize(framed, (width, height), interpolation=cv2.INTER_NEAREST), np.int32)
    return _drawn(arcs_of(ids), hierarchy)


def find_hierarchy(image: NDArray[np.uint8], recipe: Recipe, seed: int = 0) -> tuple[Arcs, Hierarchy]:
    """Return the arcs of an (h, w, 3) uint8 RGB image and the hierarchy of the regions between them."""
    arcs, strengths = _find_strengths(image, recipe, seed)
    for scale, weight in recipe.scales:
        strengths = strengths + weight * carried(*find_hierarchy(_scaled(image, scale), FAST, seed), arcs)
    hierarchy = merge(image, arcs, _normalized(strengths, 1.0))
    return arcs, by_rarity(hierarchy, arcs) if recipe.rarity else hierarchy


def _find_strengths(image: NDArray[np.uint8], recipe: Recipe, seed: int) -> tuple[Arcs, NDArray[np.float64]]:
    """Return the arcs of an (h, w, 3) uint8 RGB image and their strengths (E,) in [0, 1] before anything is merged."""
    tensors = gradients(image)
    agreement = _agreement(Ensemble(image).first(recipe.members))
    ridges = _normalized(tensors.strongest(), LEAST_GRADIENT) + _normalized(agreement, LEAST_AGREEMENT)
    arcs = find_arcs(np.asarray(ridges / 2, np.float32))
    gradient = arcs.mean(tensors.along(*arcs.pairs, arcs.normals).mean(0))
    local = _normalized(gradient, LEAST_GRADIENT) + _normalized(arcs.of_map(agreement), LEAST_AGREEMENT)
    local = _normalized(_without_texture(arcs, _normalized(local, 1.0)), 1.0)
    contour = arcs.drawn(local)
    spectral = np.zeros(len(local))
    for look in recipe.looks:
        joined = affinities(arcs.ids, arcs.count, coded(image, look, seed), contour)
        spectral += _normalized(spectral_strength(joined, arcs.edges), LEAST_AGREEMENT)
    return arcs, _normalized(local + _normalized(spectral, LEAST_AGREEMENT), 1.0)


def _scaled(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    height, width = (max(MIN_SIDE, round(side * scale)) for side in image.shape[:2])
    # What is linear between two pixels has edges that blur and gradients that step.
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)


def _without_texture(arcs: Arcs, strengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Subtract the surrounding strengths from ``strengths`` (E,): many lines are texture (Grigorescu et al. 2004)."""
    around = cv2.GaussianBlur(arcs.drawn(strengths), (0, 0), SURROUND_SIGMA)
    return np.maximum(0, strengths - arcs.of_map(around))


def _normalized(values: NDArray[np.floating], least: float) -> NDArray[np.float64]:
    """Divide ``values`` by their FULL_PERCENTILE, or by ``least`` if that is more, into [0, 1]."""
    full = np.percentile(values, FULL_PERCENTILE) if values.size else 0.0
    return np.asarray(np.clip(values / max(float(full), least), 0, 1), np.float64)


def _agreement(segmentations: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return the share (h, w) of segmentations (M, h, w) that divide a pixel from its neighbours, slightly blurred."""
    share = np.zeros(segmentations.shape[1:], np.float32)
    for ids in segmentations:
        across, down = ids[:, 1:] != ids[:, :-1], ids[1:] != ids[:-1]
        share[:, 1:] += across
        share[:, :-1] += across
        share[1:] += down
        share[:-1] += down
    share = np.minimum(share / (2 * len(segmentations)), 1)
    return np.asarray(cv2.GaussianBlur(share, (0, 0), AGREEMENT_SIGMA), np.float32)


def _drawn(arcs: Arcs, hierarchy: Hierarchy) -> Contours:
    """Return the hierarchy at full size, whose arcs are those that it was made of."""
    drawn = arcs.drawn(hierarchy.arcs)
    wide = np.asarray(cv2.dilate(drawn, np.ones((3, 3), np.uint8)), np.float32)
    return Contours(wide, lambda: _thinned(drawn), lambda threshold: hierarchy.segments(threshold)[arcs.ids])


def _thinned(drawn: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(thin(drawn > 0), drawn, 0).astype(np.float32)
