"""A tracker on one sequence: annotations on its first frame, then measurements on every frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np

from neural_seg_ros.annotations import Click, Mask
from neural_seg_ros.drawing import compare
from neural_seg_ros.errors import ConfigError, SourceError
from neural_seg_ros.evaluation.contestants import Contestant
from neural_seg_ros.evaluation.datasets import Sample
from neural_seg_ros.evaluation.labelers import Labeling
from neural_seg_ros.evaluation.robot import first_region_clicks, next_object_click, next_region_click
from neural_seg_ros.evaluation.tracking.occluder import SEARCH, occluder_of
from neural_seg_ros.evaluation.tracking.sequences import SequenceItem, objects_of
from neural_seg_ros.evaluation.tracking.trackers import Tracker
from neural_seg_ros.images.arrays import Labels, field_shape, resize_image
from neural_seg_ros.images.files import RgbImage
from neural_seg_ros.jobs import Backend, run_jobs
from neural_seg_ros.metrics import SUCCESS, Values, contour_accuracy, iou, judged

STARTS = ("mask", "clicks")
CLICKS_AN_OBJECT = 3
PICTURE_SIDE = 320
# Numbers of frames with pictures: evenly over the sequence, and the worst ones.
SHOWN = 6


@dataclass(frozen=True)
class Task:
    """One tracker on one sequence; the options are those of ``Plan``."""

    item: SequenceItem
    contestant: Contestant[Tracker]
    start: str
    longer_side: int
    occlude: int


@dataclass(frozen=True)
class Plan:
    """Every contestant on every sequence.

    start        annotations of the first frame: its true ``mask``, or robot ``clicks``
    longer_side  images and truths are shrunk to it for everybody, 0: as they are
    occlude      frames on which a synthetic occluder hides all objects, 0: none
    """

    items: tuple[SequenceItem, ...]
    contestants: tuple[Contestant[Tracker], ...]
    start: str = "mask"
    longer_side: int = 0
    occlude: int = 0

    def __post_init__(self) -> None:
        check_start(self.start)

    def tasks(self) -> list[Task]:
        """Yield tasks sequence by sequence."""
        return [
            Task(item, contestant, self.start, self.longer_side, self.occlude)
            for item in self.items
            for contestant in self.contestants
        ]


@dataclass(frozen=True)
class Run:
    """One tracker on one sequence, measured on every frame.

    objects        ids of the objects of the first frame
    j, f           (objects, frames)
    start_seconds  from the first frame to its labels, with all clicks
    seconds        of every frame after the first
    found          whether each object was found again after it was hidden; None where nothing was
    pictures       {frame: (h, w, 3) uint8 RGB with both contours}: of SHOWN frames evenly, and of the worst SHOWN
    """

    tracker: str
    sequence: str
    objects: tuple[int, ...]
    j: Values
    f: Values
    start_seconds: float
    seconds: tuple[float, ...]
    found: tuple[bool, ...] | None
    pictures: Mapping[int, RgbImage]


@dataclass(frozen=True)
class Failure:
    """A tracker that did not come through a sequence, and why, in one line."""

    tracker: str
    sequence: str
    reason: str

    def __str__(self) -> str:
        return f"{self.tracker} on {self.sequence}: {self.reason}"


def check_start(start: str) -> None:
    """Raise ConfigError unless there is such a start."""
    if start not in STARTS:
        raise ConfigError(f"--start: got {start!r}, accepted: {' | '.join(STARTS)}")


def attempts(tasks: Sequence[Task], backend: Backend[Task, Run], retries: int) -> Iterator[Run | Failure]:
    """Yield the outcome of every try of every task, in the order in which they end; failed ones are retried."""
    for outcome in run_jobs(track_on_one_thread, tasks, backend, retries):
        if outcome.value is not None:
            yield outcome.value
        else:
            yield Failure(outcome.job.contestant.name, outcome.job.item.name, str(outcome.error))


def track_on_one_thread(task: Task) -> Run:
    """``track`` with one thread, so that times compare; the process has its own number again when it ends."""
    if task.contestant.config is None and task.start != "clicks":
        # Peers alone, from a mask, need no torch.
        with _threads(cv2.getNumThreads(), cv2.setNumThreads):
            return track(task)
    import torch

    with _threads(cv2.getNumThreads(), cv2.setNumThreads), _threads(torch.get_num_threads(), torch.set_num_threads):
        return track(task)


@contextmanager
def _threads(before: int, choose: Callable[[int], object]) -> Iterator[None]:
    """Compute with one thread inside, and as many as before afterwards."""
    choose(1)
    try:
        yield
    finally:
        choose(before)


def track(task: Task) -> Run:
    """Label the first frame as ``task.start`` says, then follow. Raises SourceError."""
    item = task.item
    objects = objects_of(item.load(0, task.longer_side).truth)
    if not objects:
        raise SourceError(f"{item.truths[0]}: got a mask without object, accepted: one with an object")
    occluder = occluder_of(item, task.occlude, task.longer_side) if task.occlude else None
    tracker = task.contestant.build()
    figures, seconds, pictures = [], [], []
    for number in range(len(item.images)):
        sample = item.load(number, task.longer_side)
        if occluder is not None:
            sample = occluder.over(sample, number)
        began = time.perf_counter()
        labeling = tracker.follow(sample.image) if number else _begin(tracker, sample, task.start, len(objects))
        seconds.append(time.perf_counter() - began)
        labels, truth = labeling.labels, sample.truth
        figures.append(
            [[measure(labels, truth, class_id) for class_id in objects] for measure in (iou, contour_accuracy)]
        )
        pictures.append(_picture(sample, labels))
    j, f = np.moveaxis(np.array(figures), 0, -1)
    found = None
    if occluder is not None:
        found = tuple((j[:, occluder.reappeared :][:, :SEARCH] > SUCCESS).any(1).tolist())
    kept = {number: pictures[number] for number in (*shown_frames(j), *worst_frames(j))}
    return Run(task.contestant.name, item.name, objects, j, f, seconds[0], tuple(seconds[1:]), found, kept)


def shown_frames(j: Values) -> list[int]:
    """Choose frames evenly over the sequence, the first and the last among them."""
    return sorted({int(number) for number in np.linspace(0, j.shape[1] - 1, SHOWN).round()})


def worst_frames(j: Values) -> list[int]:
    """Find the judged frames of the lowest J, averaged over the objects, the worst first."""
    return [int(number) + 1 for number in np.argsort(judged(j).mean(0), kind="stable")[:SHOWN]]


def _begin(tracker: Tracker, sample: Sample, start: str, objects: int) -> Labeling:
    tracker.start(sample.image)
    if start == "mask":
        return tracker.label([Mask(sample.truth)])
    return _clicked(tracker, sample.truth, objects)


def _clicked(tracker: Tracker, truth: Labels, objects: int) -> Labeling:
    """Make three robot clicks an object. One object is clicked as in ``evaluate clicks``; of several every one gets its
    first click at once, and so does the background, as each pixel goes to a clicked class."""
    drawn: tuple[Click, ...] = ()
    following = next_object_click
    if objects > 1:
        drawn, following = first_region_clicks(truth), next_region_click
    labeling = tracker.label(drawn) if drawn else Labeling(np.zeros_like(truth))
    while len(drawn) < CLICKS_AN_OBJECT * objects:
        click = following(labeling.labels, truth, drawn)
        if click is None:
            break
        drawn = (*drawn, click)
        labeling = tracker.label(drawn)
    return labeling


def _picture(sample: Sample, labels: Labels) -> RgbImage:
    height, width = sample.truth.shape
    image = resize_image(sample.image, *field_shape(height, width, PICTURE_SIDE, least=1))
    return compare(image, labels, sample.truth)
