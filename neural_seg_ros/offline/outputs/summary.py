"""The figures of a run: collected frame by frame, written as metrics.json and timings.json."""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
import statistics
from array import array
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from neural_seg_ros import __version__
from neural_seg_ros.annotations.yaml_file import AnnotationFile
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.errors import AnnotationError
from neural_seg_ros.field.engine import Losses
from neural_seg_ros.files import write_text
from neural_seg_ros.metrics import FIGURES
from neural_seg_ros.offline.run import Step

_PACKAGES = ("torch", "numpy", "opencv-python-headless", "opencv-python", "rosbags")


@dataclass(frozen=True)
class Row:
    """The figures of one frame.

    annotations       made on it
    figures           {figure: {class id: value}} against the truth; empty values without one
    class_confidence  {class id: mean confidence over its pixels}
    backward          whether its labels come from an annotated frame after it
    """

    index: int
    stamp: float
    seconds: float
    annotations: int
    confidence: float
    class_confidence: dict[int, float]
    figures: dict[str, dict[int, float]]
    backward: bool = False

    @property
    def score(self) -> float:
        """The quality of the frame in [0, 1]: the mean IoU, or the confidence without ground truth."""
        ious = self.figures.get("iou")
        return statistics.fmean(ious.values()) if ious else self.confidence


def row_of(step: Step[Any], figures: dict[str, dict[int, float]]) -> Row:
    """Return the row of a step with its figures against the truth."""
    frame, count = step.frame, len(step.annotations)
    return Row(frame.index, frame.stamp, step.seconds, count, step.confidence, step.class_confidence, figures)


@dataclass
class Summary:
    """A few numbers of every frame, and the figures of the run from them."""

    last: Row | None = None
    count: int = 0
    judged: int = 0
    used: int = 0
    first_stamp: float = 0.0
    seconds: array[float] = field(default_factory=lambda: array("d"))
    values: dict[tuple[str, int], array[float]] = field(default_factory=lambda: defaultdict(lambda: array("d")))

    def add(self, row: Row) -> None:
        """Add the next frame."""
        if not self.count:
            self.first_stamp = row.stamp
        self.last = row
        self.count += 1
        self.used += row.annotations
        self.judged += any(row.figures.values())
        self.seconds.append(row.seconds)
        for name, values in [*row.figures.items(), ("confidence", row.class_confidence)]:
            for class_id, value in values.items():
                self.values[name, class_id].append(value)

    def check_annotated(self, annotations: AnnotationFile) -> str | None:
        """Return a line for the user where entries fell on no frame. Raises AnnotationError if none did."""
        entries = len(annotations.entries)
        if self.used == entries:
            return None
        if self.last is None:
            raise AnnotationError(f"annotations: got {entries} entries but no frame that can be read")
        stamps = f"stamps {self.first_stamp:.3f} to {self.last.stamp:.3f}"
        accepted = f"accepted: frame 0 to {self.last.index}, {stamps}"
        if self.used == 0:
            raise AnnotationError(f"annotations: got {entries} entries, none on a frame, {accepted}")
        return f"warning: annotations: {entries - self.used} of {entries} entries are on no frame, {accepted}"

    def means(self, name: str) -> dict[int, float]:
        """Average a figure, or ``confidence``, of each class over the frames that have it."""
        found = sorted((class_id, values) for (figure, class_id), values in self.values.items() if figure == name)
        return {class_id: statistics.fmean(values) for class_id, values in found}

    def line(self) -> str:
        """Summarize the run in one line for the terminal."""
        total = math.fsum(self.seconds)
        rate = f"{self.count} frames, {self.count / total:.1f} a second" if total else "no frames"
        ious = ", ".join(f"IoU of class {class_id} {value:.3f}" for class_id, value in self.means("iou").items())
        return f"{rate}, {ious}" if ious else rate

    def metrics(self, annotations: AnnotationFile, config: SessionConfig, device: str, fit: Losses) -> dict[str, Any]:
        """Return all figures except those of time, for ``write_metrics``."""
        figures: dict[str, Any] = {}
        for name in FIGURES:
            means = self.means(name)
            figures |= {name: means, f"mean_{name}": statistics.fmean(means.values()) if means else None}
        return {
            "frames": self.count,
            "frames_judged": self.judged,
            **figures,
            "confidence": self.means("confidence"),
            "classes": annotations.classes,
            "annotations": {"entries": len(annotations.entries), "used": self.used},
            "fit": asdict(fit),
            "settings": config.to_dict(),
            "device": device,
            "versions": versions(),
        }

    def timings(self) -> dict[str, Any]:
        """Return the figures of time, which differ from run to run. Seconds are from a frame to its result."""
        seconds = sorted(self.seconds)
        total = math.fsum(seconds)
        return {
            "frames": len(seconds),
            "fps": len(seconds) / total if total else None,
            "seconds": {
                "total": total,
                "p50": statistics.median(seconds) if seconds else None,
                "p95": seconds[math.ceil(0.95 * len(seconds)) - 1] if seconds else None,
            },
        }


def write_metrics(path: str | Path, metrics: dict[str, Any]) -> None:
    """Write JSON; numbers that are not finite become null."""
    write_text(path, json.dumps(_finite(metrics), indent=2, allow_nan=False) + "\n")


def versions() -> dict[str, str]:
    """Return the versions of Python and of each package that affects the figures."""
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
