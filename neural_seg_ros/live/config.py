"""Options of a live session."""

from __future__ import annotations

from dataclasses import dataclass

from neural_seg_ros.options import option, validate


@dataclass(frozen=True)
class LiveConfig:
    """How a live session treats frames and shares its time between fitting and answering."""

    max_age: float = option(0.1, "seconds after which a waiting frame is refused as stale", low=0.001, high=60.0)
    ring: int = option(30, "recent frames that an annotation with a past stamp can go to", low=1, high=1000)
    ring_megabytes: int = option(64, "memory for the recent frames; the oldest are let go first", low=1, high=4096)
    still_threshold: float = option(
        4.0,
        "a scene is still while no block of a 32x24 grid differs by more than this from the fitted frame, "
        "in grey levels of 0-255; 0 fits every frame",
        low=0.0,
        high=255.0,
    )
    slice_steps: int = option(3, "fit steps between looks for new clicks and frames", low=1, high=1000)
    publish_period: float = option(0.0, "least seconds between masks, 0 for one after every slice", low=0.0, high=60.0)

    def __post_init__(self) -> None:
        validate(self)

    @property
    def ring_bytes(self) -> int:
        """The memory for recent frames in bytes."""
        return self.ring_megabytes * 2**20
