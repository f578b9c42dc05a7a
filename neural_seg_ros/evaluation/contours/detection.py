"""The run of a contour detector on one image: strengths, time and counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.contours.detected import Contours
from neural_seg_ros.evaluation.contestants import Contestant
from neural_seg_ros.evaluation.contours.images import ContourItem, ContourSample
from neural_seg_ros.evaluation.contours.measures import Counts, counts_of, thresholds_of
from neural_seg_ros.evaluation.contours.segments import Agreement, agreement

Detector = Callable[[NDArray[np.uint8]], Contours]  # of an (H, W, 3) uint8 RGB image


@dataclass(frozen=True)
class Task:
    """One detector on one image; the options are those of ``Plan``."""

    item: ContourItem
    contestant: Contestant[Detector]
    longer_side: int
    thresholds: int


@dataclass(frozen=True)
class Plan:
    """Every contestant on every image.

    longer_side  images and truths are shrunk to it for everybody, 0: as they are
    thresholds   how many, evenly inside of 0 to 1
    """

    items: tuple[ContourItem, ...]
    contestants: tuple[Contestant[Detector], ...]
    longer_side: int = 0
    thresholds: int = 99

    def tasks(self) -> list[Task]:
        """Yield tasks image by image."""
        return [
            Task(item, contestant, self.longer_side, self.thresholds)
            for item in self.items
            for contestant in self.contestants
        ]


@dataclass(frozen=True)
class Run:
    """One detector on one image.

    counts     (thresholds, 4) see ``measures.Counts``
    agreement  of its segments, None where it has none
    picture    (H, W) uint8, the thin contours, 255 the strongest
    """

    detector: str
    image: str
    counts: Counts
    agreement: Agreement | None
    seconds: float
    picture: NDArray[np.uint8]


def detect(task: Task) -> Run:
    """Load the image, build the detector, and measure. Raises SourceError."""
    sample = task.item.load(task.longer_side)
    return measure(task.contestant.name, task.contestant.build(), sample, task.thresholds)


def measure(name: str, detector: Detector, sample: ContourSample, thresholds: int = 99) -> Run:
    """Measure a detector on one image; ``name`` is its name in reports."""
    began = time.perf_counter()
    contours = detector(sample.image)
    thin = contours.thin
    seconds = time.perf_counter() - began
    places = thresholds_of(thresholds)
    counts = counts_of(thin, sample.boundaries, places)
    agreed = None
    if contours.segments is not None:
        agreed = agreement(contours.segments, sample.segmentations, places)
    picture = np.asarray(np.rint(255 * thin), np.uint8)
    return Run(name, sample.name, counts, agreed, seconds, picture)
