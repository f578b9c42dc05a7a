"""The agreement of segments with annotators (Arbelaez et al., PAMI 2011, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """The agreement of segments at every threshold with all annotators.

    overlaps  (thresholds, true segments) the greatest IoU that a segment has with each true one
    areas     (true segments,) in pixels
    pri       (thresholds,) probabilistic Rand index in [0, 1], mean over the annotators
    vi        (thresholds,) variation of information in bits, mean over the annotators
    """

    overlaps: Values
    areas: Values
    pri: Values
    vi: Values


def agreement(
    segments: Callable[[float], NDArray[np.int32]], truths: Sequence[NDArray[np.int32]], thresholds: Values
) -> Agreement:
    """Compare ``segments`` (threshold -> (H, W) ids) with ``truths`` (H, W)."""
    rows: list[tuple[Values, float, float]] = []
    before: NDArray[np.int32] | None = None
    for threshold in thresholds:
        ids = segments(float(threshold))
        if before is None or not np.array_equal(ids, before):
            tables = [contingency(truth, ids) for truth in truths]
            overlaps = np.concatenate([best_overlaps(table) for table in tables])
            pri = float(np.mean([rand_index(table) for table in tables]))
            rows.append((overlaps, pri, float(np.mean([variation_of_information(table) for table in tables]))))
        else:
            rows.append(rows[-1])
        before = ids
    areas = np.concatenate([np.unique(truth, return_counts=True)[1] for truth in truths]).astype(np.float64)
    covered, pris, vis = (np.array(values) for values in zip(*rows, strict=True))
    return Agreement(covered, areas, pris, vis)


def contingency(truth: NDArray[Any], segments: NDArray[Any]) -> Values:
    """Count (true segments, segments) common pixels; ids (H, W) in their order."""
    rows, row = np.unique(truth, return_inverse=True)
    columns, column = np.unique(segments, return_inverse=True)
    pairs = row.ravel() * len(columns) + column.ravel()
    return np.bincount(pairs, minlength=len(rows) * len(columns)).reshape(len(rows), len(columns)).astype(np.float64)


def best_overlaps(table: Values) -> Values:
    """Find (true segments,) the greatest IoU of each with a segment."""
    union = table.sum(1, keepdims=True) + table.sum(0, keepdims=True) - table
    return np.asarray((table / union).max(1))


def rand_index(table: Values) -> float:
    """Compute the share of all pixel pairs that both have in one segment, or both in two."""
    pixels = table.sum()
    apart = (np.square(table.sum(0)).sum() + np.square(table.sum(1)).sum()) / 2 - np.square(table).sum()
    return float(1 - apart / (pixels * (pixels - 1) / 2))


def variation_of_information(table: Values) -> float:
    """Compute H(truth | segments) + H(segments | truth), in bits (Meila: Comparing clusterings, COLT 2003)."""
    joint = table / table.sum()
    return 2 * _entropy(joint) - _entropy(joint.sum(0)) - _entropy(joint.sum(1))


def _entropy(shares: Values) -> float:
    some = shares[shares > 0]
    return float(-(some * np.log2(some)).sum())


def segment_figures(images: Sequence[Agreement]) -> dict[str, float]:
    """Compute covering, PRI and VI over images, with one threshold for all (``ods``) and the best of each (``ois``).

    covering_best  with the best threshold of each true segment
    """
    area = sum(image.areas.sum() for image in images)
    covered = np.array([image.overlaps @ image.areas for image in images])
    best = sum(image.overlaps.max(0) @ image.areas for image in images)
    pri, vi = np.array([image.pri for image in images]), np.array([image.vi for image in images])
    return {
        "covering_ods": float(covered.sum(0).max() / area),
        "covering_ois": float(covered.max(1).sum() / area),
        "covering_best": float(best / area),
        "pri_ods": float(pri.mean(0).max()),
        "pri_ois": float(pri.max(1).mean()),
        "vi_ods": float(vi.mean(0).min()),
        "vi_ois": float(vi.min(1).mean()),
    }
