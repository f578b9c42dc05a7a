"""``evaluate regions``: many classes, first one click a segment, then robot clicks on what is wrong (mean IoU, ECE)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neural_seg_ros.annotations import Click
from neural_seg_ros.evaluate.labeller import Labelling
from neural_seg_ros.evaluate.metrics import IGNORE, expected_calibration_error, mean_iou
from neural_seg_ros.evaluate.nearest import Labels
from neural_seg_ros.evaluate.play import Task, play
from neural_seg_ros.evaluate.report import Curves, Report
from neural_seg_ros.evaluate.robot import first_region_clicks, next_region_click
from neural_seg_ros.evaluate.table import Table, padded

CURVE_MARKS = (0, 3, 6, 9)


@dataclass(frozen=True)
class RegionsRun:
    """One labeller on one image: figures after 0, 1, ... robot clicks; ``eces`` is empty without a confidence."""

    labeller: str
    image: str
    classes: int
    start_seconds: float
    seconds: tuple[float, ...]
    mean_ious: tuple[float, ...]
    eces: tuple[float, ...]
    labels: Labels
    clicks: tuple[Click, ...]

    @property
    def quality(self) -> float:
        """The last mean IoU."""
        return self.mean_ious[-1]


def run_regions(task: Task) -> RegionsRun:
    """One click a segment, then robot clicks, and measure after every one."""
    game = play(task, lambda sample: first_region_clicks(sample.truth), next_region_click)
    truth = game.sample.truth
    seconds, mean_ious, eces = [], [], []
    labels: Labels = np.zeros(truth.shape, np.uint8)
    for move in game.moves:
        labels = move.labelling.labels
        seconds.append(move.seconds)
        mean_ious.append(mean_iou(labels, truth))
        eces += _calibration(move.labelling, truth)
    return RegionsRun(
        task.contestant.name,
        game.sample.name,
        len(np.unique(truth[truth != IGNORE])),
        game.start_seconds,
        tuple(seconds),
        tuple(mean_ious),
        tuple(eces),
        labels,
        tuple(game.clicks),
    )


def report_of(runs: Sequence[RegionsRun], clicks: int) -> Report:
    """The figures of all runs, by labeller; ``clicks`` is the most that the robot made."""
    names = dict.fromkeys(run.labeller for run in runs)
    figures = {name: _summarise([run for run in runs if run.labeller == name], clicks) for name in names}
    curves = Curves("mean IoU", {name: entry["mean_iou"] for name, entry in figures.items()}, first=0)
    return Report("Clicks on many classes", figures, _table(figures, clicks), curves)


def _summarise(runs: Sequence[RegionsRun], clicks: int) -> dict[str, Any]:
    """The figures of one labeller over its images, ready for JSON; curves hold a value after 0 to ``clicks`` clicks.

    A run that ended early, with nothing wrong any more, keeps its last value. ``ece`` is None without a confidence.
    """
    seconds = np.concatenate([run.seconds for run in runs])
    calibrated = [run.eces for run in runs if run.eces]
    return {
        "mean_iou": np.mean([padded(run.mean_ious, clicks + 1) for run in runs], axis=0).tolist(),
        "ece": np.mean([padded(eces, clicks + 1) for eces in calibrated], axis=0).tolist() if calibrated else None,
        "start_seconds": float(np.median([run.start_seconds for run in runs])),
        "click_seconds_p50": float(np.percentile(seconds, 50)),
        "click_seconds_p95": float(np.percentile(seconds, 95)),
        "images": {
            run.image: {"classes": run.classes, "mean_iou": list(run.mean_ious), "ece": list(run.eces)} for run in runs
        },
    }


def _table(summaries: dict[str, dict[str, Any]], clicks: int) -> Table:
    """One row a labeller; its ECE is the mean over the shown numbers of clicks."""
    marks = [mark for mark in CURVE_MARKS if mark <= clicks]
    head = ["labeller", *(f"mean IoU +{mark}" for mark in marks), "ECE", "s a click p50", "p95", "s before"]
    rows = []
    for name, figures in summaries.items():
        ece = figures["ece"] and f"{np.mean([figures['ece'][mark] for mark in marks]):.3f}"
        row = [name, *(f"{figures['mean_iou'][mark]:.3f}" for mark in marks), ece or "-"]
        row += [f"{figures[key]:.3f}" for key in ("click_seconds_p50", "click_seconds_p95", "start_seconds")]
        rows.append(tuple(row))
    return Table(tuple(head), tuple(rows))


def _calibration(labelling: Labelling, truth: Labels) -> list[float]:
    """The ECE over judged pixels in a list, or an empty list without a confidence."""
    if labelling.confidence is None:
        return []
    judged = truth != IGNORE
    return [expected_calibration_error(labelling.confidence[judged], (labelling.labels == truth)[judged])]
