"""The games: clicks on one object, boxes, and clicks or strokes on many classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from neural_seg_ros.annotations import Annotation, Box
from neural_seg_ros.annotations.rasterize import box_pixels
from neural_seg_ros.errors import ConfigError
from neural_seg_ros.evaluation.clicks.figures import (
    Cells,
    Figures,
    at_marks,
    by_labeler,
    common_cells,
    shown_marks,
    summarize,
    table_of,
)
from neural_seg_ros.evaluation.clicks.game_report import Report
from neural_seg_ros.evaluation.clicks.play import Game, Plan, Run
from neural_seg_ros.evaluation.datasets import Sample, box_of
from neural_seg_ros.evaluation.robot import first_region_clicks, next_object_click, next_region_click, robot_strokes
from neural_seg_ros.evaluation.table import Table
from neural_seg_ros.images.arrays import Labels
from neural_seg_ros.metrics import IGNORE, boundary_f, clicks_needed, error_rate, iou, mean_iou


def measure_object(labels: Labels, sample: Sample) -> dict[str, float]:
    """Compute the IoU of the object, and F of its boundary at 2 px."""
    return {"iou": iou(labels, sample.truth), "boundary_f": boundary_f(labels == 1, sample.truth)}


def nothing(_: Sample) -> tuple[()]:
    """Return no annotation: the robot starts with a click."""
    return ()


FROM_CLICKS = Game("clicks", nothing, next_object_click, measure_object, marks=(1, 3, 5, 10, 20))


def clicks_report(plan: Plan, runs: Sequence[Run]) -> Report:
    """Report the figures of all runs by labeler."""
    figures = {
        name: {**clicks_to_quality(own, plan.clicks), **summarize(own, plan)} for name, own in by_labeler(runs).items()
    }
    table = table_of({name: _cells(entry, plan) for name, entry in figures.items()})
    return Report("Clicks on one object", figures, (table,), "iou")


def clicks_to_quality(runs: Sequence[Run], clicks: int) -> dict[str, float]:
    """Compute NoC@85 and NoC@90, averaged over images, and the number of images that never get there."""
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


REGION_MARKS = (0, 3, 6, 9)


def regions_game(start: str) -> Game:
    """Return the game that starts with ``clicks``, one a class, or ``strokes``, up to 18. Raises ConfigError."""
    games = {game.start: game for game in (_FROM_CLICKS, _FROM_STROKES)}
    if start not in games:
        raise ConfigError(f"start: got {start!r}, accepted: {' | '.join(games)}")
    return games[start]


def regions_report(plan: Plan, runs: Sequence[Run]) -> Report:
    """Report the figures of all runs by labeler."""
    figures = {name: summarize(own, plan) for name, own in by_labeler(runs).items()}
    cells = {
        name: {**at_marks("mean IoU +", "mean_iou", entry, plan), **common_cells("mean IoU", entry)}
        for name, entry in figures.items()
    }
    return Report("Clicks on many classes", figures, (table_of(cells),), "mean_iou")


def _measure_regions(labels: Labels, sample: Sample) -> dict[str, float]:
    return {"mean_iou": mean_iou(labels, sample.truth)}


def _clicks(sample: Sample) -> tuple[Annotation, ...]:
    return first_region_clicks(sample.truth)


def _strokes(sample: Sample) -> tuple[Annotation, ...]:
    return robot_strokes(sample.truth)


_FROM_CLICKS = Game("clicks", _clicks, next_region_click, _measure_regions, REGION_MARKS)
_FROM_STROKES = Game("strokes", _strokes, next_region_click, _measure_regions, REGION_MARKS)


BOX_MARKS = (0, 1, 2, 3, 5, 8)


def boxes_report(plan: Plan, runs: Sequence[Run]) -> Report:
    """Report the figures of all runs by labeler and start, and the IoU on every image."""
    groups = by_labeler(runs)
    figures = {name: summarize(own, plan) for name, own in groups.items()}
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
    """Return a row an image: IoU from the box alone, and after each shown number of clicks without a box."""
    columns = {
        f"{name} +{mark}": {run.image: f"{run.merit(mark):.3f}" for run in own}
        for name, own in groups.items()
        for mark in (shown_marks(plan, 1) if own[0].before else [0])
    }
    rows = tuple((item.name, *(column[item.name] for column in columns.values())) for item in plan.items)
    return Table(("IoU on", *columns), rows)


def _box(sample: Sample) -> tuple[Box]:
    return (box_of(sample),)


def _measure_box(labels: Labels, sample: Sample) -> dict[str, float]:
    """Compute the figures of an object and its error rate, over all judged pixels and inside the box."""
    inside = np.full_like(sample.truth, IGNORE)
    shape = sample.truth.shape[0], sample.truth.shape[1]
    pixels = box_pixels(box_of(sample), shape, shape)
    inside[pixels] = sample.truth[pixels]
    errors = {"error": error_rate(labels, sample.truth), "error_in_box": error_rate(labels, inside)}
    return {**measure_object(labels, sample), **errors}


BOX_GAMES = (
    Game("box", _box, next_object_click, _measure_box, BOX_MARKS, show_first=True),
    replace(FROM_CLICKS, measure=_measure_box, marks=BOX_MARKS),
)
