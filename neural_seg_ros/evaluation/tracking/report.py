"""An evaluation of trackers on disk: figures, tables, plots and contact sheets, each file whole or absent."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neural_seg_ros.drawing import contact_sheet
from neural_seg_ros.evaluation.plots import new_figure, plot_axes, save_plot, write_figure
from neural_seg_ros.evaluation.table import Table
from neural_seg_ros.evaluation.tracking.figures import Figures, overall_table, sequences_table, summarize
from neural_seg_ros.evaluation.tracking.occluder import SEARCH
from neural_seg_ros.evaluation.tracking.play import CLICKS_AN_OBJECT, Failure, Plan, Run, shown_frames, worst_frames
from neural_seg_ros.files import write_text
from neural_seg_ros.images.files import write_image

TITLE = "Tracking from the first frame"
COLUMNS = 3
POINTS = 21


@dataclass(frozen=True)
class Report:
    """The report of an evaluation: runs and figures by tracker, tables, and failures."""

    runs: Mapping[str, Sequence[Run]]
    figures: Mapping[str, Figures]
    tables: tuple[Table, ...]
    failures: tuple[Failure, ...]


def report_of(plan: Plan, outcomes: Sequence[Run | Failure]) -> Report:
    """Report all trackers that finished a sequence; means are over the sequences that none of them failed."""
    failures = tuple(outcome for outcome in outcomes if isinstance(outcome, Failure))
    runs: dict[str, list[Run]] = {}
    for outcome in outcomes:
        if isinstance(outcome, Run):
            runs.setdefault(outcome.tracker, []).append(outcome)
    # One that failed everywhere is left out, and takes no sequence from the others.
    failed = {failure.sequence for failure in failures if failure.tracker in runs}
    names = [item.name for item in plan.items]
    complete = frozenset(names) - failed
    figures = {name: summarize(own, complete) for name, own in runs.items()}
    tables = (overall_table(figures), *(sequences_table(figures, names, merit) for merit in ("j", "f")))
    return Report(runs, figures, tables, failures)


def write_report(folder: Path, plan: Plan, report: Report) -> None:
    """Write all files into ``folder``.

    metrics.json               everything needed to run it again, and all figures
    table.md                   the tables
    frames.csv                 J and F of every object on every frame
    curves.png                 J over the course of the sequences, mean over their objects
    sequences.png              J over the frames of every sequence
    sheets/SEQUENCE.png        a row a tracker: frames evenly over the sequence, the truth's contour white
    sheets/SEQUENCE_worst.png  a row a tracker: its worst frames
    """
    failures = [vars(failure) for failure in report.failures]
    metrics = {**_protocol(plan), "failures": failures, "trackers": report.figures}
    write_text(folder / "metrics.json", json.dumps(metrics, indent=1) + "\n")
    tables = "\n".join(table.markdown() for table in report.tables)
    failed = "".join(f"\nFailed: {failure}\n" for failure in report.failures)
    write_text(folder / "table.md", f"# {TITLE}\n\n{_sentence(plan)}\n\n{tables}{failed}")
    write_text(folder / "frames.csv", _frames(report))
    _plot_curves(folder / "curves.png", report)
    _plot_sequences(folder / "sequences.png", report)
    for item in plan.items:
        _write_sheets(folder / "sheets", item.name, report)


def _protocol(plan: Plan) -> dict[str, Any]:
    sessions = [contestant.config for contestant in plan.contestants if contestant.config is not None]
    config = {name: value for name, value in sessions[0].to_dict().items() if name != "answer"} if sessions else None
    return {
        "frames": {item.name: len(item.images) for item in plan.items},
        "longer_side": plan.longer_side,
        "start": plan.start,
        "occlude": plan.occlude,
        "threads": 1,
        "session": config,
    }


def _sentence(plan: Plan) -> str:
    size = f"longer side {plan.longer_side} px" if plan.longer_side else "full resolution"
    start = "the true mask of the first frame"
    if plan.start == "clicks":
        start = (
            f"{CLICKS_AN_OBJECT} robot clicks an object on the first frame (peers: the mask that fused makes of them)"
        )
    hidden = ""
    if plan.occlude:
        hidden = (
            f" From a third of each sequence on an occluder hides all objects on {plan.occlude} frames; found again: "
            f"J > .5 on one of the {SEARCH} frames after it has left them."
        )
    return (
        f"{len(plan.items)} sequences, {size}, from {start}; one thread a tracker. DAVIS 2016: the first and the last "
        f"frame are not judged, means are over objects.{hidden}"
    )


def _frames(report: Report) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["sequence", "tracker", "object", "frame", "j", "f", "seconds"])
    for run in (run for own in report.runs.values() for run in own):
        seconds = (run.start_seconds, *run.seconds)
        for class_id, j, f in zip(run.objects, run.j, run.f, strict=True):
            for frame, values in enumerate(zip(j, f, seconds, strict=True)):
                figures = [f"{value:.6f}" for value in values]
                table.writerow([run.sequence, run.tracker, class_id, frame, *figures])
    return text.getvalue()


def _plot_curves(path: Path, report: Report) -> None:
    figure, axes = plot_axes(TITLE, "share of the sequence", "J")
    axes.set_ylim(0, 1)
    places = np.linspace(0, 1, POINTS)
    for name, runs in report.runs.items():
        rows = [row for run in runs for row in run.j]
        curves = [np.interp(places, np.linspace(0, 1, len(row)), row) for row in rows]
        axes.plot(places, np.mean(curves, axis=0), marker=".", label=name)
    save_plot(path, figure, axes)


def _plot_sequences(path: Path, report: Report) -> None:
    names = list(dict.fromkeys(run.sequence for own in report.runs.values() for run in own))
    columns = min(COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = new_figure(1.2 + 4 * columns, 2.6 * rows, dpi=100)
    for number, name in enumerate(names, start=1):
        axes = figure.add_subplot(rows, columns, number, title=name, ylim=(0, 1))
        for tracker, runs in report.runs.items():
            for run in runs:
                if run.sequence == name:
                    axes.plot(run.j.mean(0), label=tracker)
        axes.grid(alpha=0.3)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right upper")
    write_figure(path, figure)


def _write_sheets(folder: Path, name: str, report: Report) -> None:
    runs = [run for own in report.runs.values() for run in own if run.sequence == name]
    for suffix, frames_of in (("", shown_frames), ("_worst", worst_frames)):
        shown = [(run, frame) for run in runs for frame in frames_of(run.j)]
        if shown:
            captions = [f"{run.tracker} {frame}: {run.j[:, frame].mean():.3f}" for run, frame in shown]
            pictures = [run.pictures[frame] for run, frame in shown]
            sheet = contact_sheet(pictures, len(pictures) // len(runs), captions)
            write_image(folder / f"{name}{suffix}.png", sheet)
