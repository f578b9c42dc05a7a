"""The HTML report of a run."""

from __future__ import annotations

from typing import Any

import numpy as np

from neural_seg_ros.metrics import FIGURES
from neural_seg_ros.offline.outputs.html_report import TimeLines, WorstFrames, render_report
from neural_seg_ros.offline.outputs.summary import Row

NAMED = {"frames_judged": 0, "classes": {1: "<b>cup & 'plate'</b>"}, "settings": {"bag": "a<b"}, "versions": {}}


def report(frames: int) -> str:
    """Render the report of frames of falling confidence, of which the first is annotated."""
    lines, worst = TimeLines(frames), WorstFrames()
    for index in range(frames):
        row = Row(index, index / 10, 0.01, int(index == 0), 1 - index / 10, {1: 0.5}, {})
        lines.add(row)
        worst.offer(row, np.zeros((8, 8, 3), np.uint8))
    metrics: dict[str, Any] = {name: {} for name in FIGURES} | {"confidence": {1: 0.5} if frames else {}} | NAMED
    return render_report("<run>", metrics, {"seconds": {"mean": 0.01}}, lines, worst)


def test_texts_from_outside_are_escaped() -> None:
    html = report(3)
    assert "<run>" not in html
    assert "<b>" not in html
    assert "a<b" not in html
    assert "&lt;run&gt;" in html
    assert html.count("cup &amp; &#39;plate&#39;") == 3  # in the table, a legend and the figures


def test_the_worst_frames_come_first() -> None:
    html = report(9)
    captions = [part.split("</figcaption>")[0] for part in html.split("<figcaption>")[1:]]
    assert captions == [f"frame {index}: {1 - index / 10:.3f}" for index in (8, 7, 6, 5, 4, 3)]
    assert "Worst frames by mean confidence" in html
    assert html.count("is annotated</title>") == 1


def test_timings_are_one_line() -> None:
    lines = [line for line in report(1).split("\n") if "Throughput" in line]
    assert len(lines) == 1
    assert lines[0].startswith("<section id='timings'>")
    assert lines[0].endswith("</section>")


def test_a_run_without_frames() -> None:
    html = report(0)
    assert "no frames" in html
    assert "nothing is annotated" in html
