"""A run as one HTML file without anything to load: figures, time lines and the worst frames."""

from __future__ import annotations

import base64
import heapq
import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2

from neural_seg_ros.drawing import palette
from neural_seg_ros.images.files import RgbImage
from neural_seg_ros.offline.frame_metrics import FIGURES
from neural_seg_ros.offline.outputs.summary import Row

_WIDTH, _HEIGHT = 960, 160  # CSS pixels of the plot
_LEFT, _BELOW = 34, 20  # beside and below it, for the numbers
_POINTS = 480  # of a line at most
# Of figures in [0, 1] shown on a grid.
_GRID = (0.0, 0.5, 1.0)
_MEAN = "#222222"


@dataclass
class Line:
    """(frame index, value) of each point; frames that fall on one point are shown by the worst, so none hides."""

    points: list[tuple[int, float]] = field(default_factory=list)

    def add(self, index: int, value: float, start: int) -> None:
        """Add a value of a frame; ``start``: index of the first frame on its point."""
        if self.points and self.points[-1][0] >= start:
            place, worst = self.points[-1]
            self.points[-1] = place, min(worst, value)
        else:
            self.points.append((index, value))


class TimeLines:
    """One plot for each figure, with a line for each class; in constant memory."""

    def __init__(self, frames: int) -> None:
        """Make the lines of ``frames`` frames."""
        self._every = -(-frames // _POINTS) if frames else 1
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

    def render(self, names: Mapping[int, str], titles: Mapping[str, str]) -> str:
        """Render HTML: a titled plot and its legend for each figure; ``names`` of classes, ``titles`` of figures."""
        if not self._count:
            return "<p>no frames</p>"
        return "".join(
            f"<h3>{html.escape(titles.get(name, name))}</h3>{self._plot(lines)}{_legend(lines, names)}"
            for name, lines in sorted(self._lines.items(), key=lambda item: item[0] == "confidence")
        )

    def _add(self, name: str, class_id: int | None, value: float, index: int) -> None:
        self._lines.setdefault(name, {}).setdefault(class_id, Line()).add(index, value, self._start)

    def _plot(self, lines: Mapping[int | None, Line]) -> str:
        return (
            f'<svg viewBox="0 0 {_WIDTH + _LEFT + 10} {_HEIGHT + _BELOW + 8}" role="img">'
            f'<g transform="translate({_LEFT} 8)">{"".join(self._frame())}'
            f"{''.join(self._line(lines[key], _color(key)) for key in sorted(lines, key=_order))}</g></svg>"
        )

    def _frame(self) -> Iterator[str]:
        """Render the grid with its numbers, and marks where frames are annotated."""
        for value in _GRID:
            y = f"{(1 - value) * _HEIGHT:.1f}"
            yield f'<line x1="0" x2="{_WIDTH}" y1="{y}" y2="{y}" stroke="#ccc"/>'
            yield f'<text x="-6" y="{y}" dy=".35em" text-anchor="end">{value:g}</text>'
        for index, anchor in ((self._first, "start"), (self._last, "end")):
            yield f'<text x="{self._x(index):.1f}" y="{_HEIGHT + 16}" text-anchor="{anchor}">frame {index}</text>'
        for index in self._annotated:
            x = f"{self._x(index):.1f}"
            yield f'<line x1="{x}" x2="{x}" y1="0" y2="{_HEIGHT}" stroke="#d55e00" stroke-dasharray="3 2">'
            yield f"<title>frame {index} is annotated</title></line>"

    def _line(self, line: Line, color: str) -> str:
        points = " ".join(f"{self._x(index):.1f},{(1 - value) * _HEIGHT:.1f}" for index, value in line.points)
        return f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>'

    def _x(self, index: int) -> float:
        return (index - self._first) / max(1, self._last - self._first) * _WIDTH


def _legend(lines: Mapping[int | None, Line], names: Mapping[int, str]) -> str:
    entries = []
    for key in sorted(lines, key=_order):
        text = "mean over the frame" if key is None else f"{key} {names.get(key, 'background' if key == 0 else '')}"
        entries.append(f'<span><i style="background: {_color(key)}"></i>{html.escape(text.strip())}</span>')
    return f"<p>{''.join(entries)}</p>"


def _color(class_id: int | None) -> str:
    if class_id is None:
        return _MEAN
    return "#999999" if class_id == 0 else f"rgb{palette(class_id)}"


def _order(class_id: int | None) -> int:
    return -1 if class_id is None else class_id


_WORST = 6
_PICTURE_WIDTH = 480
TITLES = {"iou": "IoU (J)", "confidence": "Confidence"}
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1020px; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse } td, th { padding: .2rem .8rem; text-align: left; border-bottom: 1px solid #ddd }
td + td { font-variant-numeric: tabular-nums } svg { background: #f6f6f6; width: 100%; font-size: 11px }
figure { display: inline-block; margin: 0 1rem 1rem 0; vertical-align: top } img { max-width: 480px }
i { display: inline-block; width: .8em; height: .8em; margin-right: .4em } span { margin-right: 1.2em }
"""


@dataclass
class WorstFrames:
    """JPEG pictures of the few frames with the lowest mean IoU, or confidence without ground truth."""

    _heap: list[tuple[float, int, str]] = field(default_factory=list)

    def offer(self, row: Row, picture: RgbImage) -> None:
        """Keep the (H, W, 3) RGB picture of a frame if it is among the worst so far."""
        if len(self._heap) == _WORST and -row.score <= self._heap[0][0]:
            return
        heapq.heappush(self._heap, (-row.score, row.index, _jpeg(picture)))
        if len(self._heap) > _WORST:
            heapq.heappop(self._heap)

    def figures(self) -> str:
        """Render HTML, the worst first."""
        return "".join(
            f'<figure><img src="data:image/jpeg;base64,{picture}" alt="frame {index}">'
            f"<figcaption>frame {index}: {-negative:.3f}</figcaption></figure>"
            for negative, index, picture in sorted(self._heap, reverse=True)
        )


def render_report(
    title: str, metrics: Mapping[str, Any], timings: Mapping[str, Any], lines: TimeLines, worst: WorstFrames
) -> str:
    """Render the HTML of a run; ``metrics`` and ``timings`` as of ``Summary``, the latter in one line."""
    score = "mean IoU" if metrics["frames_judged"] else "mean confidence"
    names = metrics["classes"]
    facts = {name: value for name, value in metrics.items() if name not in {"settings", "versions"}}
    return (
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{html.escape(title)}</h1>"
        f"<h2>Classes</h2>{_classes(metrics, names)}"
        f"<h2>Over time</h2>{lines.render(names, TITLES)}"
        "<p>Dashed lines: annotated frames. Where several frames fall on one point the worst is shown.</p>"
        f"<h2>Worst frames by {score}</h2>{worst.figures()}\n"
        f"<section id='timings'><h2>Throughput</h2>{_table(timings)}</section>\n"
        f"<h2>Figures</h2>{_table(facts)}"
        f"<h2>Settings</h2>{_table(metrics['settings'])}"
        f"<h2>Versions</h2>{_table(metrics['versions'])}</html>\n"
    )


def _classes(metrics: Mapping[str, Any], names: Mapping[int, str]) -> str:
    """Render one row a class, one column a figure."""
    figures = [name for name in (*FIGURES, "confidence") if metrics[name]]
    ids = sorted({class_id for name in figures for class_id in metrics[name]})
    if not ids:
        return "<p>nothing is annotated</p>"
    head = "".join(f"<th>{html.escape(TITLES.get(name, name))}</th>" for name in figures)
    body = "".join(
        f'<tr><td><i style="background: rgb{palette(class_id)}"></i>'
        f"{class_id} {html.escape(names.get(class_id, ''))}</td>"
        + "".join(f"<td>{_text(metrics[name].get(class_id, ''))}</td>" for name in figures)
        + "</tr>"
        for class_id in ids
    )
    return f"<table><tr><th></th>{head}</tr>{body}</table>"


def _table(tree: Mapping[Any, Any]) -> str:
    rows = "".join(f"<tr><td>{html.escape(name)}</td><td>{html.escape(text)}</td></tr>" for name, text in _flat(tree))
    return f"<table>{rows}</table>"


def _jpeg(picture: RgbImage) -> str:
    height, width = picture.shape[:2]
    scale = min(1.0, _PICTURE_WIDTH / width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return base64.b64encode(encoded.tobytes()).decode()


def _flat(tree: Mapping[Any, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in tree.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key} ")
        else:
            rows.append((f"{prefix}{key}", _text(value)))
    return rows


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
