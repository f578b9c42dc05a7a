"""``evaluate boxes``: one object from a bounding box, beside the same object from clicks (thesis 2.4.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from neural_seg_ros.annotations import Box
from neural_seg_ros.evaluate.clicks import FROM_CLICKS, measure_object
from neural_seg_ros.evaluate.datasets import Sample, box_of
from neural_seg_ros.evaluate.figures import (
    Figures,
    at_marks,
    by_labeller,
    common_cells,
    shown_marks,
    summarise,
    table_of,
)
from neural_seg_ros.evaluate.metrics import IGNORE, error_rate
from neural_seg_ros.evaluate.nearest import Labels
from neural_seg_ros.evaluate.play import Game, Plan, Run
from neural_seg_ros.evaluate.report import Report
from neural_seg_ros.evaluate.robot import next_object_click
from neural_seg_ros.evaluate.table import Table
from neural_seg_ros.rasterise import box_pixels

MARKS = (0, 1, 2, 3, 5, 8)


def report_of(plan: Plan, runs: Sequence[Run]) -> Report:
    """The figures of all runs, by labeller and start, and the IoU on every image."""
    groups = by_labeller(runs)
    figures = {name: summarise(own, plan) for name, own in groups.items()}
    cells = {
        name: {
            **at_marks("IoU +", "iou", entry, plan),
            "error +0": _first(entry, "error"),
            "in the box": _first(entry, "error_in_box"),
            f"boundary F +{plan.clicks}": f"{entry['boundary_f'][-1]:.3f}",
            **common_cells("IoU", entry),
        }
        for name, entry in figures.items()
    }
    return Report("One object from a box and from clicks", figures, (table_of(cells), _images(groups, plan)), "iou")


def _first(figures: Figures, name: str) -> str:
    return "-" if figures["before"] else f"{figures[name][0]:.4f}"


def _images(groups: Mapping[str, Sequence[Run]], plan: Plan) -> Table:
    """A row an image: IoU from the box alone, and after every shown number of clicks without a box."""
    columns = {
        f"{name} +{mark}": {run.image: f"{run.merit(mark):.3f}" for run in own}
        for name, own in groups.items()
        for mark in (shown_marks(plan, 1) if own[0].before else [0])
    }
    rows = tuple((item.name, *(column[item.name] for column in columns.values())) for item in plan.items)
    return Table(("IoU on", *columns), rows)


def _box(sample: Sample) -> tuple[Box]:
    return (box_of(sample),)


def _measure(labels: Labels, sample: Sample) -> dict[str, float]:
    """Beside the figures of an object its error rate, over all judged pixels and over those inside the box."""
    inside = np.full_like(sample.truth, IGNORE)
    shape = sample.truth.shape[0], sample.truth.shape[1]
    pixels = box_pixels(box_of(sample), shape, shape)
    inside[pixels] = sample.truth[pixels]
    errors = {"error": error_rate(labels, sample.truth), "error_in_box": error_rate(labels, inside)}
    return {**measure_object(labels, sample), **errors}


GAMES = (
    Game("box", _box, next_object_click, _measure, MARKS, show_first=True),
    replace(FROM_CLICKS, measure=_measure, marks=MARKS),
)
