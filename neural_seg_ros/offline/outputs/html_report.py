"""A run as one self-contained HTML file, laid out by ``report.html.j2``: figures, plots over time, the worst frames."""

from __future__ import annotations

import base64
import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
from jinja2 import Environment, PackageLoader, StrictUndefined

from neural_seg_ros.drawing import palette
from neural_seg_ros.images.files import RgbImage
from neural_seg_ros.metrics import FIGURES
from neural_seg_ros.offline.outputs.summary import Row

TITLES = {"iou": "IoU (J)", "confidence": "Confidence"}
_PLOT_WIDTH, _PLOT_HEIGHT = 960, 160  # CSS pixels
_LEFT_MARGIN, _BOTTOM_MARGIN = 34, 20  # CSS pixels, for the numbers
_MAX_POINTS = 480  # of one line
_GRID = (0.0, 0.5, 1.0)  # all figures are in [0, 1]
_MEAN_COLOR = "#222222"
_BACKGROUND_COLOR = "#999999"
_WORST_FRAMES = 6
_PICTURE_WIDTH_PX = 480
_JPEG_QUALITY = 85


@dataclass
class Line:
    """(frame index, value) of each point; frames that fall on one point are shown by the worst, so none hides."""

    points: list[tuple[int, float]] = field(default_factory=list)

    def add(self, index: int, value: float, start: int) -> None:
        """Add a value of a frame; ``start``: index of the first frame on its point."""
        if self.points and self.points[-1][0] >= start:
            first, worst = self.points[-1]
            self.points[-1] = first, min(worst, value)
        else:
            self.points.append((index, value))


@dataclass(frozen=True)
class Curve:
    """A line as the page draws it; ``points`` of an SVG polyline."""

    points: str
    color: str
    label: str


@dataclass(frozen=True)
class Plot:
    """The curves of one figure: the mean, then the classes."""

    title: str
    curves: list[Curve]


