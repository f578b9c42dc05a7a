"""``evaluate regions``: many classes, first a click or strokes on every segment, then robot clicks on what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from neural_seg_ros.annotations import Annotation
from neural_seg_ros.errors import ConfigError
from neural_seg_ros.evaluate.datasets import Sample
from neural_seg_ros.evaluate.figures import at_marks, by_labeller, common_cells, summarise, table_of
from neural_seg_ros.evaluate.metrics import mean_iou
from neural_seg_ros.evaluate.nearest import Labels
from neural_seg_ros.evaluate.play import Game, Plan, Run
from neural_seg_ros.evaluate.report import Report
from neural_seg_ros.evaluate.robot import first_region_clicks, next_region_click
from neural_seg_ros.evaluate.strokes import robot_strokes

MARKS = (0, 3, 6, 9)


def regions_game(start: str) -> Game:
    """The game that begins with ``clicks``, one a class, or ``strokes``, up to 18. Raises ConfigError."""
    games = {game.start: game for game in (_FROM_CLICKS, _FROM_STROKES)}
    if start not in games:
        raise ConfigError(f"start: got {start!r}, accepted: {' | '.join(games)}")
    return games[start]


def report_of(plan: Plan, runs: Sequence[Run]) -> Report:
    """The figures of all runs, by labeller."""
    figures = {name: summarise(own, plan) for name, own in by_labeller(runs).items()}
    cells = {
        name: {**at_marks("mean IoU +", "mean_iou", entry, plan), **common_cells("mean IoU", entry)}
        for name, entry in figures.items()
    }
    return Report("Clicks on many classes", figures, (table_of(cells),), "mean_iou")


def _measure(labels: Labels, sample: Sample) -> dict[str, float]:
    return {"mean_iou": mean_iou(labels, sample.truth)}


def _clicks(sample: Sample) -> tuple[Annotation, ...]:
    return first_region_clicks(sample.truth)


def _strokes(sample: Sample) -> tuple[Annotation, ...]:
    return robot_strokes(sample.truth)


_FROM_CLICKS = Game("clicks", _clicks, next_region_click, _measure, MARKS)
_FROM_STROKES = Game("strokes", _strokes, next_region_click, _measure, MARKS)
