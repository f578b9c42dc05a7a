"""Classical detectors, each from a well-kept library or a few lines of its paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from neural_seg_ros.evaluate.contours.peers.gradients import canny, roberts, sobel
from neural_seg_ros.evaluate.contours.play import Detector


def _always(detector: Detector) -> Detector:
    return detector


PEERS: Mapping[str, Callable[[], Detector]] = {
    detector.__name__: partial(_always, detector) for detector in (roberts, sobel, canny)
}
