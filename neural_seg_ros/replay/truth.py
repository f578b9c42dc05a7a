"""Ground truth as a folder of label images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from neural_seg_ros.annotations import Labels
from neural_seg_ros.errors import SourceError
from neural_seg_ros.label_file import from_binary, is_binary, read_labels
from neural_seg_ros.video import Frame, FrameSource, ImageFiles, image_paths


@dataclass(frozen=True)
class TruthFolder:
    """``paths``: label image of each frame index; ``binary``: they are black and white masks of class 1."""

    paths: Mapping[int, Path]
    binary: bool

    def labels_of(self, frame: Frame) -> Labels | None:
        """(H, W) class ids of a frame, or None where it has no file. Raises SourceError."""
        path = self.paths.get(frame.index)
        if path is None:
            return None
        labels = read_labels(path)
        return from_binary(labels) if self.binary else labels


def open_truth_folder(folder: str | Path, frames: FrameSource | None) -> TruthFolder:
    """Label images by the name of their frame's image, or by index (``00012.png``) for videos and, None, bags.

    The first one decides whether all are black and white masks. Raises SourceError if none belongs to a frame.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise SourceError(f"{folder}: no such folder, accepted: a folder of label images")
    by_name = {path.stem: path for path in image_paths(folder)}
    if isinstance(frames, ImageFiles):
        found = {index: by_name[path.stem] for index, path in enumerate(frames.paths) if path.stem in by_name}
        accepted = f"the names of the frames, such as {frames.paths[0].stem}.png"
    else:
        found = {int(name): path for name, path in by_name.items() if name.isdecimal()}
        accepted = "frame indices, such as 00000.png"
    if not found:
        raise SourceError(f"{folder}: {len(by_name)} images, none belongs to a frame, accepted: {accepted}")
    return TruthFolder(found, is_binary(read_labels(found[min(found)])))
