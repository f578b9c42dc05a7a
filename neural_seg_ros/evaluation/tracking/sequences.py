"""Readers for folders of sequences with a truth for every frame: the layout of DAVIS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neural_seg_ros.errors import SourceError
from neural_seg_ros.evaluation.datasets import Sample, sample_of
from neural_seg_ros.images.arrays import Labels
from neural_seg_ros.images.files import image_paths, read_labels

DAVIS_LAYOUT = "JPEGImages/SEQUENCE/00000.jpg with Annotations/SEQUENCE/00000.png (0 and 255, or ids of objects)"
# The first and the last frame are not judged, so that there must be one between them.
LEAST_FRAMES = 3
_WHITE = 255


@dataclass(frozen=True)
class SequenceItem:
    """A sequence whose frames are still to be read; picklable.

    images, truths  a path each for every frame, in order
    """

    name: str
    images: tuple[Path, ...]
    truths: tuple[Path, ...]

    def load(self, number: int, longer_side: int = 0) -> Sample:
        """Read one frame, shrunk to ``longer_side`` pixels (0: as it is). Raises SourceError naming the file.

        Of masks in black and white the object is class 1; else the ids are the classes and 255 is not judged. A
        sequence is in black and white if its first mask is.
        """
        truth = _truth(self.truths[number])
        if _is_black_and_white(_truth(self.truths[0])):
            truth = (truth == _WHITE).astype(np.uint8)
        return sample_of(f"{self.name}-{self.images[number].stem}", self.images[number], truth, longer_side)


def sequence_items(root: str | Path, limit: int = 0, frames: int = 0) -> list[SequenceItem]:
    """List the sequences of a folder in the layout of DAVIS, by name; ``root`` may be above it.

    ``limit`` counts sequences, ``frames`` the first frames of each; 0: all. Raises SourceError.
    """
    root = Path(root)
    folder = next((folder for folder in (root, root / "davis") if (folder / "JPEGImages").is_dir()), root)
    items = []
    for images, truths in sequence_folders(folder)[: limit or None]:
        paths = image_paths(images)[: frames or None]
        item = SequenceItem(images.name, paths, tuple(truths / f"{path.stem}.png" for path in paths))
        if len(paths) < LEAST_FRAMES:
            raise SourceError(f"{images}: got {len(paths)} frames, accepted: at least {LEAST_FRAMES}")
        missing = next((truth for truth in item.truths if not truth.is_file()), None)
        if missing is not None:
            raise SourceError(f"{missing}: missing, accepted: {DAVIS_LAYOUT}")
        items.append(item)
    return items


def sequence_folders(root: Path) -> Sequence[tuple[Path, Path]]:
    """List (images, truths) of every sequence, by name; ``480p`` may be between. Raises SourceError without any."""
    images, truths = root / "JPEGImages", root / "Annotations"
    if (images / "480p").is_dir():
        images, truths = images / "480p", truths / "480p"
    sequences = sorted(folder for folder in images.iterdir() if folder.is_dir()) if images.is_dir() else []
    if not sequences:
        raise SourceError(f"{root}: no sequences there, accepted: {DAVIS_LAYOUT}")
    return [(folder, truths / folder.name) for folder in sequences]


def objects_of(truth: Labels) -> tuple[int, ...]:
    """Return the ids of the objects in a truth (H, W), ascending, without background and ignored pixels."""
    return tuple(int(value) for value in np.unique(truth) if value not in (0, _WHITE))


def _truth(path: Path) -> Labels:
    labels = read_labels(path)
    if labels.dtype != np.uint8:
        raise SourceError(f"{path}: got 16-bit labels, accepted: {DAVIS_LAYOUT}")
    return np.asarray(labels, np.uint8)


def _is_black_and_white(labels: Labels) -> bool:
    return bool(np.isin(labels, (0, _WHITE)).all())
