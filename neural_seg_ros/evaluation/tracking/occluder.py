"""A synthetic occluder over a real sequence: is the object found again where it comes back?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.errors import SourceError
from neural_seg_ros.evaluation.datasets import Sample
from neural_seg_ros.evaluation.tracking.sequences import SequenceItem
from neural_seg_ros.images.arrays import Labels
from neural_seg_ros.metrics import IGNORE

# Frames in which the occluder moves by its own width, as the objects see it.
SLIDE = 4
# Sides of the occluder, in sides of the objects' largest box while they are hidden.
MARGIN = 1.1
# Frames within which an object must be found again, from the first on which nothing is hidden.
SEARCH = 10


@dataclass(frozen=True)
class Occluder:
    """A rectangle of the background's texture that overtakes the objects from left to right, and stays over them.

    texture     (h, w, 3) uint8 RGB
    centers     (x, y) of the rectangle on every frame
    reappeared  the first frame after the hidden ones on which it touches no object
    """

    texture: NDArray[np.uint8]
    centers: tuple[tuple[float, float], ...]
    reappeared: int

    def over(self, sample: Sample, number: int) -> Sample:
        """Draw the occluder on frame ``number``; hidden pixels of an object are background in the truth."""
        height, width = self.texture.shape[:2]
        x, y = self.centers[number]
        left, top = round(x - width / 2), round(y - height / 2)
        rows = slice(max(0, top), max(0, top + height))
        columns = slice(max(0, left), max(0, left + width))
        image, truth = sample.image.copy(), sample.truth.copy()
        covered = image[rows, columns]
        covered[:] = self.texture[rows.start - top :, columns.start - left :][: covered.shape[0], : covered.shape[1]]
        hidden = truth[rows, columns]
        hidden[hidden != IGNORE] = 0
        return replace(sample, image=image, truth=truth)


def occluder_of(item: SequenceItem, hidden: int, longer_side: int) -> Occluder:
    """Make an occluder that hides all objects on ``hidden`` frames from a third of the sequence on, not on the first.

    Raises SourceError for a sequence that is too short, or whose first frame is all object.
    """
    count = len(item.images)
    first, last = count // 3, count // 3 + hidden - 1
    reappeared = last + SLIDE
    if first < SLIDE or reappeared >= count - 1:
        raise SourceError(f"{item.name}: got {count} frames, accepted: more, with {hidden} of them occluded")
    known = {}
    for number in range(count):
        box = _box(item.load(number, longer_side).truth)
        if box is not None:
            known[number] = box
    # Where there is no object, the occluder goes by the nearest frame with one.
    boxes = [known[min(known, key=lambda other: abs(other - number))] for number in range(count)]
    largest = np.max(boxes[max(0, first - SLIDE) : reappeared + 1], axis=0)
    width, height = (int(np.ceil(MARGIN * side)) + 2 for side in largest[2:])
    moved = [(number - min(max(number, first), last)) / SLIDE * width for number in range(count)]
    centers = tuple((x + w / 2 + dx, y + h / 2) for (x, y, w, h), dx in zip(boxes, moved, strict=True))
    return Occluder(_texture(item.load(0, longer_side), height, width), centers, reappeared)


def _box(truth: Labels) -> tuple[int, int, int, int] | None:
    """Return (x, y, width, height) around all objects, None without one."""
    objects = ((truth != 0) & (truth != IGNORE)).astype(np.uint8)
    x, y, width, height = cv2.boundingRect(objects)
    return (x, y, width, height) if width else None


def _texture(sample: Sample, height: int, width: int) -> NDArray[np.uint8]:
    """Make (height, width, 3) of the largest square without an object, mirrored as often as needed."""
    free = np.pad((sample.truth == 0).astype(np.uint8), 1)
    depth = cv2.distanceTransform(free, cv2.DIST_C, cv2.DIST_MASK_3)[1:-1, 1:-1]
    y, x = (int(index) for index in np.unravel_index(int(depth.argmax()), depth.shape))
    reach = int(depth[y, x]) - 1
    if reach < 0:
        raise SourceError(f"{sample.name}: got no background for an occluder, accepted: a frame with some")
    square = sample.image[y - reach : y + reach + 1, x - reach : x + reach + 1]
    rest = max(0, height - len(square)), max(0, width - len(square))
    return np.pad(square, ((0, rest[0]), (0, rest[1]), (0, 0)), mode="symmetric")[:height, :width]
