"""Annotations on the frames they were made on, and what a frame's annotations say and imply about its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation, classes_of
from neural_seg_ros.answer.estimate import Drawn
from neural_seg_ros.answer.prior import PRESUMED_WEIGHT, border_prior, unlike_prior
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.image import resize_image
from neural_seg_ros.rasterise import NOTHING, rasterise

BACKGROUND = 0


@dataclass(frozen=True)
class Placed:
    """An annotation and the frame it was made on: its stamp in seconds, its (height, width), its running number."""

    annotation: Annotation
    stamp: float
    frame_size: tuple[int, int]
    frame_number: int


def classes_among(placed: Sequence[Placed], unlabelled: int) -> tuple[int, ...]:
    """The class ids annotated, ascending."""
    ids: set[int] = set()
    for each in placed:
        ids |= classes_of(each.annotation, unlabelled)
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
    """The annotations of a frame (H, W, 3), and what is presumed beside them, at (height, width).

    classes: annotated so far on any frame; channels: class id of each channel.
    """
    image = resize_image(frame, *size)
    ids = rasterise(annotations, frame.shape[:2], size, config.unlabelled)
    weights = (ids != NOTHING).astype(np.float32)
    rest = rest_of(classes, config.unlabelled)
    if rest is not None and config.border_prior and weights.any():
        presumed = border_prior(ids, NOTHING) if rest == BACKGROUND else unlike_prior(image, ids, NOTHING)
        ids[presumed] = rest
        weights[presumed] = PRESUMED_WEIGHT
    return Drawn(image, to_channels(ids, channels), weights, len(channels))


def to_channels(ids: NDArray[np.int32], channels: tuple[int, ...]) -> NDArray[np.int64]:
    """Class ids of any shape to channels; NOTHING becomes channel 0."""
    table = np.zeros(max(channels, default=0) + 2, np.int64)
    table[list(channels)] = np.arange(len(channels))
    return table[np.where(ids == NOTHING, -1, ids)]
