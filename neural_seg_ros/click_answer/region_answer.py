"""The region graph's answer to one frame, version by version as annotations are added and undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation
from neural_seg_ros.annotations.implied import AnnotationTargets, Draw
from neural_seg_ros.click_answer.boxes import recall_boxes
from neural_seg_ros.click_answer.carried_seeds import keep_elsewhere, recall
from neural_seg_ros.click_answer.estimate import Estimate
from neural_seg_ros.click_answer.graph import graph_answer
from neural_seg_ros.click_answer.outline import fit_outlines
from neural_seg_ros.click_answer.vote import PastClick
from neural_seg_ros.images.arrays import MIN_SIDE, field_shape, resize_channels, resize_image
from neural_seg_ros.regions import FEW_MEMBERS, MEMBERS, RegionFinder, Regions

GRAPH_SIDE_PX = 300
# Versions that undo can return to exactly; older ones are computed anew.
MAX_VERSIONS = 64

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class AnswerVersion:
    """The answer after some annotations of one frame, oldest first.

    clicks         those among the annotations, with the labels that the user saw when making each
    labels         (R,) int64 channel of every superpixel
    ensemble_size  segmentations that the region graph was made from
    """

    annotations: tuple[Annotation, ...]
    channels: int
    clicks: tuple[PastClick, ...]
    labels: NDArray[np.int64]
    estimate: Estimate
    ensemble_size: int

    def starts(self, annotations: Sequence[Annotation]) -> bool:
        """Return whether ``annotations`` begin with those of this version."""
        return self.annotations == tuple(annotations[: len(self.annotations)])


class RegionAnswer:
    """The answers to one frame's annotations by its region graph (``answer: fused``).

    A background thread finds the region graph; a click waits for it.
    """

    def __init__(self, image: NDArray[np.uint8]) -> None:
        """Take a frame, (H, W, 3) uint8 RGB; nothing is computed yet."""
        self._image = image
        self._finding = _RegionFinding(image)
        self._versions: list[AnswerVersion] = []

    def cleared(self) -> RegionAnswer:
        """Return an answer to the same frame without versions, which shares the region graph."""
        answer = RegionAnswer.__new__(RegionAnswer)
        answer._image, answer._finding, answer._versions = self._image, self._finding, []
        return answer

    def close(self) -> None:
        """Start no more work: the frame is no longer needed."""
        self._finding.stop()

    def prepare(self, wait: bool) -> None:
        """Find the region graph in the background; with ``wait``, return when it is found."""
        if not wait:
            # A preview meanwhile waits for these only.
            self._finding.start(FEW_MEMBERS)
        regions = self._finding.start(MEMBERS)
        if wait:
            regions.result()

    @property
    def is_prepared(self) -> bool:
        """True if the region graph from the whole ensemble is found."""
        return self._finding.is_done(MEMBERS)

    def update(self, draw: Draw, prior: Estimate | None, fast: bool) -> Estimate | None:
        """Answer the frame's annotations together with its prior estimate, at 300 pixels.

        Annotations since the last version are answered together. If annotations were undone, return the earlier version
        exactly.
        prior: estimate of this frame from before its first annotation; fast: answer from FEW_MEMBERS segmentations
        if the frame is not prepared. Returns None where nothing is drawn.
        """
        targets = draw(_graph_shape(self._image))
        if not targets.weights.any():
            return None
        annotations = _annotations(targets)
        self._drop_undone(annotations, targets.count)
        last = self._versions[-1] if self._versions else None
        answered = last is not None and last.annotations == annotations and last.channels == targets.count
        if answered and self.better_available(fast):
            # Replace the preview: what the user saw before these annotations stays as it was.
            self._versions.pop()
            answered, last = False, self._versions[-1] if self._versions else None
        if not answered:
            if fast and not self.is_prepared:
                self._finding.start(FEW_MEMBERS).result()
            ensemble_size = FEW_MEMBERS if fast and not self.is_prepared else MEMBERS
            self._versions.append(self._version(targets, prior, last, ensemble_size))
            del self._versions[:-MAX_VERSIONS]
        return self._versions[-1].estimate

    def better_available(self, fast: bool) -> bool:
        """Return whether the newest version is a preview that can be improved, with ``fast`` without waiting."""
        return bool(self._versions) and self._versions[-1].ensemble_size < MEMBERS and (self.is_prepared or not fast)

    def saved(self, annotations: Sequence[Annotation]) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
        """Return, as JSON values and arrays, the versions that ``annotations`` of this frame begin with."""
        return _to_json([version for version in self._versions if version.starts(annotations)])

    def restore(self, values: Sequence[Mapping[str, Any]], arrays: Arrays, annotations: Sequence[Annotation]) -> None:
        """Take the versions that ``saved`` returned. Raises KeyError, TypeError or ValueError for other values."""
        self._versions = _from_json(values, arrays, self._image, annotations)

    def _drop_undone(self, annotations: tuple[Annotation, ...], channels: int) -> None:
        """Drop the versions whose annotations are not the first ones of ``annotations``."""
        while self._versions:
            version = self._versions[-1]
            if version.channels <= channels and version.starts(annotations):
                return
            self._versions.pop()

    def _version(
        self, targets: AnnotationTargets, prior: Estimate | None, last: AnswerVersion | None, ensemble_size: int
    ) -> AnswerVersion:
        annotations = _annotations(targets)
        regions = self._finding.start(ensemble_size).result()
        clicks = last.clicks if last is not None else ()
        known = len(last.annotations) if last is not None else 0
        previous = last.labels if last is not None else None
        if last is None and prior is not None:
            previous = _labels_at_centroids(regions, prior)
        new = targets.marks[known:]
        clicks += tuple(PastClick(mark.channels[0], *mark.pixel, previous) for mark in new if mark.pixel is not None)
        new_classes = {channel for mark in new for channel in mark.channels}
        if prior is not None:
            targets = recall(targets, prior)
        targets = fit_outlines(recall_boxes(targets, regions))
        answer = graph_answer(
            regions, targets.labels, targets.weights, targets.count, clicks, previous, new_classes, targets.rest
        )
        if prior is not None and previous is not None:
            base = prior if last is None else last.estimate
            answer = keep_elsewhere(regions, answer, base, previous, targets.weights == 1)
        estimate = Estimate(targets.image, answer.probabilities, answer.top_odds_divisor)
        return AnswerVersion(annotations, targets.count, clicks, answer.classes, estimate, ensemble_size)


class _RegionFinding:
    """The region graphs of one image from parts of the ensemble, each computed once in a background thread."""

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self._image = image
        self._finder: RegionFinder | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._regions: dict[int, Future[Regions]] = {}

    def start(self, ensemble_size: int) -> Future[Regions]:
        """Start the graph from ``ensemble_size`` segmentations, or return the one that was started."""
        if self._finder is None or self._thread is None:
            small = resize_image(self._image, *_graph_shape(self._image))
            self._finder, self._thread = RegionFinder(small), ThreadPoolExecutor(1, "regions")
        if ensemble_size not in self._regions:
            self._regions[ensemble_size] = self._thread.submit(self._finder.regions, ensemble_size)
        return self._regions[ensemble_size]

    def is_done(self, ensemble_size: int) -> bool:
        """Return whether the graph from ``ensemble_size`` segmentations is found."""
        return ensemble_size in self._regions and self._regions[ensemble_size].done()

    def stop(self) -> None:
        """Start no more work; the thread ends after its current task."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)


