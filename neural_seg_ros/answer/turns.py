"""The answers that a frame had one after the other, and as JSON values and arrays for a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation
from neural_seg_ros.answer.estimate import Estimate
from neural_seg_ros.answer.vote import PastClick
from neural_seg_ros.image import resize_image

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Turn:
    """What the user saw after some annotations of one frame, oldest first.

    clicks   those among the annotations, with what the user saw when making each
    classes  (R,) int64 channel of every region
    members  segmentations that the regions were found with
    """

    annotations: tuple[Annotation, ...]
    channels: int
    clicks: tuple[PastClick, ...]
    classes: NDArray[np.int64]
    estimate: Estimate
    members: int


def turns_to_json(turns: Sequence[Turn]) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
    """Turns as JSON values, and the arrays that these name."""
    arrays: dict[str, NDArray[Any]] = {}
    # Clicks share what was seen with each other and with the turn that showed it: it is written once.
    seen = {id(turn.classes): f"{number}.classes" for number, turn in enumerate(turns)}
    values = []
    for number, turn in enumerate(turns):
        clicks: list[tuple[int, int, int, str | None]] = []
        for click in turn.clicks:
            name = None
            if click.seen is not None:
                name = seen.setdefault(id(click.seen), f"seen.{len(seen)}")
                arrays[name] = click.seen
            clicks.append((click.channel, click.x, click.y, name))
        arrays[f"{number}.classes"] = turn.classes
        arrays[f"{number}.probabilities"] = turn.estimate.probabilities
        counts = {"annotations": len(turn.annotations), "channels": turn.channels, "members": turn.members}
        values.append({**counts, "clicks": clicks, "doubt": turn.estimate.doubt})
    return values, arrays


def turns_from_json(
    values: Sequence[Mapping[str, Any]],
    arrays: Arrays,
    frame: NDArray[np.uint8],
    annotations: Sequence[Annotation],
) -> list[Turn]:
    """What ``turns_to_json`` gave of a frame (H, W, 3) and its annotations, oldest first.

    Raises KeyError and TypeError when it is something else.
    """
    turns = []
    for number, value in enumerate(values):
        clicks = tuple(
            PastClick(channel, x, y, None if name is None else arrays[name]) for channel, x, y, name in value["clicks"]
        )
        probabilities = arrays[f"{number}.probabilities"]
        image = resize_image(frame, *probabilities.shape[1:])
        estimate = Estimate(image, probabilities, float(value["doubt"]))
        made = tuple(annotations[: int(value["annotations"])])
        classes, channels, members = arrays[f"{number}.classes"], int(value["channels"]), int(value["members"])
        turns.append(Turn(made, channels, clicks, classes, estimate, members))
    return turns
