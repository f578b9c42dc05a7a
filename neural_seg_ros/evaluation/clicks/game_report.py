"""An evaluation on disk: figures, tables, plots and pictures, each file whole or absent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neural_seg_ros.drawing import contact_sheet, overlay
from neural_seg_ros.evaluation.clicks.figures import Figures, shown_marks
from neural_seg_ros.evaluation.clicks.play import Answer, Plan, Run
from neural_seg_ros.evaluation.datasets import Sample
from neural_seg_ros.evaluation.plots import plot_axes, save_plot
from neural_seg_ros.evaluation.table import Table
from neural_seg_ros.files import write_text
from neural_seg_ros.images.arrays import field_shape, resize_image
from neural_seg_ros.images.files import RgbImage, write_image

PICTURE_SIDE = 240
SHEET_ROWS = 40
WORST = 5


@dataclass(frozen=True)
class Report:
    """The report of an evaluation: figures by labeler, tables, and the curve of the merit."""

    title: str
    figures: Mapping[str, Figures]
    tables: tuple[Table, ...]
    merit: str


def write_report(folder: Path, plan: Plan, report: Report, runs: Sequence[Run]) -> None:
    """Write all files into ``folder``; ``runs`` in the order of ``plan.tasks()``.

    metrics.json       everything needed to run it again, and all figures
    table.md           the tables
    curves.png         the figure of merit after every robot click
    risk_coverage.png  error rate of the most confident share of the pixels, of labelers with a confidence, if any
    sheet.png          a row per image: its truth, every labeler's last answer
    worst.png          a row for each of the five images worst for our first answer, if any: how it went on
    """
    metrics = {**_protocol(plan), "labellers": report.figures}
    write_text(folder / "metrics.json", json.dumps(metrics, indent=1) + "\n")
    tables = "\n".join(table.markdown() for table in report.tables)
    write_text(folder / "table.md", f"# {report.title}\n\n{_sentence(plan)}\n\n{tables}")
    _plot_curves(folder / "curves.png", report)
    if any(entry["calibration"] for entry in report.figures.values()):
        _plot_risk(folder / "risk_coverage.png", report)
    _write_sheet(folder / "sheet.png", plan, runs)
    ours = next((entry.name for entry in plan.contestants if entry.config is not None), None)
    if ours is not None:
        chosen = [run for run in runs if (run.labeler, run.start) == (ours, plan.games[0].start)]
        _write_worst(folder / "worst.png", plan, chosen)


def _protocol(plan: Plan) -> dict[str, Any]:
    sessions = [contestant.config for contestant in plan.contestants if contestant.config is not None]
    config = {name: value for name, value in sessions[0].to_dict().items() if name != "answer"} if sessions else None
    return {
        "images": len(plan.items),
        "longer_side": plan.longer_side,
        "start": [game.start for game in plan.games],
        "clicks": plan.clicks,
        "robot": plan.robot,
        "seed": plan.seed,
        "threads": 1,
        "batch": plan.batch,
        "session": config,
    }


def _sentence(plan: Plan) -> str:
    size = f"longer side {plan.longer_side} px" if plan.longer_side else "full resolution"
    robot = "the centre of" if plan.robot == "centre" else f"a random point (seed {plan.seed}) in"
    starts = " or ".join(game.start for game in plan.games)
    batch = f"; up to {plan.batch} fits of field at a time, which wait for each other" if plan.batch > 1 else ""
    return (
        f"{len(plan.items)} images, {size}, from {starts}, at most {plan.clicks} robot clicks, each at {robot} the "
        f"largest error; one thread a labeller{batch}."
    )


def _plot_curves(path: Path, report: Report) -> None:
    figure, axes = plot_axes(report.title, "robot clicks", report.merit.replace("_", " ").replace("iou", "IoU"))
    axes.set_ylim(0, 1)
    for name, entry in report.figures.items():
        values = entry[report.merit]
        axes.plot(range(entry["before"], entry["before"] + len(values)), values, marker=".", label=name)
    axes.locator_params(axis="x", integer=True)
    save_plot(path, figure, axes)


def _plot_risk(path: Path, report: Report) -> None:
    figure, axes = plot_axes(report.title, "coverage (most confident share of the pixels)", "risk (error rate)")
    for name, entry in report.figures.items():
        if entry["calibration"]:
            risk = entry["calibration"]["risk"]
            axes.plot(np.arange(1, len(risk) + 1) / len(risk), risk, marker=".", label=name)
    save_plot(path, figure, axes)


def _write_sheet(path: Path, plan: Plan, runs: Sequence[Run]) -> None:
    games = [game for game in plan.games for _ in plan.contestants]
    pictures: list[RgbImage] = []
    captions: list[str] = []
    for number, item in enumerate(plan.items[:SHEET_ROWS]):
        row = runs[number * len(games) : (number + 1) * len(games)]
        clicks = [run.before if game.show_first else plan.clicks for game, run in zip(games, row, strict=True)]
        shown = list(zip(row, clicks, strict=True))
        pictures += _pictures(item.load(plan.longer_side), [run.answer(after) for run, after in shown])
        captions += [
            item.name,
            "truth",
            *(f"{run.labeler}, {run.start} {run.merit(after):.3f}" for run, after in shown),
        ]
    _write_pictures(path, pictures, 2 + len(games), captions)


def _write_worst(path: Path, plan: Plan, runs: Sequence[Run]) -> None:
    before = runs[0].before
    marks = sorted({*shown_marks(plan, before), plan.clicks})
    pictures: list[RgbImage] = []
    captions: list[str] = []
    means = [np.mean([run.merit(clicks) for clicks in range(before, plan.clicks + 1)]) for run in runs]
    for number in np.argsort(means, kind="stable")[:WORST]:
        run = runs[number]
        pictures += _pictures(plan.items[number].load(plan.longer_side), [run.answer(mark) for mark in marks])
        captions += [run.image, "truth", *(f"{run.labeler} +{mark} {run.merit(mark):.3f}" for mark in marks)]
    _write_pictures(path, pictures, 2 + len(marks), captions)


def _pictures(sample: Sample, answers: Sequence[Answer]) -> list[RgbImage]:
    """Draw (H, W, 3) uint8 RGB: the image, its truth (ignored pixels plain), and answers with annotations."""
    height, width = sample.truth.shape
    height, width = field_shape(height, width, PICTURE_SIDE, least=1)
    drawn = [overlay(sample.image, answer.labels, answer.drawn) for answer in answers]
    full_size = [sample.image, overlay(sample.image, sample.truth), *drawn]
    return [resize_image(picture, height, width) for picture in full_size]


def _write_pictures(path: Path, pictures: list[RgbImage], columns: int, captions: Sequence[str]) -> None:
    # The sheet's cells have the size of the first picture: among upright and flat ones it must hold both.
    height, width = np.max([picture.shape[:2] for picture in pictures], axis=0)
    cell = np.zeros((height, width, 3), np.uint8)
    cell[: pictures[0].shape[0], : pictures[0].shape[1]] = pictures[0]
    write_image(path, contact_sheet([cell, *pictures[1:]], columns, captions))
