"""Annotations at working resolution, with the priors and the other class that they imply."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from neural_seg_ros.annotations.rasterize import (
    NOTHING,
    bounding_boxes,
    close_outlines,
    outlines,
    outside_boxes,
    rasterize,
)
from neural_seg_ros.annotations.shapes import Annotation, Box, Click, classes_of
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.images.arrays import resize_image


@dataclass(frozen=True)
class AnnotationMark:
    """One annotation: the channels it names, and the pixel (x, y) of a click; None for other shapes."""

    annotation: Annotation
    channels: tuple[int, ...]
    pixel: tuple[int, int] | None


@dataclass(frozen=True)
class BoxTarget:
    """A bounding box at some size.

    channel  of the object
    pixels   (rows, columns) of the box
    rest     channel of the other pixels in the box, None if they may be of any class
    """

    channel: int
    pixels: tuple[slice, slice]
    rest: int | None


@dataclass(frozen=True)
class AnnotationTargets:
    """The annotations of one frame at some size (h, w), with what they imply.

    image    (h, w, 3) uint8 RGB: the frame at that size
    labels   (h, w) int64 channel in [0, count), read where weights > 0
    weights  (h, w) float32: 1 where the user annotated, less where a prior applies, 0 elsewhere
    count    N, number of classes
    outside  {channel: (h, w) bool} of the classes with bounding boxes or outlines: True where the class cannot be
    boxes    these bounding boxes
    outlines {channel: (h, w) bool} of the outlined classes: True inside of the outline
    marks    the annotations one by one, oldest first
    rest     channel of all that is on no object; None where the annotated classes share the frame
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.int64]
    weights: NDArray[np.float32]
    count: int
    outside: Mapping[int, NDArray[np.bool_]] = field(default_factory=dict)
    boxes: tuple[BoxTarget, ...] = ()
    outlines: Mapping[int, NDArray[np.bool_]] = field(default_factory=dict)
    marks: tuple[AnnotationMark, ...] = ()
    rest: int | None = None


# A function that draws the frame's annotations at a given (height, width).
Draw = Callable[[tuple[int, int]], AnnotationTargets]


# Weight of priors, against 1 for annotations.
PRIOR_WEIGHT = 0.1
# Share of the frame that is assumed to be an object when only background was clicked.
UNLIKE_SHARE = 0.1
# Share of a bounding box that is assumed to be its object.
BOX_SHARE = 0.25


