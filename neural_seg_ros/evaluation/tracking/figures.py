"""The figures of a tracker over its sequences, ready for JSON, and as cells of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neural_seg_ros.evaluation.table import Table
from neural_seg_ros.evaluation.tracking.measures import decay, judged, recall
from neural_seg_ros.evaluation.tracking.play import Run

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
