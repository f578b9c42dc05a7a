"""A session behind a one-slot latest frame and a worker thread, for sources that do not wait (a live camera)."""

from neural_seg_ros.live.autosave import Autosave
from neural_seg_ros.live.config import LiveConfig
from neural_seg_ros.live.contours import ContourListener, ContourOutput
from neural_seg_ros.live.health import HealthConfig
from neural_seg_ros.live.listener import Listener, Output
from neural_seg_ros.live.resume import resume
from neural_seg_ros.live.session import LiveSession
from neural_seg_ros.live.status import LiveStatus

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
