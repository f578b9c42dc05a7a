"""The figures of a detector over its images, ready for JSON, and as cells of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

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
from neural_seg_ros.evaluation.contours.play import Run
from neural_seg_ros.evaluation.contours.segments import segment_figures
from neural_seg_ros.evaluation.table import Table

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
