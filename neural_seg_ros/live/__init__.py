"""A session behind a one-slot latest frame and a worker thread, for sources that do not wait (a live camera)."""

from neural_seg_ros.live.autosave.autosave import Autosave
from neural_seg_ros.live.autosave.resume import resume
from neural_seg_ros.live.callbacks import Listener, Output
from neural_seg_ros.live.config import LiveConfig
from neural_seg_ros.live.contour_worker import ContourListener, ContourOutput
from neural_seg_ros.live.health import HealthConfig
from neural_seg_ros.live.live_session import LiveSession
from neural_seg_ros.live.statistics import LiveStatus

__all__ = [
    "Autosave",
    "ContourListener",
    "ContourOutput",
    "HealthConfig",
    "Listener",
    "LiveConfig",
    "LiveSession",
    "LiveStatus",
    "Output",
    "resume",
]