def border_prior(labels: NDArray[np.int32], nothing: int) -> NDArray[np.bool_]:
    """Return where background is assumed beside objects: at the frame's border.

    An object that the camera looks at rarely touches much of the border. A border pixel that is annotated, or lies
    beside an annotation, is left out.

    labels: (h, w) int32, ``nothing`` where not annotated. Returns (h, w) bool.
    """
    ring = np.zeros(labels.shape, np.bool_)
    ring[[0, -1]] = True
    ring[:, [0, -1]] = True
    near = cv2.dilate((labels != nothing).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return np.asarray(ring & ~near)


def unlike_prior(image: NDArray[np.uint8], labels: NDArray[np.int32], nothing: int) -> NDArray[np.bool_]:
    """Return the tenth of the pixels least like the background, when only background was clicked.

    image: (h, w, 3) uint8 RGB; labels: (h, w) int32. Returns (h, w) bool.
    """
    annotated = labels != nothing
    distance = unlikeness(image, annotated)
    distance[annotated] = -1
    return np.asarray(distance > max(0.0, float(np.quantile(distance, 1 - UNLIKE_SHARE))))


def box_prior(
    image: NDArray[np.uint8],
    labels: NDArray[np.int32],
    boxes: Sequence[tuple[int, tuple[slice, slice]]],
    outside: Mapping[int, NDArray[np.bool_]],
    nothing: int,
) -> NDArray[np.int32]:
    """Return the class assumed in bounding boxes in which their object is not annotated.

    It is the quarter of the box least like the pixels outside of the box or annotated as another class. It is the whole
    box if no pixel in it differs from these, or if the box leaves none outside. Where boxes overlap the smallest holds.

    image: (h, w, 3) uint8 RGB; labels: (h, w) int32, ``nothing`` where not annotated; boxes: (class id, (rows,
    columns)) of every open box; outside: {class id: (h, w) bool}. Returns (h, w) int32 class ids, ``nothing`` where
    no class is assumed.
    """
    prior = np.full_like(labels, nothing)
    for class_id, pixels in sorted(boxes, key=lambda box: -labels[box[1]].size):
        others = (labels != nothing) & (labels != class_id) & ~outside[class_id]
        distance = unlikeness(image, outside[class_id], others)[pixels]
        unlike = (distance > 0) & (distance >= np.quantile(distance, 1 - BOX_SHARE))
        prior[pixels][unlike if distance.any() else np.ones_like(unlike)] = class_id
    prior[labels != nothing] = nothing
    return prior


def unlikeness(image: NDArray[np.uint8], *known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Compute the CIE Lab distance (h, w) to the nearest color among about 256 pixels of each of ``known``.

    0 everywhere where these (h, w) have no pixels.
    """
    lab = cv2.cvtColor(cv2.blur(image, (3, 3)).astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    colors = np.concatenate([lab[pixels][:: max(1, int(pixels.sum()) // 256)] for pixels in known])
    if not len(colors):
        return np.zeros(image.shape[:2])
    return np.asarray(cKDTree(colors).query(lab)[0], np.float64)


BACKGROUND = 0


@dataclass(frozen=True)
class FrameAnnotation:
    """An annotation and the frame that it was made on.

    stamp         of the frame, in seconds
    frame_size    (height, width) in pixels
    frame_number  running number of the frame
    id            running number of the annotation in its session
    """

    annotation: Annotation
    stamp: float
    frame_size: tuple[int, int]
    frame_number: int
    id: int


def classes_among(annotations: Sequence[FrameAnnotation], unlabelled: int) -> tuple[int, ...]:
    """Return the annotated class ids, ascending; objects that all have bounding boxes imply the background."""
    ids: set[int] = set()
    bounded: set[int] = set()
    for each in annotations:
        ids |= classes_of(each.annotation, unlabelled)
        if isinstance(each.annotation, Box) and each.annotation.bounding:
            bounded.add(each.annotation.class_id)
    if bounded and bounded == ids - {BACKGROUND}:
        ids.add(BACKGROUND)
    return tuple(sorted(ids))


def implied_other_class(classes: tuple[int, ...], config: SessionConfig) -> int | None:
    """Return the class of the pixels that are of no annotated class; None where there is no such class.

    Beside objects it is background; with ``rest: none`` only beside a single one. Beside background alone it is
    unlabelled.
    """
    if classes == (BACKGROUND,):
        return config.unlabelled
    objects = len(set(classes) - {BACKGROUND})
    return BACKGROUND if objects == 1 or (objects and config.rest == "background") else None


def extended(channels: tuple[int, ...], classes: tuple[int, ...], config: SessionConfig) -> tuple[int, ...]:
    """Extend ``channels`` (the class id of each channel) by the new ones among ``classes``."""
    known = dict.fromkeys(channels)
    known.update(dict.fromkeys(classes))
    rest = implied_other_class(classes, config)
    if rest is not None:
        known.setdefault(rest)
    return tuple(known)


def draw(
    annotations: Sequence[Annotation],
    classes: tuple[int, ...],
    channels: tuple[int, ...],
    frame: NDArray[np.uint8],
    size: tuple[int, int],
    config: SessionConfig,
) -> AnnotationTargets:
    """Draw the annotations of a frame (H, W, 3), the labels they imply and the priors, at (height, width).

    If every object has bounding boxes, pixels outside of all of them are background, as if the user had drawn it. A
    prior assumes that part of a bounding box is of its class, unless the class is annotated in it.

    classes: annotated so far on any frame; channels: class id of each channel.
    """
    image = resize_image(frame, *size)
    ids = rasterize(annotations, frame.shape[:2], size, config.unlabelled)
    boxes = bounding_boxes(annotations, frame.shape[:2], size)
    outside = outside_boxes(boxes, ids)
    rest = implied_other_class(classes, config)
    outlined = outlines(annotations, frame.shape[:2], size, ids) if rest is not None else {}
    outside = close_outlines(outside, outlined)
    beyond = np.zeros(size, np.bool_)
    bounded = bool(outside) and set(classes) - {BACKGROUND} == set(outside)
    if bounded:
        beyond = (ids == NOTHING) & np.logical_and.reduce([*outside.values()])
        ids[beyond] = BACKGROUND
    weights = (ids != NOTHING).astype(np.float32)
    unanswered = [(class_id, pixels) for class_id, pixels in boxes if not (ids[pixels] == class_id).any()]
    prior = box_prior(image, ids, unanswered, outside, NOTHING)
    if rest is not None and config.border_prior and (weights.any() or boxes) and not beyond.any():
        prior[border_prior(ids, NOTHING) if rest == BACKGROUND else unlike_prior(image, ids, NOTHING)] = rest
    ids = np.where(prior == NOTHING, ids, prior)
    weights[prior != NOTHING] = PRIOR_WEIGHT
    numbered = {channels.index(class_id): where for class_id, where in outside.items()}
    rest_channel = channels.index(BACKGROUND) if bounded else None
    box_targets = tuple(BoxTarget(channels.index(class_id), pixels, rest_channel) for class_id, pixels in boxes)
    marks = tuple(_mark(each, channels, frame.shape[:2], size, config.unlabelled) for each in annotations)
    labels = to_channels(ids, channels)
    beside = channels.index(BACKGROUND) if rest == BACKGROUND and not boxes else None
    return AnnotationTargets(
        image,
        labels,
        weights,
        len(channels),
        numbered,
        box_targets,
        {channels.index(class_id): inside for class_id, inside in outlined.items()},
        marks,
        beside,
    )


def _mark(
    annotation: Annotation, channels: tuple[int, ...], frame: tuple[int, int], size: tuple[int, int], unlabelled: int
) -> AnnotationMark:
    """Convert an annotation of a (height, width) frame to a mark at another (height, width) size."""
    named = tuple(channels.index(class_id) for class_id in sorted(classes_of(annotation, unlabelled)))
    if not isinstance(annotation, Click):
        return AnnotationMark(annotation, named, None)
    x, y = (
        min(most - 1, int((at + 0.5) * most / of))
        for at, most, of in ((annotation.x, size[1], frame[1]), (annotation.y, size[0], frame[0]))
    )
    return AnnotationMark(annotation, named, (x, y))


def to_channels(ids: NDArray[np.int32], channels: tuple[int, ...]) -> NDArray[np.int64]:
    """Convert class ids of any shape to channels; NOTHING becomes channel 0."""
    table = np.zeros(max(channels, default=0) + 2, np.int64)
    table[list(channels)] = np.arange(len(channels))
    return table[np.where(ids == NOTHING, -1, ids)]
