"""Annotations on the frames they were made on, and what a frame's annotations say and imply about its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation, Box, Click, classes_of
from neural_seg_ros.answer.estimate import Drawn, DrawnBox, Mark
from neural_seg_ros.answer.prior import PRESUMED_WEIGHT, border_prior, box_prior, unlike_prior
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.image import resize_image
from neural_seg_ros.rasterise import NOTHING, bounding_boxes, outside_boxes, rasterise

BACKGROUND = 0


@dataclass(frozen=True)
class Placed:
    """An annotation and the frame it was made on: its stamp in seconds, its (height, width), its running number."""

    annotation: Annotation
    stamp: float
    frame_size: tuple[int, int]
    frame_number: int


def classes_among(placed: Sequence[Placed], unlabelled: int) -> tuple[int, ...]:
    """The class ids annotated, ascending. Objects that all have bounding boxes name the background outside of them."""
    ids: set[int] = set()
    bounded: set[int] = set()
    for each in placed:
        ids |= classes_of(each.annotation, unlabelled)
        if isinstance(each.annotation, Box) and each.annotation.bounding:
            bounded.add(each.annotation.class_id)
    if bounded and bounded == ids - {BACKGROUND}:
        ids.add(BACKGROUND)
    return tuple(sorted(ids))


def rest_of(classes: tuple[int, ...], unlabelled: int) -> int | None:
    """The class of what is not the one thing annotated so far, or None where there are several or none.

    Beside one object it is background, beside background alone it is unlabelled.
    """
    if classes == (BACKGROUND,):
        return unlabelled
    return BACKGROUND if len(set(classes) - {BACKGROUND}) == 1 else None


def extended(channels: tuple[int, ...], classes: tuple[int, ...], unlabelled: int) -> tuple[int, ...]:
    """``channels`` (the class id of each channel of the class head), with new ones for what is new in ``classes``."""
    known = dict.fromkeys(channels)
    known.update(dict.fromkeys(classes))
    rest = rest_of(classes, unlabelled)
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
) -> Drawn:
    """The annotations of a frame (H, W, 3), and what they imply and leave to presume, at (height, width).

    Outside of the bounding boxes of every object is background, as if the user had drawn it. Inside a bounding box in
    which its class is not annotated a part is presumed to be of it.

    classes: annotated so far on any frame; channels: class id of each channel.
    """
    image = resize_image(frame, *size)
    ids = rasterise(annotations, frame.shape[:2], size, config.unlabelled)
    boxes = bounding_boxes(annotations, frame.shape[:2], size)
    outside = outside_boxes(boxes, ids)
    beyond = np.zeros(size, np.bool_)
    bounded = bool(outside) and set(classes) - {BACKGROUND} == set(outside)
    if bounded:
        beyond = (ids == NOTHING) & np.logical_and.reduce([*outside.values()])
        ids[beyond] = BACKGROUND
    weights = (ids != NOTHING).astype(np.float32)
    unanswered = [(class_id, pixels) for class_id, pixels in boxes if not (ids[pixels] == class_id).any()]
    presumed = box_prior(image, ids, unanswered, outside, NOTHING)
    rest = rest_of(classes, config.unlabelled)
    if rest is not None and config.border_prior and (weights.any() or boxes) and not beyond.any():
        presumed[border_prior(ids, NOTHING) if rest == BACKGROUND else unlike_prior(image, ids, NOTHING)] = rest
    ids = np.where(presumed == NOTHING, ids, presumed)
    weights[presumed != NOTHING] = PRESUMED_WEIGHT
    numbered = {channels.index(class_id): where for class_id, where in outside.items()}
    inside = channels.index(BACKGROUND) if bounded else None
    outlined = tuple(DrawnBox(channels.index(class_id), pixels, inside) for class_id, pixels in boxes)
    marks = tuple(_mark(each, channels, frame.shape[:2], size, config.unlabelled) for each in annotations)
    return Drawn(image, to_channels(ids, channels), weights, len(channels), numbered, outlined, marks)


def _mark(
    annotation: Annotation, channels: tuple[int, ...], frame: tuple[int, int], size: tuple[int, int], unlabelled: int
) -> Mark:
    """An annotation of a (height, width) frame as a mark at another (height, width) size."""
    named = tuple(channels.index(class_id) for class_id in sorted(classes_of(annotation, unlabelled)))
    if not isinstance(annotation, Click):
        return Mark(annotation, named, None)
    x, y = (
        min(most - 1, int((at + 0.5) * most / of))
        for at, most, of in ((annotation.x, size[1], frame[1]), (annotation.y, size[0], frame[0]))
    )
    return Mark(annotation, named, (x, y))


def to_channels(ids: NDArray[np.int32], channels: tuple[int, ...]) -> NDArray[np.int64]:
    """Class ids of any shape to channels; NOTHING becomes channel 0."""
    table = np.zeros(max(channels, default=0) + 2, np.int64)
    table[list(channels)] = np.arange(len(channels))
    return table[np.where(ids == NOTHING, -1, ids)]
