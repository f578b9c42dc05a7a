"""``evaluate clicks``: how many robot clicks one object needs (the protocol of RITM: NoC@85, NoC@90, IoU per click)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neural_seg_ros.evaluate.datasets import Sample
from neural_seg_ros.evaluate.figures import Cells, at_marks, by_labeller, common_cells, summarise, table_of
from neural_seg_ros.evaluate.metrics import boundary_f, clicks_needed, iou
from neural_seg_ros.evaluate.nearest import Labels
from neural_seg_ros.evaluate.play import Game, Plan, Run
from neural_seg_ros.evaluate.report import Report
from neural_seg_ros.evaluate.robot import next_object_click


def measure_object(labels: Labels, sample: Sample) -> dict[str, float]:
    """IoU of the object, and F of its boundary at 2 px."""
    return {"iou": iou(labels, sample.truth), "boundary_f": boundary_f(labels == 1, sample.truth)}


def nothing(_: Sample) -> tuple[()]:
    """The robot clicks at once."""
    return ()


FROM_CLICKS = Game("clicks", nothing, next_object_click, measure_object, marks=(1, 3, 5, 10, 20))


def report_of(plan: Plan, runs: Sequence[Run]) -> Report:
    """The figures of all runs, by labeller."""
    figures = {
        name: {**clicks_to_quality(own, plan.clicks), **summarise(own, plan)} for name, own in by_labeller(runs).items()
    }
    table = table_of({name: _cells(entry, plan) for name, entry in figures.items()})
    return Report("Clicks on one object", figures, (table,), "iou")


def clicks_to_quality(runs: Sequence[Run], clicks: int) -> dict[str, float]:
    """NoC@85 and NoC@90, means over the images, and how many images never get there in ``clicks`` clicks."""
    found: dict[str, float] = {}
    for name, quality in (("85", 0.85), ("90", 0.90)):
        found[f"noc{name}"] = float(np.mean([clicks_needed(run.merits, quality, clicks) for run in runs]))
        found[f"never_{name}"] = sum(max(run.merits) < quality for run in runs)
    return found


def _cells(figures: Mapping[str, Any], plan: Plan) -> Cells:
    return {
        "NoC@85": f"{figures['noc85']:.2f}",
        "NoC@90": f"{figures['noc90']:.2f}",
        "never .90": f"{figures['never_90']}",
        **at_marks("IoU@", "iou", figures, plan),
        f"boundary F@{plan.clicks}": f"{figures['boundary_f'][-1]:.3f}",
        **common_cells("IoU", figures),
    }
