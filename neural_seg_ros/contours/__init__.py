"""Contours and segments of an image, from its pixels alone."""

from neural_seg_ros.contours.detect import find_contours
from neural_seg_ros.contours.detected import Contours

__all__ = ["Contours", "find_contours"]
