"""The answer to one observed frame: from its annotations, or carried to it by the tracker."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neural_seg_ros.annotations import Annotation
from neural_seg_ros.annotations.implied import AnnotationTargets, draw, implied_other_class
from neural_seg_ros.annotations.rasterize import bounding_boxes, close_outlines, outlines, outside_boxes, rasterize
from neural_seg_ros.click_answer import Estimate, RegionAnswer
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.images.arrays import likeliest, resize_channels
from neural_seg_ros.session.result import FullSize, Result, empty_result, full_size_result
from neural_seg_ros.session.session_file import estimate_from_tensors, estimate_to_tensors
from neural_seg_ros.session.upsampling import guided_upsampler
from neural_seg_ros.torch_setup import part_of

# Weight of the answer in the field's class loss, against 1 for the user's own annotations.
ANSWER_WEIGHT = 0.1

Image = NDArray[np.uint8]


class FrameNumbers:
    """The running numbers of a camera's frames; an annotated frame that is observed again gets its old number.

    count  frames observed so far
    """

    def __init__(self) -> None:
        self.count = 0
        # Numbers of annotated frames, by stamp and checksum of the pixels.
        self._annotated: dict[tuple[float, int], int] = {}

    def next(self, image: Image, stamp: float) -> int:
        """Count a new frame, (H, W, 3) uint8 with its stamp in seconds, and return its number."""
        self.count += 1
        return self._annotated.get(_key(image, stamp), self.count)

    def mark_annotated(self, image: Image, stamp: float, number: int) -> None:
        """Remember an annotated frame."""
        self._annotated[_key(image, stamp)] = number

    def forget(self) -> None:
        """Forget all annotated frames."""
        self._annotated.clear()

    def saved(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        known = [(stamp, checksum, number) for (stamp, checksum), number in self._annotated.items()]
        return {"frames": self.count, "known": known}

    def restore(self, values: Mapping[str, Any]) -> None:
        """Return to the state that ``saved`` returned."""
        self.count = int(values["frames"])
        self._annotated = {(float(stamp), checksum): number for stamp, checksum, number in values["known"]}


def _key(image: Image, stamp: float) -> tuple[float, int]:
    return stamp, zlib.crc32(image.data)


@dataclass(frozen=True, eq=False)
class AnnotatedFrame:
    """A frame with the annotations that its answer depends on.

    image        (H, W, 3) uint8 RGB
    annotations  made on this very frame, oldest first
    classes      class ids annotated on any frame, ascending
    channels     class id of each channel
    """

    image: Image
    annotations: tuple[Annotation, ...]
    classes: tuple[int, ...]
    channels: tuple[int, ...]
    config: SessionConfig

    @property
    def answer_classes(self) -> tuple[int, ...]:
        """The class ids of the answer, ascending: the annotated ones, and the implied other one beside a single one."""
        other = implied_other_class(self.classes, self.config)
        return self.classes if other is None else tuple(sorted({*self.classes, other}))

    def draw(self, size: tuple[int, int]) -> AnnotationTargets:
        """Draw the annotations and the priors at (height, width)."""
        return draw(self.annotations, self.classes, self.channels, self.image, size, self.config)

    def hard_labels(self) -> tuple[NDArray[np.int32] | None, dict[int, NDArray[np.bool_]]]:
        """Return the labels that the annotations fix, at full size.

        First (H, W) int32 class ids, NOTHING where the user drew nothing, or None without annotations; then
        {class id: (H, W) bool} of the classes with bounding boxes or outlines on the frame: True where the class is
        ruled out.
        """
        if not self.annotations:
            return None, {}
        size = self.image.shape[:2]
        labels = rasterize(self.annotations, size, size, self.config.unlabelled)
        outside = outside_boxes(bounding_boxes(self.annotations, size, size), labels)
        if implied_other_class(self.classes, self.config) is None:
            return labels, outside
        return labels, close_outlines(outside, outlines(self.annotations, size, size, labels))


class FrameAnswer:
    """The answer to one observed frame. A session makes a new one for every frame.

    image     (H, W, 3) uint8 RGB
    stamp     seconds
    number    running number of the frame, which its annotations carry
    regions   answers the annotations at once (``answer: fused``); None where only the fitted field answers
    prior     estimate of this frame from before its first annotation; None where nothing was known
    estimate  newest answer at working resolution; None where the field answers
    fast      whether a preview is enough
    """

    def __init__(
        self, image: Image, stamp: float, number: int, regions: RegionAnswer | None, fast: bool = False
    ) -> None:
        self.image, self.stamp, self.number, self.regions, self.fast = image, stamp, number, regions, fast
        self.prior: Estimate | None = None
        self.estimate: Estimate | None = None
        self._annotated = False
        self._stale = False

    def cleared(self) -> FrameAnswer:
        """Return a new answer to the same frame without annotations, which shares the region graph."""
        regions = None if self.regions is None else self.regions.cleared()
        return FrameAnswer(self.image, self.stamp, self.number, regions, self.fast)

    def with_regions(self, regions: RegionAnswer | None) -> FrameAnswer:
        """Return a new answer to the same frame that is found in another way; it is stale."""
        answer = FrameAnswer(self.image, self.stamp, self.number, regions, self.fast)
        answer.prior, answer.estimate = self.prior, self.estimate
        answer.invalidate(self._annotated)
        return answer

    def invalidate(self, annotated: bool | None = None) -> None:
        """Mark the answer as stale.

        annotated: whether there are annotations on this frame; None leaves that as it was
        """
        self._stale = True
        if annotated is not None:
            self._annotated = annotated

    @property
    def is_current(self) -> bool:
        """True if the answer takes all annotations into account and no better one is ready."""
        return not self._stale and not self._better_available(self.fast)

    @property
    def better_available(self) -> bool:
        """True if the full answer would be better than the last one, which was a preview."""
        return not self._stale and self.fast and self._better_available(fast=False)

    def update(self, frame: AnnotatedFrame, tracked: Callable[[], Estimate | None]) -> None:
        """Answer the annotations of the frame or, without any, take the tracker's estimate.

        tracked: returns the tracker's estimate of this frame; called only where no annotation answers
        """
        self._stale = False
        estimate = None
        # Without annotations nothing would be drawn, and the graph would have nothing to say.
        if self.regions is not None and frame.annotations:
            estimate = self.regions.update(frame.draw, self._prior_of_shown(frame), self.fast)
        self.estimate = tracked() if estimate is None else estimate

    def field_targets(self, frame: AnnotatedFrame, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return the field's class target: channels (h, w) int64 and weights (h, w) float32.

        User annotations weigh 1, the answer ANSWER_WEIGHT; size: (h, w) of the field.
        """
        targets = frame.draw(size)
        labels, weights = targets.labels, targets.weights
        if self.estimate is not None:
            probabilities = self.estimate.probabilities
            small = resize_channels(probabilities, *size, cv2.INTER_AREA)
            labels = np.where(weights == 1, labels, likeliest(small)[0])
            weights = np.maximum(weights, ANSWER_WEIGHT)
        return torch.from_numpy(labels), torch.from_numpy(weights)

    def result(self, frame: AnnotatedFrame, field: Callable[[], Estimate]) -> Result:
        """Return the labels at full size; ``field`` returns the field's estimate, where that is the answer."""
        unlabelled = frame.config.unlabelled
        if not frame.classes:
            return empty_result(self.image, self.stamp, unlabelled)
        estimate = field() if self.estimate is None else self.estimate
        classes = frame.answer_classes
        probabilities = estimate.probabilities[[frame.channels.index(class_id) for class_id in classes]]
        upsampler = guided_upsampler(self.image, estimate.image, probabilities)
        source = FullSize(upsampler, estimate.top_odds_divisor, *frame.hard_labels(), classes)
        return full_size_result(source, self.stamp, unlabelled)

    # The keys below are those of the session file.

    def saved(self, annotations: Sequence[Annotation]) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return the state as JSON values and tensors; ``annotations`` are those of this frame."""
        versions, arrays = (None, {}) if self.regions is None else self.regions.saved(annotations)
        tensors = {f"answer.{name}": torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        tensors |= estimate_to_tensors("carried", self.prior) | estimate_to_tensors("instant", self.estimate)
        values = {"stamp": self.stamp, "frame_number": self.number, "settled": not self._stale, "hurry": self.fast}
        return values | {"answer": versions}, tensors

    def restore(
        self, values: Mapping[str, Any], tensors: Mapping[str, Tensor], annotations: Sequence[Annotation]
    ) -> None:
        """Return to the state that ``saved`` returned, of the same frame and annotations.

        Raises KeyError, TypeError or ValueError for values that ``saved`` does not return.
        """
        arrays = {name: tensor.numpy() for name, tensor in part_of(tensors, "answer").items()}
        if self.regions is not None:
            self.regions.restore(values["answer"], arrays, annotations)
        self.prior, self.estimate = (
            estimate_from_tensors(each, tensors, self.image) for each in ("carried", "instant")
        )
        self._annotated = bool(annotations)
        self._stale, self.fast = not values["settled"], bool(values["hurry"])

    def _better_available(self, fast: bool) -> bool:
        # After all annotations were undone the regions keep their last answer, but it is not this frame's.
        return self._annotated and self.regions is not None and self.regions.better_available(fast)

    def _prior_of_shown(self, frame: AnnotatedFrame) -> Estimate | None:
        """Return the prior estimate without the classes that the answer does not have."""
        if self.prior is None:
            return None
        # An undo may have removed the class of the last channels.
        probabilities = self.prior.probabilities[: len(frame.channels)].copy()
        classes, channels = frame.answer_classes, frame.channels[: len(probabilities)]
        probabilities[[channel for channel, class_id in enumerate(channels) if class_id not in classes]] = 0
        return Estimate(self.prior.image, probabilities)
