"""Images with the contours and segments of every annotator, in the layout of BSDS500."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.errors import SourceError
from neural_seg_ros.evaluation.datasets import annotators_of, bsds_pairs
from neural_seg_ros.images.arrays import MIN_SIDE, field_shape, resize_image
from neural_seg_ros.images.files import read_image


@dataclass(frozen=True)
class ContourSample:
    """An image (H, W, 3) uint8 RGB, and of each annotator the boundaries (H, W) bool and segment ids (H, W) int32."""

    name: str
    image: NDArray[np.uint8]
    boundaries: tuple[NDArray[np.bool_], ...]
    segmentations: tuple[NDArray[np.int32], ...]


@dataclass(frozen=True)
class ContourItem:
    """One image with the file of all its annotators."""

    name: str
    image_path: Path
    truth_path: Path

    def load(self, longer_side: int = 0) -> ContourSample:
        """Read it, shrunk to ``longer_side`` pixels (0: as it is). Raises SourceError naming the file.

        In a shrunk image the boundaries are those of the shrunk segments.
        """
        image = read_image(self.image_path)
        segmentations = [ids.astype(np.int32) for ids in annotators_of(self.truth_path)]
        boundaries = [drawn > 0 for drawn in annotators_of(self.truth_path, "Boundaries")]
        for ids in (*segmentations, *boundaries):
            if ids.shape != image.shape[:2]:
                given = f"{image.shape[1]}x{image.shape[0]} for a truth of {ids.shape[1]}x{ids.shape[0]}"
                raise SourceError(f"{self.image_path}: got {given}, accepted: equal sizes")
        if longer_side:
            height, width = field_shape(image.shape[0], image.shape[1], longer_side, least=MIN_SIDE)
            image = resize_image(image, height, width)
            segmentations = [cv2.resize(ids, (width, height), interpolation=cv2.INTER_NEAREST) for ids in segmentations]
            boundaries = [borders_of(ids) for ids in segmentations]
        return ContourSample(self.name, image, tuple(boundaries), tuple(segmentations))


def contour_items(root: str | Path, limit: int = 0) -> list[ContourItem]:
    """List the images of a folder in the layout of BSDS500, by name; ``root`` may be above it. Raises SourceError."""
    return [ContourItem(image.stem, image, truth) for image, truth in bsds_pairs(Path(root))[: limit or None]]


def borders_of(segments: NDArray[Any]) -> NDArray[np.bool_]:
    """Return (H, W) bool of (H, W) ids: pixels unlike the one to the right, below, or diagonally between."""
    padded = np.pad(segments, ((0, 1), (0, 1)), mode="edge")
    unlike: NDArray[np.bool_] = (
        (segments != padded[:-1, 1:]) | (segments != padded[1:, :-1]) | (segments != padded[1:, 1:])
    )
    return unlike
