"""Every frame and its annotations through a session, in order; shared by ``track`` and ``replay``."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from neural_seg_ros.annotations import Annotation
from neural_seg_ros.annotations.yaml_file import AnnotationFile
from neural_seg_ros.errors import NeuralSegError
from neural_seg_ros.images.arrays import Labels
from neural_seg_ros.images.files import Frame
from neural_seg_ros.metrics import class_confidence
from neural_seg_ros.session import Session
from neural_seg_ros.session.result import Result

FrameT = TypeVar("FrameT", bound=Frame)


class GroundTruth(Protocol):
    """A source of true labels."""

    def labels_of(self, frame: Frame) -> Labels | None:
        """Return (H, W) class ids, 255 (65535 with 16 bits) for pixels that are not judged; None without a truth."""
        ...


@dataclass(frozen=True, eq=False)
class Step(Generic[FrameT]):
    """The events and the result of one frame.

    annotations       made on this frame
    seconds           from the frame to its result
    confidence        mean of the result's confidence, in [0, 1]
    class_confidence  the same over the pixels of each class
    """

    frame: FrameT
    result: Result
    annotations: tuple[Annotation, ...]
    seconds: float
    confidence: float
    class_confidence: dict[int, float]


def run_frame(session: Session, frame: FrameT, annotations: tuple[Annotation, ...]) -> Step[FrameT]:
    """Observe and annotate a frame, run the due steps and get the result. Session errors name the frame."""
    started = time.perf_counter()
    try:
        session.observe(frame.image, stamp=frame.stamp)
        for annotation in annotations:
            session.annotate(annotation)
    except NeuralSegError as error:
        raise type(error)(f"frame {frame.index}: {error}") from None
    session.fit()
    result = session.result()
    seconds = time.perf_counter() - started
    of_classes = class_confidence(result.labels, result.confidence, result.classes)
    return Step(frame, result, annotations, seconds, float(np.mean(result.confidence)), of_classes)


def run_session(session: Session, frames: Iterable[FrameT], annotations: AnnotationFile) -> Iterator[Step[FrameT]]:
    """Call ``run_frame`` for every frame, in constant memory.

    The same frames, annotations and configuration give the same results on one device.
    """
    latest: float | None = None
    for frame in frames:
        new = annotations.for_frame(frame.index, frame.stamp, latest)
        latest = frame.stamp if latest is None else max(latest, frame.stamp)
        yield run_frame(session, frame, new)
