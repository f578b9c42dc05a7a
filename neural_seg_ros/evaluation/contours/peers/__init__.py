"""Classical detectors, each from a well-kept library or a few lines of its paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from neural_seg_ros.evaluation.contours.detection import Detector
from neural_seg_ros.evaluation.contours.peers.clusters import kmeans, mean_shift, mrf
from neural_seg_ros.evaluation.contours.peers.gradients import canny, roberts, sobel
from neural_seg_ros.evaluation.contours.peers.regions import felzenszwalb, ncut, slic_rag, split_merge, watershed


def _always(detector: Detector) -> Detector:
    return detector


def _dfc() -> Detector:
    # The others need no torch.
    from neural_seg_ros.evaluation.contours.peers.dfc import dfc

    return dfc


PEERS: Mapping[str, Callable[[], Detector]] = {
    "roberts": partial(_always, roberts),
    "sobel": partial(_always, sobel),
    "canny": partial(_always, canny),
    "mean_shift": partial(_always, mean_shift),
    "kmeans": partial(_always, kmeans),
    "mrf": partial(_always, mrf),
    "slic_rag": partial(_always, slic_rag),
    "ncut": partial(_always, ncut),
    "felzenszwalb": partial(_always, felzenszwalb),
    "watershed": partial(_always, watershed),
    "split_merge": partial(_always, split_merge),
    "dfc": _dfc,
}
