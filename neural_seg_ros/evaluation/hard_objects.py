"""The harder single objects: BSDS500 segments on which annotators agree, and frames of DAVIS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.evaluation.datasets import Item, Sample, annotators_of, bsds_pairs, sample_of
from neural_seg_ros.evaluation.tracking.sequences import sequence_folders
from neural_seg_ros.images.files import image_paths, read_labels
from neural_seg_ros.metrics import IGNORE

SEGMENTS = 30
# Shares of the image's pixels, and of the pixels of its border.
SMALLEST, LARGEST, MOST_BORDER = 0.01, 0.40, 0.25
# A part of another annotator's belongs to a segment when this share of it lies inside.
INSIDE = 0.90
OTHERS = 3
# The IoU at which annotators agree; the next is tried when too few images have such a segment.
AGREEMENTS = (0.80, 0.75, 0.70, 0.65, 0.60)
MOMENTS = (1, 3)


@dataclass(frozen=True)
class SegmentItem:
    """One image of BSDS500 with one annotator's segment as the object, as far as the agreeing annotators agree.

    Pixels that all of them have are 1, pixels that none has 0, the others IGNORE.
    """

    name: str
    image_path: Path
    truth_path: Path
    annotator: int
    segment: int
    agreement: float

    def load(self, longer_side: int = 0) -> Sample:
        """Read it, shrunk to ``longer_side`` pixels (0: as it is). Raises SourceError naming the file."""
        annotators = annotators_of(self.truth_path)
        own = annotators[self.annotator] == self.segment
        masks = [own]
        for ids in annotators[: self.annotator] + annotators[self.annotator + 1 :]:
            segments, index = np.unique(ids, return_inverse=True)
            common = _common(own.astype(np.int64), index.reshape(own.shape))
            chosen, iou = _match(common[1], common[1].sum(), common.sum(0))
            if iou >= self.agreement:
                masks.append(np.isin(ids, segments[chosen]))
        truth = np.where(np.all(masks, 0), 1, np.where(np.any(masks, 0), IGNORE, 0)).astype(np.uint8)
        return sample_of(self.name, self.image_path, truth, longer_side)


@dataclass(frozen=True)
class FrameItem:
    """One frame of DAVIS with its object."""

    name: str
    image_path: Path
    truth_path: Path

    def load(self, longer_side: int = 0) -> Sample:
        """Read it, shrunk to ``longer_side`` pixels (0: as it is). Raises SourceError naming the file."""
        truth = (read_labels(self.truth_path) > 0).astype(np.uint8)
        return sample_of(self.name, self.image_path, truth, longer_side)


def hard_items(root: str | Path, limit: int = 0) -> list[Item]:
    """List segments of ``root``/bsds500 by name, then two frames of every sequence of ``root``/davis.

    A segment has 1 % to 40 % of the image and at most a quarter of its border, and at least three other annotators (or
    all of them) have it too, whole or in parts, with an IoU of .80; less when fewer than 30 images have such a segment.
    An image gives the one of the largest mean IoU x sqrt(area), and the 30 images of the largest mean IoU are taken.
    Raises SourceError.
    """
    items: list[Item] = [*_segments(Path(root)), *_frames(Path(root) / "davis")]
    return items[: limit or None]


@dataclass(frozen=True)
class _Candidate:
    """A segment of one annotator; ``ious`` are those of the other annotators' matches, largest first."""

    annotator: int
    segment: int
    share: float
    ious: tuple[float, ...]

    @property
    def mean_iou(self) -> float:
        return float(np.mean(self.ious))

    def agreed(self, agreement: float) -> bool:
        return self.ious[:OTHERS][-1] >= agreement


def _segments(root: Path) -> list[SegmentItem]:
    pairs = bsds_pairs(root)
    candidates = [list(_candidates(annotators_of(truth))) for _, truth in pairs]
    chosen: list[tuple[_Candidate, SegmentItem]] = []
    for agreement in AGREEMENTS:
        chosen = []
        for (image, truth), of_image in zip(pairs, candidates, strict=True):
            agreed = [candidate for candidate in of_image if candidate.agreed(agreement)]
            if agreed:
                best = max(agreed, key=lambda candidate: candidate.mean_iou * candidate.share**0.5)
                item = SegmentItem(image.stem, image, truth, best.annotator, best.segment, agreement)
                chosen.append((best, item))
        if len(chosen) >= SEGMENTS:
            break
    chosen.sort(key=lambda entry: -entry[0].mean_iou)
    return sorted((item for _, item in chosen[:SEGMENTS]), key=lambda item: item.name)


def _candidates(annotators: Sequence[NDArray[Any]]) -> Iterator[_Candidate]:
    """Yield segments of the right size and place that another annotator could have."""
    if len(annotators) < 2:
        return
    uniques = [np.unique(ids, return_inverse=True) for ids in annotators]
    indices = [index.reshape(annotators[0].shape) for _, index in uniques]
    for own, (ids, _) in enumerate(uniques):
        areas = np.bincount(indices[own].ravel())
        border = np.bincount(_border(indices[own]), minlength=len(ids))
        shares = areas / indices[own].size
        fitting = (shares >= SMALLEST) & (shares <= LARGEST) & (border <= MOST_BORDER * border.sum())
        tables = [_common(indices[own], index) for i, index in enumerate(indices) if i != own]
        for segment in np.flatnonzero(fitting):
            ious = sorted((_match(table[segment], areas[segment], table.sum(0))[1] for table in tables), reverse=True)
            yield _Candidate(own, int(ids[segment]), float(shares[segment]), tuple(ious))


def _border(image: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([image[0], image[-1], image[1:-1, 0], image[1:-1, -1]])


def _common(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the pixels that every segment of ``first`` (a row) shares with every segment of ``second`` (a column)."""
    rows, columns = int(first.max()) + 1, int(second.max()) + 1
    return np.bincount((first * columns + second).ravel(), minlength=rows * columns).reshape(rows, columns)


def _match(common: NDArray[np.int64], area: int, areas: NDArray[np.int64]) -> tuple[NDArray[np.bool_], float]:
    """Find another annotator's segments for a segment of ``area`` pixels, and their IoU with it.

    They are the best one or all that lie inside together, whichever is better; ``areas`` are those of the other
    annotator's segments and ``common`` the pixels that each shares with the segment.
    """
    single = common / (area + areas - common)
    inside = common >= INSIDE * areas
    together = common[inside].sum() / (area + (areas - common)[inside].sum())
    if together >= single.max():
        return inside, float(together)
    return np.arange(len(areas)) == single.argmax(), float(single.max())


VIDEO_STEP = 15


def video_items(root: str | Path, limit: int = 0) -> list[Item]:
    """List every 15th frame of every sequence of ``root``/davis, or of ``root``. Raises SourceError."""
    folder = Path(root) / "davis" if (Path(root) / "davis").is_dir() else Path(root)
    items: list[Item] = [
        FrameItem(f"{images.name}-{frame.stem}", frame, truths / f"{frame.stem}.png")
        for images, truths in sequence_folders(folder)
        for frame in image_paths(images)[::VIDEO_STEP]
    ]
    return items[: limit or None]


def _frames(root: Path) -> Iterator[FrameItem]:
    """List the frames at a quarter and at three quarters of every sequence."""
    for images, truths in sequence_folders(root):
        frames = image_paths(images)
        for quarters in MOMENTS:
            frame = frames[quarters * len(frames) // 4]
            yield FrameItem(f"{images.name}-{frame.stem}", frame, truths / f"{frame.stem}.png")
