"""Options of a live session."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from neural_seg_ros.config import ContourConfig
from neural_seg_ros.options import option, validate


@dataclass(frozen=True)
class LiveConfig:
    """The rate, age and number of frames of a live session, and the time for its fit."""

    lock_step: bool = option(
        False,
        "process every frame in order with all due steps and publish one mask for each, as a replay does; frames wait, "
        "and max_age, still_threshold, fit_budget_ms and publish_period have no effect",
        fixed=True,
    )
    max_age: float = option(0.1, "age in seconds above which a waiting frame is dropped as stale", low=0.001, high=60.0)
    ring: int = option(30, "number of recent frames kept for annotations with a past stamp", low=1, high=1000)
    ring_megabytes: int = option(
        64, "memory in megabytes for the frames of ring; beyond it the oldest are dropped", low=1, high=4096
    )
    still_threshold: float = option(
        4.0,
        "gray levels (0-255) up to which a scene is still: no block of a 32x24 grid differs by more from the fitted "
        "frame; 0: every frame is fitted",
        low=0.0,
        high=255.0,
    )
    fit_budget_ms: float = option(
        100.0,
        "target time in milliseconds from a new frame to its mask; the fit gets the time that the answer leaves, and "
        "at least one step",
        low=1.0,
        high=10_000.0,
    )
    publish_period: float = option(
        0.0, "shortest time between masks in seconds; 0: after every slice of the fit", low=0.0, high=60.0
    )
    contour_rate: float = option(1.0, "highest rate of contours and segments in Hz; 0: none", low=0.0, high=60.0)
    segment_threshold: float = option(
        0.4,
        "contour strength above which a contour divides segments; higher values give fewer segments",
        low=0.0,
        high=1.0,
    )
    contours: ContourConfig = dataclasses.field(default_factory=lambda: ContourConfig(method="fast", size=320))

    def __post_init__(self) -> None:
        validate(self)

    @property
    def fit_budget(self) -> float:
        """The target time from a new frame to its mask in seconds."""
        return self.fit_budget_ms / 1000

    @property
    def ring_bytes(self) -> int:
        """The memory for recent frames in bytes."""
        return self.ring_megabytes * 2**20
