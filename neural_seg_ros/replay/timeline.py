"""Lines over time as SVG: how good a run is from frame to frame, as a whole and for each class."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from neural_seg_ros.draw import palette
from neural_seg_ros.replay.summary import Row

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
        """A value of a frame; ``start``: index of the first frame on its point."""
        if self.points and self.points[-1][0] >= start:
            place, worst = self.points[-1]
            self.points[-1] = place, min(worst, value)
        else:
            self.points.append((index, value))


class TimeLines:
    """One plot for each figure, with a line for each class; in constant memory."""

    def __init__(self, frames: int) -> None:
        """``frames``: how many will come."""
        self._every = -(-frames // _POINTS) if frames else 1
        self._count = 0
        self._start = 0
        self._first, self._last = 0, 0
        self._lines: dict[str, dict[int | None, Line]] = {}
        self._annotated: list[int] = []

    def add(self, row: Row) -> None:
        """The next frame."""
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
        """HTML: a titled plot and its legend for each figure; ``names`` of classes, ``titles`` of figures."""
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
        """The grid with its numbers, and where frames are annotated."""
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
