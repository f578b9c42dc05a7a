"""Tracking: the answer of an annotated frame, carried to the frames that follow."""

from neural_seg_ros.track.following import Following
from neural_seg_ros.track.tracker import Tracker

__all__ = ["Following", "Tracker"]
