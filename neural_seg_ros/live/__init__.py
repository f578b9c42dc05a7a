"""A session behind a one-slot inbox and a worker thread, for sources that do not wait, such as a live camera."""

from neural_seg_ros.live.autosave.autosave import Autosave
from neural_seg_ros.live.autosave.resume import open_autosave
from neural_seg_ros.live.callbacks import ContourCallbacks, ContourResult, LiveCallbacks, LiveResult
from neural_seg_ros.live.config import LiveConfig
from neural_seg_ros.live.health import HealthConfig
from neural_seg_ros.live.live_session import LiveSession
from neural_seg_ros.live.statistics import LiveStatus

__all__ = [
    "Autosave",
    "ContourCallbacks",
    "ContourResult",
    "HealthConfig",
    "LiveCallbacks",
    "LiveConfig",
    "LiveResult",
    "LiveSession",
    "LiveStatus",
    "open_autosave",
]
