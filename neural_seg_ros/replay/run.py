"""Frames and annotations through a session, in order, every frame: what ``track`` and ``replay`` share."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from neural_seg_ros.annotation_file import AnnotationFile
from neural_seg_ros.annotations import Annotation, Labels
from neural_seg_ros.errors import NeuralSegError, SourceError
from neural_seg_ros.evaluate.metrics import IGNORE, iou
from neural_seg_ros.result import Result
from neural_seg_ros.session import Session
from neural_seg_ros.video import Frame

FrameT = TypeVar("FrameT", bound=Frame)


class GroundTruth(Protocol):
    """Where true labels come from."""

    def labels_of(self, frame: Frame) -> Labels | None:
        """(H, W) class ids, 255 (65535 with 16 bits) where nothing is judged; None where this frame has no truth."""
        ...


@dataclass(frozen=True, eq=False)
class Step(Generic[FrameT]):
    """What happened on one frame.

    annotations  made on this frame
    seconds      from the frame to its result
    iou          IoU in [0, 1] of each class that was annotated so far or is in the truth, background left out;
                 empty without a truth and before the first annotation
    confidence   mean of the result's confidence, in [0, 1]
    """

    frame: FrameT
    result: Result
    annotations: tuple[Annotation, ...]
    seconds: float
    iou: dict[int, float]
    confidence: float


def run_session(
    session: Session, frames: Iterable[FrameT], annotations: AnnotationFile, truth: GroundTruth | None = None
) -> Iterator[Step[FrameT]]:
    """Observe, annotate, make the steps that are due and give the result of every frame, in constant memory.

    The same frames, annotations and configuration give the same results on one device. Raises SourceError if a true
    label image has another size than its frame, and the errors of the session naming the frame.
    """
    latest: float | None = None
    for frame in frames:
        started = time.perf_counter()
        new = annotations.for_frame(frame.index, frame.stamp, latest)
        latest = frame.stamp if latest is None else max(latest, frame.stamp)
        try:
            session.observe(frame.image, stamp=frame.stamp)
            for annotation in new:
                session.annotate(annotation)
        except NeuralSegError as error:
            raise type(error)(f"frame {frame.index}: {error}") from None
        session.fit()
        result = session.result()
        seconds = time.perf_counter() - started
        # Before the first annotation there is nothing to judge: no class has been named yet.
        labels = truth.labels_of(frame) if truth is not None and session.annotations else None
        figures = {} if labels is None else _ious(frame, result, labels, session.classes)
        yield Step(frame, result, new, seconds, figures, float(np.mean(result.confidence)))


def _ious(frame: Frame, result: Result, truth: Labels, classes: Iterable[int]) -> dict[int, float]:
    if truth.shape != result.labels.shape:
        given, accepted = f"{truth.shape[1]}x{truth.shape[0]}", f"{result.labels.shape[1]}x{result.labels.shape[0]}"
        raise SourceError(f"ground truth of frame {frame.index}: got {given}, accepted: the frame's size {accepted}")
    unjudged = np.iinfo(truth.dtype).max
    present = {int(value) for value in np.unique(truth)} - {unjudged}
    figures = {}
    for class_id in sorted(present.union(classes) - {0}):
        wanted = (truth == class_id).astype(np.uint8)
        wanted[truth == unjudged] = IGNORE
        figures[class_id] = iou((result.labels == class_id).astype(np.uint8), wanted)
    return figures
