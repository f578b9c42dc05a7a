"""What autosave is told of a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation
from neural_seg_ros.live.inbox import Frame
from neural_seg_ros.live.kept import KeptFrame

if TYPE_CHECKING:
    from neural_seg_ros.placed import Placed


@dataclass(frozen=True)
class Now:
    """A session's annotations, and the frame that the newest of them are on.

    frame_number  of that frame, as in ``Placed``
    frame         (H, W, 3) uint8, None before the first
    keys          what was drawn under a key, by ``id`` of the annotation
    """

    placed: tuple[Placed, ...]
    frame_number: int
    stamp: float
    frame: NDArray[np.uint8] | None
    keys: Mapping[int, int]


@dataclass(frozen=True)
class Ask:
    """A command came, for that frame; nobody has executed it yet."""

    number: int
    do: str
    annotations: tuple[Annotation, ...]
    frame: Frame | None
    key: int | None


@dataclass(frozen=True)
class Change:
    """A command was executed, or will not be (then without ``now``)."""

    number: int
    now: Now | None


@dataclass(frozen=True)
class Begin:
    """A session took the place of the one before.

    base    whose annotations are the first ``count``
    frames  of the others, by frame number
    done    commands that it knows of
    aside   move what was kept before out of the way
    """

    now: Now
    base: str | None = None
    count: int = 0
    frames: Mapping[int, KeptFrame] = field(default_factory=dict)
    done: frozenset[int] = frozenset()
    aside: bool = False


Event = Ask | Change | Begin
