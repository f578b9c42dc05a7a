"""Precision and recall of contours over thresholds, and the figures of the BSDS500 benchmark (Arbelaez et al., Contour
detection and hierarchical image segmentation, PAMI 2011, section 3.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.morphology import thin

from neural_seg_ros.evaluation.contours.matching import Matcher

Values = NDArray[np.float64]
Counts = NDArray[np.int64]  # (thresholds, 4): pixels of the truths matched, of the truths, found and matched, found

STEPS = 100  # between two thresholds, where the best F is looked for


@dataclass(frozen=True)
class Best:
    """The greatest F of a curve, and where."""

    f: float
    threshold: float
    recall: float
    precision: float


def thresholds_of(count: int) -> Values:
    """``count`` thresholds evenly inside of 0 to 1; of 99: .01, .02, ..., .99."""
    return np.arange(1, count + 1) / (count + 1)


def counts_of(strength: NDArray[np.float32], truths: Sequence[NDArray[np.bool_]], thresholds: Values) -> Counts:
    """Count matches at each threshold of a contour map ``strength`` (H, W) in [0, 1] with each truth (H, W).

    The pixels of at least the threshold are thinned and matched with each annotator by themselves. One found is right
    if any annotator has it; each pixel of each annotator is to be found.
    """
    wanted = sum(int(truth.sum()) for truth in truths)
    # In the map's own precision, so that .7 is at least .7.
    maps = [np.asarray(thin(strength >= threshold)) for threshold in thresholds.astype(np.float32)]
    possible = np.any(maps, axis=0)
    matchers = [Matcher(possible, truth) for truth in truths]
    rows: list[tuple[int, int, int, int]] = []
    for number, found in enumerate(maps):
        if number and np.array_equal(found, maps[number - 1]):
            rows.append(rows[-1])
            continue
        matched = [matcher.matched(found) for matcher in matchers]
        hits = sum(int(pixels.sum()) for pixels in matched)
        rows.append((hits, wanted, int(np.any(matched, axis=0).sum()), int(found.sum())))
    return np.array(rows)


def recall_of(counts: Counts) -> Values:
    """Compute (thresholds,) the share of the annotators' pixels that are found."""
    return np.asarray(counts[..., 0] / np.maximum(counts[..., 1], 1))


def precision_of(counts: Counts) -> Values:
    """Compute (thresholds,) the share of found pixels that an annotator has; 0 where nothing is found."""
    return np.asarray(counts[..., 2] / np.maximum(counts[..., 3], 1))


def f_measure(recall: Values, precision: Values) -> Values:
    """Compute 2 p r / (p + r); 0 where both are."""
    both = recall + precision
    return np.asarray(2 * precision * recall / np.where(both == 0, 1, both))


def best_f(thresholds: Values, counts: Counts) -> Best:
    """Find the greatest F, with recall and precision linear between thresholds."""
    numbers = np.arange(len(thresholds))
    places = np.append((numbers[:-1, None] + np.linspace(0, 1, STEPS)).ravel(), numbers[-1])
    recall, precision, threshold = (
        np.interp(places, numbers, values) for values in (recall_of(counts), precision_of(counts), thresholds)
    )
    f = f_measure(recall, precision)
    best = int(f.argmax())
    return Best(float(f[best]), float(threshold[best]), float(recall[best]), float(precision[best]))


def ods(thresholds: Values, counts: NDArray[np.int64]) -> Best:
    """Find the best F with one threshold for all images; ``counts`` (images, thresholds, 4)."""
    return best_f(thresholds, counts.sum(0))


def ois(counts: NDArray[np.int64]) -> float:
    """Compute F with the best threshold of each image, their counts summed; ``counts`` (images, thresholds, 4)."""
    best = f_measure(recall_of(counts), precision_of(counts)).argmax(1)
    chosen = counts[np.arange(len(counts)), best].sum(0)
    return float(f_measure(recall_of(chosen), precision_of(chosen)))


def average_precision(counts: Counts) -> float | None:
    """Compute the area below precision over recall, at recalls 0, .01, ..., 1; 0 outside. None at one recall.

    Of several thresholds with one recall the highest says the precision, as in the official code.
    """
    recall, last = np.unique(recall_of(counts)[::-1], return_index=True)
    if len(recall) < 2:
        return None
    precision = precision_of(counts)[::-1][last]
    return float(np.interp(np.linspace(0, 1, 101), recall, precision, left=0, right=0).sum() / 100)


def recall_at_half(counts: Counts) -> float | None:
    """Recall where precision is .5, linear between thresholds; where it is always greater, that of the least precision.

    0 where precision is always less; None at one threshold. As in Dollar's edge detection toolbox.
    """
    some = counts[counts[:, 3] > 0]
    recall, last = np.unique(recall_of(some)[::-1], return_index=True)
    if len(recall) < 2:
        return None
    precision, order = np.unique(precision_of(some)[::-1][last], return_index=True)
    return float(np.interp(0.5, precision, recall[order], right=0))
