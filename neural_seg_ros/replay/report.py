"""A run as one HTML file without anything to load: figures, a timeline and the worst frames."""

from __future__ import annotations

import base64
import heapq
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2

from neural_seg_ros.draw import palette
from neural_seg_ros.replay.summary import Row
from neural_seg_ros.video import RgbImage

_WORST = 6
_PICTURE_WIDTH = 480
_WIDTH, _HEIGHT = 960, 160  # of the timeline, in CSS pixels
_POINTS = 960  # of a timeline's line at most

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse } td, th { padding: .2rem .8rem; text-align: left; border-bottom: 1px solid #ddd }
td + td { font-variant-numeric: tabular-nums } svg { background: #f6f6f6; width: 100% }
figure { display: inline-block; margin: 0 1rem 1rem 0; vertical-align: top } img { max-width: 480px }
i { display: inline-block; width: .8em; height: .8em; margin-right: .4em }
"""


@dataclass
class WorstFrames:
    """Pictures of the frames with the lowest mean IoU, or confidence where there is no truth; few, in JPEG."""

    _heap: list[tuple[float, int, str]] = field(default_factory=list)

    def offer(self, row: Row, picture: RgbImage) -> None:
        """Keep the (H, W, 3) RGB picture of a frame if it is among the worst so far."""
        if len(self._heap) == _WORST and -row.score <= self._heap[0][0]:
            return
        heapq.heappush(self._heap, (-row.score, row.index, _jpeg(picture)))
        if len(self._heap) > _WORST:
            heapq.heappop(self._heap)

    def figures(self) -> str:
        """HTML, the worst first."""
        return "".join(
            f'<figure><img src="data:image/jpeg;base64,{picture}" alt="frame {index}">'
            f"<figcaption>frame {index}: {-negative:.3f}</figcaption></figure>"
            for negative, index, picture in sorted(self._heap, reverse=True)
        )


def render_report(title: str, metrics: Mapping[str, Any], rows: Sequence[Row], worst: WorstFrames) -> str:
    """The HTML text of a run; ``metrics`` as of ``Summary.metrics``."""
    judged = any(row.iou for row in rows)
    score = "mean IoU" if judged else "mean confidence"
    names = metrics["classes"]
    classes = "".join(
        f'<tr><td><i style="background: rgb{palette(class_id)}"></i>'
        f"{class_id} {html.escape(names.get(class_id, ''))}</td><td>{value:.3f}</td></tr>"
        for class_id, value in metrics["iou"].items()
    )
    table = f"<h2>IoU of each class</h2><table>{classes}</table>" if classes else ""
    facts = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(text)}</td></tr>" for name, text in _flat(metrics)
    )
    return (
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{html.escape(title)}</h1>{table}"
        f"<h2>Timeline: {score} of each frame</h2>{_timeline(rows)}"
        f"<h2>Worst frames by {score}</h2>{worst.figures()}"
        f"<h2>All figures</h2><table>{facts}</table></html>\n"
    )


def _timeline(rows: Sequence[Row]) -> str:
    """SVG: a line from 0 (bottom) to 1 (top), with a tick where a frame was annotated."""
    if not rows:
        return "<p>no frames</p>"
    last = max(1, rows[-1].index)
    every = -(-len(rows) // _POINTS)
    points = []
    for start in range(0, len(rows), every):
        # Of the frames that fall on one point the worst is shown, so that no failure hides.
        value = min(row.score for row in rows[start : start + every])
        points.append(f"{rows[start].index / last * _WIDTH:.1f},{(1 - value) * _HEIGHT:.1f}")
    ticks = "".join(
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{_HEIGHT}" stroke="#d55e00"><title>annotated</title></line>'
        for x in (row.index / last * _WIDTH for row in rows if row.annotations)
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{ticks}'
        f'<polyline points="{" ".join(points)}" fill="none" stroke="#0072b2" stroke-width="2"/></svg>'
        f"<p>frames {rows[0].index} to {rows[-1].index}; vertical lines: annotated frames</p>"
    )


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
            rows.append((f"{prefix}{key}", f"{value:.4g}" if isinstance(value, float) else str(value)))
    return rows
