"""A run as one HTML file without anything to load: figures, time lines and the worst frames."""

from __future__ import annotations

import base64
import heapq
import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2

from neural_seg_ros.draw import palette
from neural_seg_ros.replay.figures import FIGURES
from neural_seg_ros.replay.summary import Row
from neural_seg_ros.replay.timeline import TimeLines
from neural_seg_ros.video import RgbImage

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


def render_report(
    title: str, metrics: Mapping[str, Any], timings: Mapping[str, Any], lines: TimeLines, worst: WorstFrames
) -> str:
    """The HTML text of a run; ``metrics`` and ``timings`` as of ``Summary``, the latter in one line."""
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
    """One row a class, one column a figure."""
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
