"""Readers for folders of images with a truth: the layout of GrabCut (one object) and of BSDS500 (many classes)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import scipy.io
from numpy.typing import NDArray

from neural_seg_ros.annotations import Box
from neural_seg_ros.errors import ConfigError, SourceError
from neural_seg_ros.images.arrays import MIN_SIDE, Labels, field_shape, resize_image
from neural_seg_ros.images.files import image_paths, read_image, read_labels
from neural_seg_ros.metrics import IGNORE

GRABCUT_LAYOUT = "images/NAME.jpg with masks/NAME.png (0 background, 128 ignored, 255 object)"
BOX_LAYOUT = "boxes/NAME.png (128 inside the user's box)"
BSDS_LAYOUT = "images/NAME.jpg with groundTruth/NAME.mat (BSDS500)"
SMALLEST_SHARE = 0.02
MARGIN = 0.05
ANNOTATORS = ("median", "all")


@dataclass(frozen=True)
class Sample:
    """An image (H, W, 3) uint8 RGB and its truth (H, W) uint8 of class ids, IGNORE where nothing is judged.

    box  what a user drew around the object, where the data set has it
    """

    name: str
    image: NDArray[np.uint8]
    truth: Labels
    box: Box | None = None


@dataclass(frozen=True)
class ObjectItem:
    """One image with the mask of one object: class 1, the rest 0; ``box_path`` need not exist."""

    name: str
    image_path: Path
    truth_path: Path
    box_path: Path

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
        sample = sample_of(self.name, self.image_path, truth, longer_side)
        return replace(sample, box=_read_box(self.box_path, sample.truth.shape)) if self.box_path.is_file() else sample


@dataclass(frozen=True)
class RegionsItem:
    """One image with the segments of one annotator: those of more than 2 % of the image are classes 1, 2, ..."""

    name: str
    image_path: Path
    truth_path: Path
    annotator: int

    def load(self, longer_side: int = 0) -> Sample:
        """Read it, shrunk to ``longer_side`` pixels (0: as it is). Raises SourceError naming the file."""
        segments = annotators_of(self.truth_path)[self.annotator]
        return sample_of(self.name, self.image_path, _classes_of(segments), longer_side)


class Item(Protocol):
    """An image with a truth that is still to be read; picklable."""

    @property
    def name(self) -> str: ...

    def load(self, longer_side: int = 0) -> Sample: ...


def object_items(root: str | Path, limit: int = 0) -> list[ObjectItem]:
    """List the images of a folder in the layout of GrabCut, by name; ``root`` may be above it. Raises SourceError."""
    pairs = _pairs(Path(root), ("", "grabcut"), "masks", ".png", GRABCUT_LAYOUT)
    return [
        ObjectItem(image.stem, image, mask, mask.parents[1] / "boxes" / mask.name)
        for image, mask in pairs[: limit or None]
    ]


def region_items(root: str | Path, annotators: str = "median", limit: int = 0) -> list[RegionsItem]:
    """List the images of a folder in the layout of BSDS500, by name; ``root`` may be above it.

    ``annotators``: ``median`` takes the one with the median number of segments, ``all`` makes an item for each.
    ``limit`` counts images. An annotator without a segment of more than 2 % is left out.
    Raises SourceError or ConfigError.
    """
    if annotators not in ANNOTATORS:
        raise ConfigError(f"annotators: got {annotators!r}, accepted: {' | '.join(ANNOTATORS)}")
    items = []
    for image, truth in bsds_pairs(Path(root))[: limit or None]:
        segments = annotators_of(truth)
        usable = [i for i, ids in enumerate(segments) if (_classes_of(ids) != IGNORE).any()]
        if annotators == "all":
            items += [RegionsItem(f"{image.stem}-{i}", image, truth, i) for i in usable]
        elif usable:
            by_count = sorted(usable, key=lambda i: len(np.unique(segments[i])))
            items.append(RegionsItem(image.stem, image, truth, by_count[(len(by_count) - 1) // 2]))
    return items


def bsds_pairs(root: Path) -> list[tuple[Path, Path]]:
    """List (image, ground truth) paths in the layout of BSDS500, by name; ``root`` may be above it."""
    return _pairs(root, ("", "val", "bsds500/val"), "groundTruth", ".mat", BSDS_LAYOUT)


def box_of(sample: Sample) -> Box:
    """Return the bounding box of the sample, else that of the object, larger by 5 % at each side."""
    if sample.box is not None:
        return sample.box
    height, width = sample.truth.shape
    x0, y0, x1, y1 = _bounds(sample.truth == 1)
    dx, dy = MARGIN * (x1 - x0 + 1), MARGIN * (y1 - y0 + 1)
    return Box(
        max(0, round(x0 - dx)),
        max(0, round(y0 - dy)),
        min(width - 1, round(x1 + dx)),
        min(height - 1, round(y1 + dy)),
        class_id=1,
        bounding=True,
    )


def _read_box(path: Path, size: tuple[int, int]) -> Box:
    """Read the user's box of a file of another (height, width) ``size``. Raises SourceError naming the file."""
    mask = read_labels(path)
    if not (mask == 128).any():
        raise SourceError(f"{path}: got no box, accepted: {BOX_LAYOUT}")
    x0, y0, x1, y1 = _bounds(mask == 128)
    height, width = size[0] / mask.shape[0], size[1] / mask.shape[1]
    return Box(x0 * width, y0 * height, (x1 + 1) * width - 1, (y1 + 1) * height - 1, class_id=1, bounding=True)


def _bounds(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return (x0, y0, x1, y1) of the pixels."""
    ys, xs = np.nonzero(mask)
    return int(xs.min()), int(ys.min()), int(xs.max()), int(ys.max())


def _pairs(root: Path, subfolders: tuple[str, ...], truths: str, suffix: str, layout: str) -> list[tuple[Path, Path]]:
    """Return (image, truth) paths below the first of ``subfolders`` that has both folders."""
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


def annotators_of(path: Path, field: str = "Segmentation") -> list[NDArray[Any]]:
    """Read the segment ids (H, W) of every annotator of a BSDS500 file; its ``Boundaries`` are 1, else 0."""
    try:
        cells = scipy.io.loadmat(str(path))["groundTruth"].ravel()
        return [np.asarray(cell[field][0, 0]) for cell in cells]
    # scipy raises many kinds of error for a damaged file.
    except Exception as error:
        raise SourceError(f"{path}: cannot be read ({type(error).__name__}), accepted: {BSDS_LAYOUT}") from None


def _classes_of(segments: NDArray[Any]) -> Labels:
    """Label segments of more than SMALLEST_SHARE of the image as classes 1, 2, ..., the others IGNORE."""
    _, index, counts = np.unique(segments, return_inverse=True, return_counts=True)
    large = counts > SMALLEST_SHARE * segments.size
    classes = np.where(large, np.cumsum(large), IGNORE).astype(np.uint8)
    return np.asarray(classes[index.reshape(segments.shape)], np.uint8)


def sample_of(name: str, image_path: Path, truth: Labels, longer_side: int) -> Sample:
    """Load an image with its truth, both shrunk to ``longer_side`` (0: not). Raises SourceError."""
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
