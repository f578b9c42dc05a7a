"""The figures of a labeler over its runs, ready for JSON, and as cells of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from neural_seg_ros.evaluation.clicks.calibration import Calibration
from neural_seg_ros.evaluation.clicks.play import Plan, Run
from neural_seg_ros.evaluation.table import Table, padded

Figures = Mapping[str, Any]
Cells = Mapping[str, str]  # by the column's title

HARM = 0.02
# A fall of the figure of merit that is more than rounding.
LEAST_FALL = 1e-9
COVERAGES = 20
CALIBRATION = {"ECE per image": "ece", "ECE pooled": "ece_pooled", "AURC": "aurc"}
TIMES = {"s a click p50": "click_seconds_p50", "p95": "click_seconds_p95", "s before": "start_seconds"}


def by_labeler(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Group runs by labeler in the order of the first, with the start where there are several."""
    several = len({run.start for run in runs}) > 1
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(f"{run.labeler}, {run.start}" if several else run.labeler, []).append(run)
    return groups


def summarize(runs: Sequence[Run], plan: Plan) -> dict[str, Any]:
    """Summarize one labeler in one game over its images.

    before                   robot clicks before the first value of a curve
    NAME                     curve: mean over the images, after every click; a run that ended early keeps its last value
    clicks, falls, harmful   robot clicks made; those after which the merit fell at all, and by more than .02
    calibration              None without a confidence, see ``_calibration``
    start_seconds            median; click_seconds_p50 and _p95: of all moves
    images                   {image: {NAME: value after every click}}
    """
    before = runs[0].before
    length = plan.clicks + 1 - before
    falls = -np.concatenate([np.diff(run.merits) for run in runs])
    seconds = np.concatenate([run.seconds for run in runs])
    curves = {
        name: np.mean([padded(run.figures[name], length) for run in runs], axis=0).tolist() for name in runs[0].figures
    }
    return {
        "before": before,
        **curves,
        "clicks": sum(len(run.seconds) - 1 + before for run in runs),
        "falls": int((falls > LEAST_FALL).sum()),
        "harmful": int((falls > HARM).sum()),
        "calibration": _calibration(runs, shown_marks(plan, before)),
        "start_seconds": float(np.median([run.start_seconds for run in runs])),
        "click_seconds_p50": float(np.percentile(seconds, 50)),
        "click_seconds_p95": float(np.percentile(seconds, 95)),
        "images": {run.image: {name: list(values) for name, values in run.figures.items()} for run in runs},
    }


def shown_marks(plan: Plan, before: int = 0) -> list[int]:
    """Return the numbers of robot clicks in tables, from ``before`` on."""
    marks = {mark for game in plan.games for mark in game.marks}
    return sorted(mark for mark in marks if before <= mark <= plan.clicks)


def _calibration(runs: Sequence[Run], marks: Sequence[int]) -> dict[str, Any] | None:
    """Average calibration and risk over the shown numbers of clicks.

    ece         expected calibration error of an image, mean over the images
    ece_pooled  that of the pixels of all images together
    aurc        area under risk against coverage, of the pixels of all images together
    risk        its values at coverage .05, .1, ... 1
    """
    pools: list[Calibration] = []
    single: list[float] = []
    for mark in marks:
        found = [answer.calibration for answer in (run.answer(mark) for run in runs) if answer.calibration is not None]
        if not found:
            return None
        single += [calibration.expected_error() for calibration in found]
        pools.append(reduce(add, found))
    return {
        "ece": float(np.mean(single)),
        "ece_pooled": float(np.mean([pool.expected_error() for pool in pools])),
        "aurc": float(np.mean([pool.area_under_risk() for pool in pools])),
        "risk": np.mean([pool.risk(COVERAGES) for pool in pools], axis=0).tolist(),
    }


def at_marks(title: str, name: str, figures: Figures, plan: Plan) -> Cells:
    """Return the curve ``name`` at the shown numbers of clicks."""
    curve, before = figures[name], figures["before"]
    return {f"{title}{mark}": f"{curve[mark - before]:.3f}" if mark >= before else "-" for mark in shown_marks(plan)}


def common_cells(merit: str, figures: Figures) -> Cells:
    """Return the last columns of every table: harmful clicks, calibration and time."""
    clicks = max(1, figures["clicks"])
    calibration = figures["calibration"] or {}
    return {
        f"clicks lowering {merit}": f"{100 * figures['falls'] / clicks:.1f} %",
        "by > .02": f"{100 * figures['harmful'] / clicks:.1f} %",
        **{title: f"{calibration[name]:.3f}" if calibration else "-" for title, name in CALIBRATION.items()},
        **{title: f"{figures[name]:.3f}" for title, name in TIMES.items()},
    }


def table_of(rows: Mapping[str, Cells]) -> Table:
    """Return a table with a row a labeler and the same columns for all."""
    head = next(iter(rows.values()))
    return Table(("labeller", *head), tuple((name, *cells.values()) for name, cells in rows.items()))
