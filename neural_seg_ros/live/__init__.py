"""A session behind a one-slot latest frame and a worker thread, for sources that do not wait (a live camera)."""

from neural_seg_ros.live.autosave.autosave import Autosave
from neural_seg_ros.live.autosave.resume import open_autosave
from neural_seg_ros.live.callbacks import LiveCallbacks, LiveResult
from neural_seg_ros.live.config import LiveConfig
from neural_seg_ros.live.contour_worker import ContourCallbacks, ContourResult
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
