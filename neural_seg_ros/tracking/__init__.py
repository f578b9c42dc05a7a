"""Tracking: the answer of an annotated frame, carried to the frames that follow."""

from neural_seg_ros.tracking.session_tracker import Following
from neural_seg_ros.tracking.tracker import Tracker

__all__ = ["Following", "Tracker"]
