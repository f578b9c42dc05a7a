"""An evaluation of contour detectors on disk: figures, table, plot and pictures, each file whole or absent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from neural_seg_ros.drawing import contact_sheet
from neural_seg_ros.evaluation.contours.detection import Plan, Run
from neural_seg_ros.evaluation.contours.measures import (
    average_precision,
    best_f,
    ods,
    ois,
    precision_of,
    recall_at_half,
    recall_of,
    thresholds_of,
)
from neural_seg_ros.evaluation.contours.segments import segment_figures
from neural_seg_ros.evaluation.plots import new_figure, write_figure
from neural_seg_ros.evaluation.table import Table
from neural_seg_ros.files import write_text
from neural_seg_ros.images.files import write_image

Figures = Mapping[str, Any]
_CONTOURS = {"ODS": "ods", "OIS": "ois", "AP": "ap", "R50": "r50"}
_SEGMENTS = {
    "covering ODS": "covering_ods",
    "OIS": "covering_ois",
    "best": "covering_best",
    "PRI ODS": "pri_ods",
    "OIS ": "pri_ois",
    "VI ODS": "vi_ods",
    "OIS  ": "vi_ois",
}


def summarize(runs: Sequence[Run]) -> dict[str, Any]:
    """Summarize one detector.

    ods, threshold, recall, precision  the best F with one threshold for all images, and where that is
    ois, ap, r50                       see ``measures``; ap and r50 are None of a detector without strengths
    segments                           see ``segment_figures``; None without segments
    seconds                            mean of an image
    curve                              threshold, recall and precision over all images
    images                             {image: its own best F, where that is, and seconds}
    """
    counts = np.array([run.counts for run in runs])
    places = thresholds_of(counts.shape[1])
    total, best = counts.sum(0), ods(places, counts)
    agreements = [run.agreement for run in runs if run.agreement is not None]
    return {
        "ods": best.f,
        "threshold": best.threshold,
        "recall": best.recall,
        "precision": best.precision,
        "ois": ois(counts),
        "ap": average_precision(total),
        "r50": recall_at_half(total),
        "segments": segment_figures(agreements) if len(agreements) == len(runs) else None,
        "seconds": float(np.mean([run.seconds for run in runs])),
        "curve": {
            "threshold": places.tolist(),
            "recall": recall_of(total).tolist(),
            "precision": precision_of(total).tolist(),
        },
        "images": {run.image: {**vars(best_f(places, run.counts)), "seconds": run.seconds} for run in runs},
    }


def table_of(figures: Mapping[str, Figures]) -> Table:
    """Return a table with a row a detector."""
    rows = []
    for name, entry in figures.items():
        segments = entry["segments"] or {}
        values = [entry[key] for key in _CONTOURS.values()] + [segments.get(key) for key in _SEGMENTS.values()]
        rows.append((name, *("-" if value is None else f"{value:.3f}" for value in values), f"{entry['seconds']:.2f}"))
    head = (*_CONTOURS, *(title.strip() for title in _SEGMENTS))
    return Table(("detector", *head, "s an image"), tuple(rows))


TITLE = "Contours"
COLUMNS = 4
ISO_F = np.arange(0.1, 1, 0.1)
# One for each of the ten colors, then the next.
MARKERS = [marker for marker in "os^D" for _ in range(10)]


@dataclass(frozen=True)
class Report:
    """The report of an evaluation: figures by detector, and their table."""

    figures: Mapping[str, Figures]
    table: Table


def report_of(runs: Sequence[Run]) -> Report:
    """Report the figures of all detectors, in the order of the first image."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.detector, []).append(run)
    figures = {name: summarize(own) for name, own in groups.items()}
    return Report(figures, table_of(figures))


def write_report(folder: Path, plan: Plan, report: Report, runs: Sequence[Run]) -> None:
    """Write all files into ``folder``; ``runs`` in the order of ``plan.tasks()``.

    metrics.json      everything needed to run it again, and all figures
    table.md          the table
    pr.png            precision over recall, with the place of ODS; a detector without strengths is a point
    sheets/IMAGE.png  the image, the mean of the annotators, the thin contours of every detector
    """
    protocol = {"images": len(plan.items), "longer_side": plan.longer_side, "thresholds": plan.thresholds, "threads": 1}
    write_text(folder / "metrics.json", json.dumps({**protocol, "detectors": report.figures}, indent=1) + "\n")
    write_text(folder / "table.md", f"# {TITLE}\n\n{_sentence(plan)}\n\n{report.table.markdown()}")
    _plot(folder / "pr.png", report)
    for number, item in enumerate(plan.items):
        own = runs[number * len(plan.contestants) : (number + 1) * len(plan.contestants)]
        sample = item.load(plan.longer_side)
        mean = np.asarray(np.rint(255 * np.mean(sample.boundaries, axis=0)), np.uint8)
        pictures = [sample.image, *(_dark_on_white(values) for values in (mean, *(run.picture for run in own)))]
        sheet = contact_sheet(pictures, COLUMNS, [item.name, "annotators", *(run.detector for run in own)])
        write_image(folder / "sheets" / f"{item.name}.png", sheet)


def _sentence(plan: Plan) -> str:
    size = f"longer side {plan.longer_side} px" if plan.longer_side else "full resolution"
    return (
        f"{len(plan.items)} images, {size}, {plan.thresholds} thresholds, matched one to one within .0075 of the "
        "diagonal as in BSDS500; one thread a detector."
    )


def _dark_on_white(values: np.ndarray) -> np.ndarray:
    return np.repeat(255 - values[..., None], 3, axis=2)


def _plot(path: Path, report: Report) -> None:
    figure = new_figure(7.5, 6)
    axes = figure.add_subplot(title=TITLE, xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1))
    for f in ISO_F:
        recall = np.linspace(f / (2 - f), 1, 200)
        axes.plot(recall, f * recall / (2 * recall - f), color="tab:green", alpha=0.25, linewidth=0.8)
        axes.text(0.99, f / (2 - f), f"F .{round(10 * f)}", color="tab:green", fontsize=7, ha="right", va="bottom")
    ranked = sorted(report.figures.items(), key=lambda item: -item[1]["ods"])
    # There may be more detectors than colors.
    for (name, entry), marker in zip(ranked, cycle(MARKERS), strict=False):
        label = f"{name}, F {entry['ods']:.3f}"
        (point,) = axes.plot(entry["recall"], entry["precision"], marker=marker, linestyle="", label=label)
        curve = entry["curve"]
        some = [pair for pair in zip(curve["recall"], curve["precision"], strict=True) if pair != (0, 0)]
        axes.plot(*zip(*some, strict=True), color=point.get_color())
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=8)
    write_figure(path, figure)