# The keys below are those of the session file.


def _to_json(versions: Sequence[AnswerVersion]) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
    """Return versions as JSON values, and the arrays that these name."""
    arrays: dict[str, NDArray[Any]] = {}
    # Clicks share the array of labels with the version that showed it: each array is written once.
    names = {id(version.labels): f"{number}.classes" for number, version in enumerate(versions)}
    values = []
    for number, version in enumerate(versions):
        clicks: list[tuple[int, int, int, str | None]] = []
        for click in version.clicks:
            name = None
            if click.previous_labels is not None:
                name = names.setdefault(id(click.previous_labels), f"seen.{len(names)}")
                arrays[name] = click.previous_labels
            clicks.append((click.channel, click.x, click.y, name))
        arrays[f"{number}.classes"] = version.labels
        arrays[f"{number}.probabilities"] = version.estimate.probabilities
        counts = {
            "annotations": len(version.annotations),
            "channels": version.channels,
            "members": version.ensemble_size,
        }
        values.append({**counts, "clicks": clicks, "doubt": version.estimate.top_odds_divisor})
    return values, arrays


def _from_json(
    values: Sequence[Mapping[str, Any]], arrays: Arrays, image: NDArray[np.uint8], annotations: Sequence[Annotation]
) -> list[AnswerVersion]:
    """Return the versions that ``_to_json`` described, of a frame (H, W, 3) and its annotations, oldest first.

    Raises KeyError and TypeError for other values.
    """
    versions = []
    for number, value in enumerate(values):
        clicks = tuple(
            PastClick(channel, x, y, None if name is None else arrays[name]) for channel, x, y, name in value["clicks"]
        )
        probabilities = arrays[f"{number}.probabilities"]
        small = resize_image(image, *probabilities.shape[1:])
        estimate = Estimate(small, probabilities, float(value["doubt"]))
        made = tuple(annotations[: int(value["annotations"])])
        labels, channels, ensemble_size = arrays[f"{number}.classes"], int(value["channels"]), int(value["members"])
        versions.append(AnswerVersion(made, channels, clicks, labels, estimate, ensemble_size))
    return versions


def _annotations(targets: AnnotationTargets) -> tuple[Annotation, ...]:
    return tuple(mark.annotation for mark in targets.marks)


def _graph_shape(image: NDArray[np.uint8]) -> tuple[int, int]:
    height, width = image.shape[:2]
    return field_shape(height, width, GRAPH_SIDE_PX, MIN_SIDE)


def _labels_at_centroids(regions: Regions, estimate: Estimate) -> NDArray[np.int64]:
    """Return (R,) the most probable channel of ``estimate`` at the center of every superpixel."""
    height, width = regions.ids.shape
    full = resize_channels(estimate.probabilities, height, width, cv2.INTER_LINEAR)
    x, y = np.rint(regions.centroids).astype(int).T
    return np.asarray(full[:, y, x].argmax(0), np.int64)
