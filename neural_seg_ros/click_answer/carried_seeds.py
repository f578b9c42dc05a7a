"""What is known of a frame from earlier ones: seeds beside its own annotations, and pixels that a correction keeps."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from neural_seg_ros.annotations.implied import AnnotationTargets
from neural_seg_ros.click_answer.estimate import Estimate
from neural_seg_ros.click_answer.graph import GraphAnswer
from neural_seg_ros.images.arrays import likeliest, resize_channels
from neural_seg_ros.regions.graph import Regions

# Counts as annotated for the region graph, and stays below the user's own annotations.
CARRIED_SEED_WEIGHT = 0.5
# Seeds need at least this probability, and this distance to the edge of their class.
MIN_PROBABILITY = 0.8
MIN_INSIDE_PX = 3
# Spacing of the seeds: enough to hold a class, few enough to let a new click move its boundary.
SPACING_PX = 6
# No seeds around an annotation that contradicts them, within this share of the longer side.
RELEASE_RADIUS_SHARE = 0.12


def recall(drawn: AnnotationTargets, carried: Estimate) -> AnnotationTargets:
    """Return ``drawn`` with a sparse grid of seeds where ``carried`` is sure and no annotation of this frame is near.

    carried: estimate of this frame from before its first annotation, at any size, in the channel order of ``drawn``
    """
    height, width = drawn.labels.shape
    probabilities = resize_channels(carried.probabilities, height, width, cv2.INTER_LINEAR)
    labels, share = likeliest(probabilities)
    grid = np.zeros((height, width), np.bool_)
    grid[SPACING_PX // 2 :: SPACING_PX, SPACING_PX // 2 :: SPACING_PX] = True
    keep = grid & (share > MIN_PROBABILITY) & (drawn.weights == 0)
    for channel in np.unique(labels):
        keep &= (labels != channel) | (_inside(labels == channel) & ~contradicted(drawn, int(channel)))
    for channel, where in drawn.outside.items():
        keep &= (labels != channel) | ~where
    return replace(
        drawn,
        labels=np.where(keep, labels, drawn.labels),
        weights=np.where(keep, np.float32(CARRIED_SEED_WEIGHT), drawn.weights),
    )


def _inside(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of a mask (h, w) at least MIN_INSIDE_PX from its outside; the frame's border is no outside."""
    padded = np.pad(mask.astype(np.uint8), 1, constant_values=1)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1] >= MIN_INSIDE_PX)


def contradicted(drawn: AnnotationTargets, channel: int) -> NDArray[np.bool_]:
    """Return (h, w) True near an annotation of this frame that is not of ``channel``."""
    other = (drawn.weights == 1) & (drawn.labels != channel)
    if not other.any():
        return np.zeros(other.shape, np.bool_)
    distance = cv2.distanceTransform((~other).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(distance < RELEASE_RADIUS_SHARE * max(other.shape))


def keep_elsewhere(
    regions: Regions, answer: GraphAnswer, base: Estimate, previous: NDArray[np.int64], drawn: NDArray[np.bool_]
) -> GraphAnswer:
    """Return ``answer`` with what the tracker knew, pixel by pixel, except around the annotations of this frame.

    A correction changes the connected superpixels that get another class with it. All others keep ``base``.

    previous: (R,) channel of every superpixel before; drawn: (h, w) True where the user annotated this frame
    """
    a, b = regions.edges.T
    changed = answer.classes != previous
    same = changed[a] & changed[b] & (answer.classes[a] == answer.classes[b])
    graph = coo_matrix((np.ones(same.sum()), (a[same], b[same])), shape=(regions.count, regions.count))
    number, component = connected_components(graph, directed=False)
    annotated = np.unique(regions.ids[drawn])
    touched = np.zeros(number, np.bool_)
    touched[component[annotated]] = True
    here = touched[component]
    height, width = regions.ids.shape
    full = resize_channels(base.probabilities, height, width, cv2.INTER_LINEAR)
    known = np.zeros_like(answer.probabilities)
    known[: len(full)] = full[: len(known)]
    probabilities = np.where(here[regions.ids], answer.probabilities, known)
    return replace(answer, probabilities=probabilities, classes=np.where(here, answer.classes, previous))
