"""Readers for folders of images with a truth: the layout of GrabCut (one object) and of BSDS500 (many classes)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scipy.io
from numpy.typing import NDArray

from neural_seg_ros.errors import ConfigError, SourceError
from neural_seg_ros.evaluate.metrics import IGNORE
from neural_seg_ros.evaluate.nearest import Labels
from neural_seg_ros.image import MIN_SIDE, field_shape, resize_image
from neural_seg_ros.label_file import read_labels
from neural_seg_ros.video import image_paths, read_image

GRABCUT_LAYOUT = "images/NAME.jpg with masks/NAME.png (0 background, 128 ignored, 255 object)"
BSDS_LAYOUT = "images/NAME.jpg with groundTruth/NAME.mat (BSDS500)"
SMALLEST_SHARE = 0.02
ANNOTATORS = ("median", "all")


@dataclass(frozen=True)
class Sample:
    """An image (H, W, 3) uint8 RGB and its truth (H, W) uint8 of class ids, IGNORE where nothing is judged."""

    name: str
    image: NDArray[np.uint8]
    truth: Labels


@dataclass(frozen=True)
class ObjectItem:
    """One image with the mask of one object: class 1, the rest 0."""

    name: str
    image_path: Path
    truth_path: Path

    def load(self, longer_side: int = 0) -> Sample:
        """Read it, shrunk to ``longer_side`` pixels (0: as it is). Raises SourceError naming the file."""
        mask = read_labels(self.truth_path)
        strange = np.setdiff1d(mask, (0, 128, 255))
        if len(strange):
            raise SourceError(f"{self.truth_path}: got a mask with {strange[0]} in it, accepted: {GRABCUT_LAYOUT}")
        if not (mask == 255).any():
            raise SourceError(f"{self.truth_path}: got a mask without object, accepted: {GRABCUT_LAYOUT}")
        truth = np.full(mask.shape, IGNORE, np.uint8)
        truth[mask == 0], truth[mask == 255] = 0, 1
        return _sample(self.name, self.image_path, truth, longer_side)


@dataclass(frozen=True)
class RegionsItem:
    """One image with the segments of one annotator: those of more than 2 % of the image are classes 1, 2, ..."""

    name: str
    image_path: Path
    truth_path: Path
    annotator: int

    def load(self, longer_side: int = 0) -> Sample:
        """Read it, shrunk to ``longer_side`` pixels (0: as it is). Raises SourceError naming the file."""
        segments = _annotators(self.truth_path)[self.annotator]
        return _sample(self.name, self.image_path, _classes_of(segments), longer_side)


Item = ObjectItem | RegionsItem


def object_items(root: str | Path, limit: int = 0) -> list[ObjectItem]:
    """The images of a folder in the layout of GrabCut, by name; ``root`` may be above it. Raises SourceError."""
    pairs = _pairs(Path(root), ("", "grabcut"), "masks", ".png", GRABCUT_LAYOUT)
    return [ObjectItem(image.stem, image, mask) for image, mask in pairs[: limit or None]]


def region_items(root: str | Path, annotators: str = "median", limit: int = 0) -> list[RegionsItem]:
    """The images of a folder in the layout of BSDS500, by name; ``root`` may be above it.

    ``annotators``: ``median`` takes the one with the median number of segments, ``all`` makes an item for each.
    ``limit`` counts images. An annotator without a segment of more than 2 % is left out.
    Raises SourceError or ConfigError.
    """
    if annotators not in ANNOTATORS:
        raise ConfigError(f"annotators: got {annotators!r}, accepted: {' | '.join(ANNOTATORS)}")
    pairs = _pairs(Path(root), ("", "val", "bsds500/val"), "groundTruth", ".mat", BSDS_LAYOUT)
    items = []
    for image, truth in pairs[: limit or None]:
        segments = _annotators(truth)
        usable = [i for i, ids in enumerate(segments) if (_classes_of(ids) != IGNORE).any()]
        if annotators == "all":
            items += [RegionsItem(f"{image.stem}-{i}", image, truth, i) for i in usable]
        elif usable:
            by_count = sorted(usable, key=lambda i: len(np.unique(segments[i])))
            items.append(RegionsItem(image.stem, image, truth, by_count[(len(by_count) - 1) // 2]))
    return items


def _pairs(root: Path, subfolders: tuple[str, ...], truths: str, suffix: str, layout: str) -> list[tuple[Path, Path]]:
    """(image, truth) paths below the first of ``subfolders`` that has both folders."""
    folders = [root / sub for sub in subfolders]
    folder = next((f for f in folders if (f / "images").is_dir() and (f / truths).is_dir()), None)
    if folder is None:
        raise SourceError(f"{root}: no folders images and {truths} there, accepted: {layout}")
    images = image_paths(folder / "images")
    if not images:
        raise SourceError(f"{folder / 'images'}: no images there, accepted: {layout}")
    pairs = [(image, folder / truths / f"{image.stem}{suffix}") for image in images]
    missing = next((truth for _, truth in pairs if not truth.is_file()), None)
    if missing is not None:
        raise SourceError(f"{missing}: missing, accepted: {layout}")
    return pairs


def _annotators(path: Path) -> list[NDArray[Any]]:
    """The segment ids (H, W) of every annotator of a BSDS500 ground truth file."""
    try:
        cells = scipy.io.loadmat(str(path))["groundTruth"].ravel()
        return [np.asarray(cell["Segmentation"][0, 0]) for cell in cells]
    # scipy raises many kinds of error for a damaged file.
    except Exception as error:
        raise SourceError(f"{path}: cannot be read ({type(error).__name__}), accepted: {BSDS_LAYOUT}") from None


def _classes_of(segments: NDArray[Any]) -> Labels:
    """Segments of more than SMALLEST_SHARE of the image as classes 1, 2, ... in order of id, the others IGNORE."""
    _, index, counts = np.unique(segments, return_inverse=True, return_counts=True)
    large = counts > SMALLEST_SHARE * segments.size
    classes = np.where(large, np.cumsum(large), IGNORE).astype(np.uint8)
    return np.asarray(classes[index.reshape(segments.shape)], np.uint8)


def _sample(name: str, image_path: Path, truth: Labels, longer_side: int) -> Sample:
    image = read_image(image_path)
    if image.shape[:2] != truth.shape:
        given = f"{image.shape[1]}x{image.shape[0]} for a truth of {truth.shape[1]}x{truth.shape[0]}"
        raise SourceError(f"{image_path}: got {given}, accepted: equal sizes")
    if longer_side:
        height, width = truth.shape
        height, width = field_shape(height, width, longer_side, least=MIN_SIDE)
        image = resize_image(image, height, width)
        truth = np.asarray(cv2.resize(truth, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
    return Sample(name, image, truth)
