"""``evaluate clicks``: how many robot clicks one object needs (the protocol of RITM: NoC@85, NoC@90, IoU per click)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neural_seg_ros.annotations import Click
from neural_seg_ros.evaluate.metrics import boundary_f, clicks_needed, iou
from neural_seg_ros.evaluate.nearest import Labels
from neural_seg_ros.evaluate.play import Task, play
from neural_seg_ros.evaluate.report import Curves, Report
from neural_seg_ros.evaluate.robot import next_object_click
from neural_seg_ros.evaluate.table import Table, padded

CURVE_MARKS = (1, 3, 5, 10, 20)
HARM = 0.02


@dataclass(frozen=True)
class ObjectRun:
    """One labeller on one image: figures after click 1, 2, ... until nothing was wrong any more."""

    labeller: str
    image: str
    start_seconds: float
    seconds: tuple[float, ...]
    ious: tuple[float, ...]
    boundary_fs: tuple[float, ...]
    labels: Labels
    clicks: tuple[Click, ...]

    @property
    def quality(self) -> float:
        """The last IoU."""
        return self.ious[-1]


def run_object(task: Task) -> ObjectRun:
    """Let the robot click on one object and measure after every click."""
    game = play(task, lambda _: (), next_object_click)
    truth = game.sample.truth
    seconds, ious, boundary_fs = [], [], []
    labels: Labels = np.zeros(truth.shape, np.uint8)
    for move in game.moves:
        labels = move.labelling.labels
        seconds.append(move.seconds)
        ious.append(iou(labels, truth))
        boundary_fs.append(boundary_f(labels == 1, truth))
    return ObjectRun(
        task.contestant.name,
        game.sample.name,
        game.start_seconds,
        tuple(seconds),
        tuple(ious),
        tuple(boundary_fs),
        labels,
        tuple(game.clicks),
    )


def report_of(runs: Sequence[ObjectRun], clicks: int) -> Report:
    """The figures of all runs, by labeller; ``clicks`` is the most that the robot made."""
    names = dict.fromkeys(run.labeller for run in runs)
    figures = {name: _summarise([run for run in runs if run.labeller == name], clicks) for name in names}
    curves = Curves("mean IoU", {name: entry["iou"] for name, entry in figures.items()}, first=1)
    return Report("Clicks on one object", figures, _table(figures, clicks), curves)


def _summarise(runs: Sequence[ObjectRun], clicks: int) -> dict[str, Any]:
    """The figures of one labeller over its images, ready for JSON; curves hold a value after click 1 to ``clicks``.

    A run that ended early, with nothing wrong any more, keeps its last value.
    """
    curves = np.array([padded(run.ious, clicks) for run in runs])
    f_curves = np.array([padded(run.boundary_fs, clicks) for run in runs])
    seconds = np.concatenate([run.seconds for run in runs])
    steps = np.concatenate([np.diff(run.ious) for run in runs])
    return {
        "noc85": float(np.mean([clicks_needed(run.ious, 0.85, clicks) for run in runs])),
        "noc90": float(np.mean([clicks_needed(run.ious, 0.90, clicks) for run in runs])),
        "never_85": int((curves.max(1) < 0.85).sum()),
        "never_90": int((curves.max(1) < 0.90).sum()),
        "iou": curves.mean(0).tolist(),
        "boundary_f": f_curves.mean(0).tolist(),
        "harmful_clicks": int((steps < -HARM).sum()),
        "clicks": int(seconds.size),
        "start_seconds": float(np.median([run.start_seconds for run in runs])),
        "click_seconds_p50": float(np.percentile(seconds, 50)),
        "click_seconds_p95": float(np.percentile(seconds, 95)),
        "images": {run.image: {"iou": list(run.ious), "boundary_f": list(run.boundary_fs)} for run in runs},
    }


def _table(summaries: dict[str, dict[str, Any]], clicks: int) -> Table:
    """One row a labeller."""
    marks = [mark for mark in CURVE_MARKS if mark <= clicks]
    head = ["labeller", "NoC@85", "NoC@90", "never .90", *(f"IoU@{mark}" for mark in marks)]
    head += [f"boundary F@{clicks}", "clicks lowering IoU > .02", "s a click p50", "p95", "s before"]
    rows = []
    for name, figures in summaries.items():
        row = [name, f"{figures['noc85']:.2f}", f"{figures['noc90']:.2f}", f"{figures['never_90']}"]
        row += [f"{figures['iou'][mark - 1]:.3f}" for mark in marks]
        row += [f"{figures['boundary_f'][-1]:.3f}", f"{figures['harmful_clicks']} of {figures['clicks']}"]
        row += [f"{figures[key]:.3f}" for key in ("click_seconds_p50", "click_seconds_p95", "start_seconds")]
        rows.append(tuple(row))
    return Table(tuple(head), tuple(rows))
