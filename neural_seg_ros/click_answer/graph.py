"""Answers at click time from the region graph, without the field: candidates, their vote, class probabilities."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.click_answer.candidates import candidates_of
from neural_seg_ros.click_answer.vote import PastClick, shares_of
from neural_seg_ros.regions.graph import Regions
from neural_seg_ros.regions.graph_distances import walk
from neural_seg_ros.regions.seeds import HARD, Seeds, seeds_of

SHARPNESS = 2.0
# Shares of the random walker and of the regions by themselves in the probabilities, the rest is the vote's; both get
# less with every click that corrects an answer, as answers get better.
WALKER, PRIOR = 0.291, 0.03
SETTLING = 0.1
# What an annotation has at least where it was made.
SAID = 0.679
# By this the odds of the most probable class are less than the vote has them while nobody has seen and corrected an
# answer, with every correction less so: measured, as the shares above.
DOUBT = 3.0


@dataclass(frozen=True)
class GraphAnswer:
    """What the graph says of a frame.

    probabilities  (N, h, w) float32, summing to 1 over N
    classes        (R,) the most probable class of every region
    doubt          the odds of the most probable class are to be divided by this, at least 1
    """

    probabilities: NDArray[np.float32]
    classes: NDArray[np.int64]
    top_odds_divisor: float


def graph_answer(
    regions: Regions,
    labels: NDArray[np.int64],
    weights: NDArray[np.float32],
    count: int,
    clicks: Sequence[PastClick] = (),
    previous_labels: NDArray[np.int64] | None = None,
    new_classes: Collection[int] = (),
) -> GraphAnswer:
    """The classes of a frame, N = ``count``.

    labels (h, w) int64 channel in [0, N), read where weights > 0; weights (h, w) float32, at least 0.5 where a user
    annotated (the most probable class there is the label), less where a class is only presumed; clicks: those of the
    annotations, oldest first; seen (R,): the classes that the user saw before the newest annotations, None at first;
    named: the classes of the newest annotations: to no other does a region change.
    """
    seeds = seeds_of(regions, labels, weights, count)
    if count == 1 or not (seeds.hard.any() or seeds.presumed.any()):
        alike = np.full((count, *regions.ids.shape), 1 / count, np.float32)
        return GraphAnswer(alike, np.zeros(regions.count, np.int64), DOUBT)
    candidates, weights_of, likely = candidates_of(regions, seeds, previous_labels)
    odds = np.exp(SHARPNESS * (likely - likely.max(0)))
    prior = odds / odds.sum(0)
    corrections = sum(click.previous_labels is not None for click in clicks)
    settled = 1 / (1 + SETTLING * corrections)
    mixed = settled * (WALKER * walk(regions, prior, seeds.fixed) + PRIOR * prior)
    vote = 1 - settled * (WALKER + PRIOR)
    everywhere = np.arange(regions.count)
    for classes, share in zip(candidates, shares_of(regions, candidates, weights_of, clicks), strict=True):
        mixed[classes, everywhere] += vote * share
    if previous_labels is not None:
        _hold(mixed, np.where(seeds.named[previous_labels], previous_labels, mixed.argmax(0)), new_classes)
    _fix(mixed, seeds)
    answer = _kept_at_annotations(mixed.astype(np.float32)[:, regions.ids], regions, seeds, labels, weights)
    return GraphAnswer(answer, mixed.argmax(0), DOUBT ** (1 / (1 + corrections)))


def _hold(mixed: NDArray[np.float64], previous_labels: NDArray[np.int64], new_classes: Collection[int]) -> None:
    """Where the most probable class is new and not ``new_classes``, that which was seen changes places with it."""
    now = mixed.argmax(0)
    held = np.flatnonzero((now != previous_labels) & ~np.isin(now, list(new_classes)))
    before, after = previous_labels[held], now[held]
    mixed[before, held], mixed[after, held] = mixed[after, held], mixed[before, held]


def _fix(mixed: NDArray[np.float64], seeds: Seeds) -> None:
    """Make the class of annotated regions the most probable one there."""
    known = np.flatnonzero(seeds.fixed >= 0)
    mixed[:, known] *= 1 - SAID
    mixed[seeds.fixed[known], known] += SAID


def _kept_at_annotations(
    answer: NDArray[np.float32],
    regions: Regions,
    seeds: Seeds,
    labels: NDArray[np.int64],
    weights: NDArray[np.float32],
) -> NDArray[np.float32]:
    """``answer`` where regions with annotations of several classes are split between their nearest annotated pixels."""
    if not seeds.split.any():
        return answer
    drawn = weights >= HARD
    _, nearest = cv2.distanceTransformWithLabels(
        (~drawn).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    class_of = np.zeros(int(nearest.max()) + 1, np.int64)
    class_of[nearest[drawn]] = labels[drawn]
    y, x = np.nonzero(seeds.split[regions.ids])
    answer[:, y, x] = (1 - SAID) / len(answer)
    answer[class_of[nearest[y, x]], y, x] += SAID
    return answer
