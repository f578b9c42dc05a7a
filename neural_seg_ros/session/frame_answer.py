"""The answer to the frame in view: to what was drawn on it, or what was carried to it from other frames."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neural_seg_ros.annotations import Annotation
from neural_seg_ros.annotations.implied import draw, extended, implied_other_class
from neural_seg_ros.annotations.rasterize import bounding_boxes, outside_boxes, rasterize
from neural_seg_ros.click_answer import AnnotationTargets, Estimate, make_answer
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.images.arrays import likeliest
from neural_seg_ros.session.fitting import Fitting
from neural_seg_ros.session.result import FullSize, Result, empty_result, full_size_result
from neural_seg_ros.session.session_file import estimate_from_tensors, estimate_to_tensors
from neural_seg_ros.session.upsampling import guided_upsampler
from neural_seg_ros.torch_setup import part_of


class Frames:
    """The frames of a camera, one after the other.

    image   that in view, (H, W, 3) uint8 RGB; None before the first
    stamp   its seconds
    number  that annotations on it are placed with: one that was annotated and comes again has that of then
    count   frames so far
    """

    def __init__(self) -> None:
        self.image: NDArray[np.uint8] | None = None
        self.stamp = 0.0
        self.number = 0
        self.count = 0
        # The numbers of annotated frames, by stamp and checksum: one that is observed again is the same frame.
        self._key = (0.0, 0)
        self._known: dict[tuple[float, int], int] = {}

    def observe(self, image: NDArray[np.uint8], stamp: float) -> None:
        """The next one, which is copied."""
        self.image = image.copy()
        self.count += 1
        self.stamp = stamp
        self._key = (stamp, zlib.crc32(self.image.data))
        self.number = self._known.get(self._key, self.count)

    def know(self) -> None:
        """That in view is annotated."""
        self._known[self._key] = self.number

    def forget(self) -> None:
        """None is annotated."""
        self._known.clear()

    def saved(self) -> dict[str, Any]:
        """All but the pixels, as JSON values."""
        return {
            "stamp": self.stamp,
            "frame_number": self.number,
            "frames": self.count,
            "known": [(stamp, checksum, number) for (stamp, checksum), number in self._known.items()],
        }

    def restore(self, values: Mapping[str, Any]) -> None:
        """As it was when ``saved`` gave this; the frame of then is in view."""
        self.number, self.count = int(values["frame_number"]), int(values["frames"])
        self._known = {(float(stamp), checksum): number for stamp, checksum, number in values["known"]}


@dataclass(frozen=True, eq=False)
class View:
    """A frame and what is said of it.

    frame        (H, W, 3) uint8 RGB
    annotations  made on this very frame, oldest first
    classes      the class ids annotated on any frame, ascending
    """

    frame: NDArray[np.uint8]
    annotations: tuple[Annotation, ...]
    classes: tuple[int, ...]
    config: SessionConfig

    @property
    def shown(self) -> tuple[int, ...]:
        """The classes of the answer, ascending: those annotated, and the rest beside a single one."""
        rest = implied_other_class(self.classes, self.config.unlabelled)
        return self.classes if rest is None else tuple(sorted({*self.classes, rest}))

    def draw(self, channels: tuple[int, ...], size: tuple[int, int]) -> AnnotationTargets:
        """Its annotations, and what is presumed, at (height, width); ``channels``: the class id of each."""
        return draw(self.annotations, self.classes, channels, self.frame, size, self.config)

    def certain(self) -> tuple[NDArray[np.int32] | None, dict[int, NDArray[np.bool_]]]:
        """(H, W) int32 class ids of what was drawn on it, NOTHING elsewhere, or None when nothing was.

        Then {class id: (H, W) bool} of the classes with bounding boxes on it: True where the class cannot be.
        """
        if not self.annotations:
            return None, {}
        size = self.frame.shape[:2]
        drawn = rasterize(self.annotations, size, size, self.config.unlabelled)
        return drawn, outside_boxes(bounding_boxes(self.annotations, size, size), drawn)


# How much the field is held to an instant answer, against 1 for what the user drew.
TAUGHT_WEIGHT = 0.1


class FrameAnswer:
    """Answers a view from what was learnt, and teaches the field the answer.

    channels  the class id of each channel, in the order in which they came
    """

    def __init__(self, config: SessionConfig) -> None:
        self._answer = make_answer(config.answer)
        self.channels: tuple[int, ...] = ()
        self._instant: Estimate | None = None
        # What was known of this frame before the first annotation on it.
        self._carried: Estimate | None = None
        # Whether anything is annotated on this frame.
        self._here = False
        # Whether the field and the answer know of all annotations.
        self._settled = True
        # Whether somebody waits for a preview, and no longer than needed.
        self._hurry = False

    def observe(self, frame: NDArray[np.uint8]) -> None:
        """A new frame, (H, W, 3) uint8 RGB."""
        self._answer.observe(frame)
        self._here = False
        self._instant = self._carried = None

    def remake(self, config: SessionConfig, frame: NDArray[np.uint8] | None) -> None:
        """Answer in another way from now on; ``frame`` is the one in view."""
        self._answer = make_answer(config.answer)
        if frame is not None:
            self._answer.observe(frame)

    def prepare(self, wait: bool) -> None:
        """Begin what the first annotation would have to wait for; with ``wait`` it is done when this returns."""
        self._answer.prepare(wait)

    @property
    def prepared(self) -> bool:
        """Whether ``prepare`` has nothing left to do."""
        return self._answer.prepared

    @property
    def improves(self) -> bool:
        """Whether an answer that is in no hurry would be better than the last one, which was."""
        return self._settled and self._hurry and self._improves(hurry=False)

    def forget(self) -> None:
        """Drop the answers and the classes."""
        self.channels = ()
        self._here = False
        self._instant = self._carried = None
        self._settled = True
        self._answer.forget()

    @property
    def settled(self) -> bool:
        """Whether all that there is is answered."""
        return self._settled and not self._improves(self._hurry)

    # -- what changes it -----------------------------------------------------------------------------------------------

    def carry(self, learning: Fitting) -> None:
        """Keep what is known of this frame now, before the first annotation on it."""
        self._carried = learning.following.estimate() or learning.estimate()

    def carry_nothing(self) -> None:
        """Nothing was known of this frame before."""
        self._carried = None

    def ask(self, classes: tuple[int, ...], unlabelled: int, here: bool) -> None:
        """There are other annotations; they are answered together when somebody looks or the fit goes on.

        here: some are on the frame in view
        """
        self.channels = extended(self.channels, classes, unlabelled)
        self._here = here
        self._settled = False

    def ask_again(self) -> None:
        """Something else is known."""
        self._settled = False

    def settle(self, view: View, learning: Fitting) -> None:
        """Answer, and have the field learn the annotations, with what they imply and the answer."""
        engine = learning.engine
        self._settled = True
        drawn = view.draw(self.channels, engine.shape)
        labels, weights = drawn.labels, drawn.weights
        # On a frame without annotations it would draw nothing, and have nothing to say.
        instant = None
        if view.annotations:
            instant = self._answer.instant(
                lambda size: view.draw(self.channels, size), self._remembered(view), self._hurry
            )
        self._instant = learning.following.estimate() if instant is None else instant
        if self._instant is not None:
            size = engine.shape[::-1]
            taught = np.stack([cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in self._instant.probabilities])
            labels = np.where(weights == 1, labels, likeliest(taught)[0])
            weights = np.maximum(weights, TAUGHT_WEIGHT)
        engine.set_annotations(torch.from_numpy(labels), torch.from_numpy(weights), len(self.channels))

    # -- what it is ----------------------------------------------------------------------------------------------------

    def result(self, view: View, learning: Fitting, stamp: float, hurry: bool | None = None) -> Result:
        """The labels at full size; ``hurry``: as a preview or not, None as the last one was."""
        self._hurry = self._hurry if hurry is None else hurry
        if not self.settled:
            self.settle(view, learning)
        unlabelled = view.config.unlabelled
        if not view.classes:
            return empty_result(view.frame, stamp, unlabelled)
        estimate = self._answer.final(self._instant, learning.estimate)
        shown = view.shown
        probabilities = estimate.probabilities[[self.channels.index(class_id) for class_id in shown]]
        upsampler = guided_upsampler(view.frame, estimate.image, probabilities)
        source = FullSize(upsampler, estimate.doubt, *view.certain(), shown)
        return full_size_result(source, stamp, unlabelled)

    def saved(self, annotations: Sequence[Annotation]) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """All of it as JSON values and tensors; ``annotations`` are those of the frame in view."""
        answer, arrays = self._answer.saved(annotations)
        tensors = {f"answer.{name}": torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        tensors |= estimate_to_tensors("carried", self._carried) | estimate_to_tensors("instant", self._instant)
        values = {"channels": self.channels, "settled": self._settled, "hurry": self._hurry, "answer": answer}
        return values, tensors

    def restore(
        self,
        values: Mapping[str, Any],
        tensors: Mapping[str, Tensor],
        frame: NDArray[np.uint8],
        annotations: Sequence[Annotation],
    ) -> None:
        """As it was when ``saved`` gave this."""
        self.channels = tuple(values["channels"])
        arrays = {name: tensor.numpy() for name, tensor in part_of(tensors, "answer").items()}
        self._answer.restore(values["answer"], arrays, annotations)
        self._here = bool(annotations)
        self._carried, self._instant = (estimate_from_tensors(name, tensors, frame) for name in ("carried", "instant"))
        self._settled, self._hurry = bool(values["settled"]), bool(values["hurry"])

    def _improves(self, hurry: bool) -> bool:
        # The answer to annotations that were all taken back is kept, but is not this frame's.
        return self._here and self._answer.improves(hurry)

    def _remembered(self, view: View) -> Estimate | None:
        """What was carried to this frame of the classes that are shown."""
        if self._carried is None:
            return None
        # An undo may have taken back the class of the last channels.
        shown, probabilities = view.shown, self._carried.probabilities[: len(self.channels)].copy()
        known = self.channels[: len(probabilities)]
        probabilities[[channel for channel, class_id in enumerate(known) if class_id not in shown]] = 0
        return Estimate(self._carried.image, probabilities)
