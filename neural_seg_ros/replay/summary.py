"""The figures of a run: collected frame by frame, written as metrics.json and as a CSV table."""

from __future__ import annotations

import csv
import importlib.metadata
import io
import json
import math
import platform
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from neural_seg_ros import __version__
from neural_seg_ros.annotation_file import AnnotationFile
from neural_seg_ros.errors import AnnotationError
from neural_seg_ros.files import write_text
from neural_seg_ros.replay.run import Step
from neural_seg_ros.session import Session

_PACKAGES = ("torch", "numpy", "opencv-python-headless", "opencv-python", "rosbags")


@dataclass(frozen=True)
class Row:
    """The figures of one frame; see Step."""

    index: int
    stamp: float
    seconds: float
    annotations: int
    confidence: float
    iou: dict[int, float]

    @property
    def score(self) -> float:
        """How good the frame is, in [0, 1]: the mean IoU, or the confidence where there is no truth."""
        return statistics.fmean(self.iou.values()) if self.iou else self.confidence


@dataclass
class Summary:
    """A few numbers of every frame."""

    rows: list[Row] = field(default_factory=list)

    def add(self, step: Step[Any]) -> Row:
        frame = step.frame
        row = Row(frame.index, frame.stamp, step.seconds, len(step.annotations), step.confidence, step.iou)
        self.rows.append(row)
        return row

    def check_annotated(self, annotations: AnnotationFile) -> str | None:
        """A line for the user where some entries fell on no frame. Raises AnnotationError if none did."""
        used, entries = sum(row.annotations for row in self.rows), len(annotations.entries)
        if used == entries:
            return None
        if not self.rows:
            raise AnnotationError(f"annotations: got {entries} entries but no frame that can be read")
        stamps = f"stamps {self.rows[0].stamp:.3f} to {self.rows[-1].stamp:.3f}"
        accepted = f"accepted: frame 0 to {len(self.rows) - 1}, {stamps}"
        if used == 0:
            raise AnnotationError(f"annotations: got {entries} entries, none on a frame, {accepted}")
        return f"warning: annotations: {entries - used} of {entries} entries are on no frame, {accepted}"

    @property
    def class_iou(self) -> dict[int, float]:
        """Mean IoU in [0, 1] of each class over the frames with a truth."""
        classes = sorted({class_id for row in self.rows for class_id in row.iou})
        return {c: statistics.fmean(row.iou[c] for row in self.rows if c in row.iou) for c in classes}

    def line(self) -> str:
        """The run in one line for the terminal."""
        total = sum(row.seconds for row in self.rows)
        rate = f"{len(self.rows)} frames, {len(self.rows) / total:.1f} a second" if total else "no frames"
        ious = ", ".join(f"IoU of class {class_id} {value:.3f}" for class_id, value in self.class_iou.items())
        return f"{rate}, {ious}" if ious else rate

    def metrics(self, session: Session, annotations: AnnotationFile) -> dict[str, Any]:
        """All figures for ``write_metrics``; seconds are from a frame to its result."""
        seconds = sorted(row.seconds for row in self.rows)
        total = sum(seconds)
        class_iou = self.class_iou
        return {
            "frames": len(self.rows),
            "fps": len(seconds) / total if total else None,
            "seconds": {
                "total": total,
                "p50": statistics.median(seconds) if seconds else None,
                "p95": seconds[math.ceil(0.95 * len(seconds)) - 1] if seconds else None,
            },
            "frames_judged": sum(bool(row.iou) for row in self.rows),
            "iou": class_iou,
            "mean_iou": statistics.fmean(class_iou.values()) if class_iou else None,
            "classes": annotations.classes,
            "annotations": {
                "entries": len(annotations.entries),
                "used": sum(row.annotations for row in self.rows),
            },
            "fit": asdict(session.status()),
            "settings": session.config.to_dict(),
            "device": str(session.device),
            "versions": versions(),
        }

    def write_csv(self, path: str | Path) -> None:
        """One line a frame: index, stamp, seconds, annotations, confidence and the IoU of each class."""
        classes = list(self.class_iou)
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["index", "stamp", "seconds", "annotations", "confidence", *(f"iou_{c}" for c in classes)])
        for row in self.rows:
            ious = [f"{row.iou[c]:.6f}" if c in row.iou else "" for c in classes]
            fixed = [row.index, f"{row.stamp:.9f}", f"{row.seconds:.6f}", row.annotations, f"{row.confidence:.6f}"]
            table.writerow([*fixed, *ious])
        write_text(path, text.getvalue())


def write_metrics(path: str | Path, metrics: dict[str, Any]) -> None:
    """Write JSON; numbers that are not finite become null."""
    write_text(path, json.dumps(_finite(metrics), indent=2, allow_nan=False) + "\n")


def versions() -> dict[str, str]:
    """Version of Python and of each package that has a say in the figures."""
    found = {"neural_seg_ros": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
