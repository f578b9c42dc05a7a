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
from neural_seg_ros.evaluation.tracking.occluder import SEARCH
from neural_seg_ros.evaluation.tracking.play import CLICKS_AN_OBJECT, Failure, Plan, Run, shown_frames, worst_frames
from neural_seg_ros.files import write_text
from neural_seg_ros.images.files import write_image
from neural_seg_ros.metrics import decay, judged, recall

Figures = Mapping[str, Any]
_MEANS = ("jf", "j", "j_recall", "j_decay", "f", "f_recall", "f_decay")


def summarize(runs: Sequence[Run], complete: frozenset[str]) -> dict[str, Any]:
    """Summarize one tracker: means over all objects of the sequences named ``complete``.

    j, f, jf                                mean of the judged frames; jf is the mean of j and f
    j_recall, j_decay, f_recall, f_decay    see ``measures``
    start_seconds                           median; frame_seconds_p50 and _p95: of all frames after the first
    found, hidden                           objects found again, and objects that were hidden
    sequences                               {name: j to f_decay over its objects alone, and objects}
    """
    judged_runs = [run for run in runs if run.sequence in complete]
    seconds = np.concatenate([run.seconds for run in runs])
    found = [again for run in judged_runs for again in run.found or ()]
    return {
        **_means(judged_runs),
        "start_seconds": float(np.median([run.start_seconds for run in runs])),
        "frame_seconds_p50": float(np.percentile(seconds, 50)),
        "frame_seconds_p95": float(np.percentile(seconds, 95)),
        "found": sum(found),
        "hidden": len(found),
        "sequences": {run.sequence: {**_means([run]), "objects": len(run.objects), "found": run.found} for run in runs},
    }


def overall_table(figures: Mapping[str, Figures]) -> Table:
    """Return a table with a row a tracker."""
    hidden = any(entry["hidden"] for entry in figures.values())
    head = ("tracker", "J&F", "J", "J recall", "J decay", "F", "F recall", "F decay")
    rows = []
    for name, entry in figures.items():
        means = ["-" if entry[key] is None else f"{entry[key]:.3f}" for key in _MEANS]
        again = [f"{entry['found']} of {entry['hidden']}"] if hidden else []
        times = [f"{entry['start_seconds']:.2f}"]
        times += [f"{1e3 * entry[key]:.0f}" for key in ("frame_seconds_p50", "frame_seconds_p95")]
        rows.append((name, *means, *again, *times))
    again_head = ("found again",) if hidden else ()
    return Table((*head, *again_head, "s first frame", "ms a frame p50", "p95"), tuple(rows))


def sequences_table(figures: Mapping[str, Figures], sequences: Sequence[str], merit: str) -> Table:
    """Return a row a sequence: ``j`` or ``f`` of every tracker, and whether all was found after an occluder."""
    rows = tuple(
        (name, *(_cell(entry["sequences"].get(name), merit) for entry in figures.values())) for name in sequences
    )
    return Table((f"{merit.upper()} on", *figures), rows)


def _means(runs: Sequence[Run]) -> dict[str, float | None]:
    """Average over all objects of the runs; None without a run."""
    if not runs:
        return dict.fromkeys(_MEANS)
    found: dict[str, float | None] = {}
    for merit in ("j", "f"):
        values = [judged(row) for run in runs for row in getattr(run, merit)]
        found[merit] = float(np.mean([row.mean() for row in values]))
        found[f"{merit}_recall"] = float(np.mean([recall(row) for row in values]))
        found[f"{merit}_decay"] = float(np.mean([decay(row) for row in values]))
    return {"jf": float(np.mean([found["j"], found["f"]])), **found}


def _cell(entry: Figures | None, merit: str) -> str:
    if entry is None:
        return "failed"
    lost = merit == "j" and entry["found"] is not None and not all(entry["found"])
    return f"{entry[merit]:.3f}{' lost' if lost else ''}"


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
