"""Tracking: the answer of an annotated frame, carried to the frames that follow."""

from neural_seg_ros.tracking.session_tracker import SessionTracker
from neural_seg_ros.tracking.tracker import Tracker

__all__ = ["SessionTracker", "Tracker"]
