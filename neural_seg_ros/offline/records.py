"""The records of a labeled frame and of the state of a run, as JSON values."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from neural_seg_ros.annotations import Annotation, Mask
from neural_seg_ros.field.engine import Losses
from neural_seg_ros.offline.bags.frames import BagFrame, FramePosition
from neural_seg_ros.offline.run import Step


@dataclass(frozen=True)
class Record:
    """A labeled frame without its masks.

    size              (height, width)
    annotations       digests of the annotations of this frame
    classes           annotated so far on any frame
    seconds           from the frame to its result
    confidence        mean of the result's confidence, in [0, 1]
    class_confidence  the same over the pixels of each class
    """

    place: FramePosition
    stamp: float
    size: tuple[int, int]
    annotations: tuple[str, ...]
    classes: tuple[int, ...]
    seconds: float
    confidence: float
    class_confidence: dict[int, float]

    @property
    def index(self) -> int:
        return self.place.index


@dataclass(frozen=True)
class State:
    """The progress of a run.

    skipped  number of messages that could not be decoded, by reason
    dropped  number of frames that arrived faster than the fit
    fit      losses of the session after its last frame
    ended    True after the last frame
    damage   the damage or the repair of the bag, None for a whole bag
    """

    skipped: dict[str, int] = field(default_factory=dict)
    dropped: int = 0
    fit: Losses = field(default_factory=lambda: Losses(0, 0.0, 0.0, 0.0))
    ended: bool = False
    damage: str | None = None


def record_of(step: Step[BagFrame], classes: tuple[int, ...]) -> Record:
    """Return the record of a step; ``classes`` annotated so far."""
    height, width = step.result.labels.shape
    digests = tuple(digest(annotation) for annotation in step.annotations)
    frame = step.frame
    figures = step.seconds, step.confidence, step.class_confidence
    return Record(frame.place, frame.stamp, (height, width), digests, classes, *figures)


def digest(annotation: Annotation) -> str:
    """Return a text that is equal for equal annotations and different for others."""
    if isinstance(annotation, Mask):
        content = f"{annotation.labels.dtype} {annotation.labels.shape}".encode() + annotation.labels.tobytes()
    else:
        content = repr(annotation).encode()
    return hashlib.sha256(content).hexdigest()[:16]


def record_to_json(record: Record) -> dict[str, Any]:
    """Return JSON values of a record."""
    return dataclasses.asdict(record)


def record_from_json(values: Mapping[str, Any]) -> Record:
    """Read the values of ``record_to_json``. Raises KeyError and TypeError for others."""
    height, width = values["size"]
    confidence = {int(class_id): value for class_id, value in values["class_confidence"].items()}
    changed = {
        "place": FramePosition(**values["place"]),
        "size": (height, width),
        "annotations": tuple(values["annotations"]),
        "classes": tuple(values["classes"]),
        "class_confidence": confidence,
    }
    return Record(**{**values, **changed})


def state_to_json(state: State) -> dict[str, Any]:
    """Return JSON values of a state."""
    return dataclasses.asdict(state)


def state_from_json(values: Mapping[str, Any]) -> State:
    """Read the values of ``state_to_json``. Raises KeyError and TypeError for others."""
    return State(**{**values, "fit": Losses(**values["fit"])})