class TimeLines:
    """One plot for each figure, with a line for each class; in constant memory."""

    def __init__(self, frames: int) -> None:
        """Make the lines of ``frames`` frames."""
        self._every = -(-frames // _MAX_POINTS) if frames else 1
        self._count = 0
        self._start = 0
        self._first, self._last = 0, 0
        self._lines: dict[str, dict[int | None, Line]] = {}
        self._annotated: list[int] = []

    def add(self, row: Row) -> None:
        """Add the next frame."""
        if not self._count:
            self._first = row.index
        if self._count % self._every == 0:
            self._start = row.index
        self._count += 1
        self._last = row.index
        if row.annotations and (not self._annotated or self._annotated[-1] < self._start):
            self._annotated.append(row.index)
        self._add("confidence", None, row.confidence, row.index)
        for class_id, value in row.class_confidence.items():
            self._add("confidence", class_id, value, row.index)
        for name, values in row.figures.items():
            for class_id, value in values.items():
                self._add(name, class_id, value, row.index)

    def plots(self, names: Mapping[int, str], titles: Mapping[str, str]) -> list[Plot]:
        """Return a plot for each figure, confidence last; ``names`` of classes, ``titles`` of figures."""
        return [
            Plot(titles.get(name, name), [self._curve(lines[key], key, names) for key in sorted(lines, key=_order)])
            for name, lines in sorted(self._lines.items(), key=lambda item: item[0] == "confidence")
        ]

    def axes(self) -> dict[str, Any]:
        """Return what all plots share: their size, the grid, the first and last frame, and the annotated frames."""
        return {
            "width": _PLOT_WIDTH,
            "height": _PLOT_HEIGHT,
            "left": _LEFT_MARGIN,
            "below": _BOTTOM_MARGIN,
            "grid": [(f"{(1 - value) * _PLOT_HEIGHT:.1f}", f"{value:g}") for value in _GRID],
            "ends": [
                (self._x(index), anchor, index) for index, anchor in ((self._first, "start"), (self._last, "end"))
            ],
            "annotated": [(self._x(index), index) for index in self._annotated],
        }

    def _add(self, name: str, class_id: int | None, value: float, index: int) -> None:
        self._lines.setdefault(name, {}).setdefault(class_id, Line()).add(index, value, self._start)

    def _curve(self, line: Line, class_id: int | None, names: Mapping[int, str]) -> Curve:
        points = " ".join(f"{self._x(index)},{(1 - value) * _PLOT_HEIGHT:.1f}" for index, value in line.points)
        if class_id is None:
            return Curve(points, _MEAN_COLOR, "mean over the frame")
        color = _BACKGROUND_COLOR if class_id == 0 else f"rgb{palette(class_id)}"
        name = names.get(class_id, "background" if class_id == 0 else "")
        return Curve(points, color, f"{class_id} {name}".strip())

    def _x(self, index: int) -> str:
        return f"{(index - self._first) / max(1, self._last - self._first) * _PLOT_WIDTH:.1f}"


def _order(class_id: int | None) -> int:
    return -1 if class_id is None else class_id


@dataclass
class WorstFrames:
    """JPEG pictures of the few frames with the lowest mean IoU, or confidence without ground truth."""

    _heap: list[tuple[float, int, str]] = field(default_factory=list)

    def offer(self, row: Row, picture: RgbImage) -> None:
        """Keep the (H, W, 3) RGB picture of a frame if it is among the worst so far."""
        if len(self._heap) == _WORST_FRAMES and -row.score <= self._heap[0][0]:
            return
        heapq.heappush(self._heap, (-row.score, row.index, _jpeg(picture)))
        if len(self._heap) > _WORST_FRAMES:
            heapq.heappop(self._heap)

    def pictures(self) -> Iterator[tuple[int, str, str]]:
        """Yield (frame index, score, JPEG in base64), the worst first."""
        for negative, index, picture in sorted(self._heap, reverse=True):
            yield index, f"{-negative:.3f}", picture


def render_report(
    title: str, metrics: Mapping[str, Any], timings: Mapping[str, Any], lines: TimeLines, worst: WorstFrames
) -> str:
    """Render the HTML of a run; ``metrics`` and ``timings`` as of ``Summary``, the latter in one line."""
    loader = PackageLoader("neural_seg_ros.offline.outputs", "")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    names = metrics["classes"]
    figures = [name for name in (*FIGURES, "confidence") if metrics[name]]
    return environment.get_template("report.html.j2").render(
        title=title,
        headings=[TITLES.get(name, name) for name in figures],
        classes=_class_rows(metrics, figures, names),
        plots=lines.plots(names, TITLES),
        axes=lines.axes(),
        score="mean IoU" if metrics["frames_judged"] else "mean confidence",
        worst=worst.pictures(),
        timings=_flat(timings),
        facts=_flat({name: value for name, value in metrics.items() if name not in {"settings", "versions"}}),
        settings=_flat(metrics["settings"]),
        versions=_flat(metrics["versions"]),
    )


def _class_rows(
    metrics: Mapping[str, Any], figures: list[str], names: Mapping[int, str]
) -> list[tuple[str, str, list[str]]]:
    """Return (color, label, value of each figure) of every class."""
    ids = sorted({class_id for name in figures for class_id in metrics[name]})
    return [
        (
            f"rgb{palette(class_id)}",
            f"{class_id} {names.get(class_id, '')}",
            [_text(metrics[name].get(class_id, "")) for name in figures],
        )
        for class_id in ids
    ]


def _jpeg(picture: RgbImage) -> str:
    height, width = picture.shape[:2]
    scale = min(1.0, _PICTURE_WIDTH_PX / width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return base64.b64encode(encoded.tobytes()).decode()


def _flat(tree: Mapping[Any, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Flatten nested mappings to (keys joined by spaces, text of the value)."""
    rows: list[tuple[str, str]] = []
    for key, value in tree.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key} ")
        else:
            rows.append((f"{prefix}{key}", _text(value)))
    return rows


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
