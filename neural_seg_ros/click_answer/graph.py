"""The answer of the region graph to a frame's annotations: candidates, their vote, class probabilities."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.click_answer.candidates import candidates_of
from neural_seg_ros.click_answer.vote import PastClick, shares_of
from neural_seg_ros.images.arrays import fill_from_nearest
from neural_seg_ros.regions.graph import Regions
from neural_seg_ros.regions.graph_distances import walk
from neural_seg_ros.regions.seeds import HARD, Seeds, seeds_of

LOG_ODDS_SCALE = 2.0
# Shares of the random walker and of the superpixels by themselves in the probabilities; the rest is the vote's. Both
# shrink with every correcting click, as answers get better. Measured, like the constants below.
WALKER_SHARE, SUPERPIXEL_SHARE = 0.291, 0.03
SHARE_DECAY_PER_CORRECTION = 0.1
# Least probability of a class on its annotated pixels.
MIN_ANNOTATED_PROBABILITY = 0.679
# Divisor of the odds of the most probable class before any correction; it shrinks with every correction.
TOP_ODDS_DIVISOR = 3.0


@dataclass(frozen=True)
class GraphAnswer:
    """The graph's answer to one frame.

    probabilities     (N, h, w) float32, summing to 1 over N
    classes           (R,) the most probable channel of every superpixel
    top_odds_divisor  the odds of the most probable class are to be divided by this, at least 1
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
    rest: int | None = None,
) -> GraphAnswer:
    """Compute class probabilities of a frame, N = ``count``.

    labels           (h, w) int64 channel in [0, N), read where weights > 0
    weights          (h, w) float32, at least 0.5 where the user annotated, less for priors; the most probable class of
                     an annotated pixel is its label
    clicks           those among the annotations, oldest first
    previous_labels  (R,) the labels that the user saw before the newest annotations, None at first
    new_classes      channels of the newest annotations: a superpixel changes to no other
    rest             channel of all that is on no object; None if the annotated classes share the whole frame
    """
    seeds = seeds_of(regions, labels, weights, count)
    if count == 1 or not (seeds.hard.any() or seeds.presumed.any()):
        alike = np.full((count, *regions.ids.shape), 1 / count, np.float32)
        return GraphAnswer(alike, np.zeros(regions.count, np.int64), TOP_ODDS_DIVISOR)
    if rest is not None:
        # People draw anywhere on an object; only a correction tells where they saw an error.
        clicks = [click for click in clicks if click.previous_labels is not None]
    candidates, weights_of, likely = candidates_of(regions, seeds, previous_labels, rest)
    odds = np.exp(LOG_ODDS_SCALE * (likely - likely.max(0)))
    prior = odds / odds.sum(0)
    corrections = sum(click.previous_labels is not None for click in clicks)
    decay = 1 / (1 + SHARE_DECAY_PER_CORRECTION * corrections)
    mixed = decay * (WALKER_SHARE * walk(regions, prior, seeds.fixed) + SUPERPIXEL_SHARE * prior)
    vote = 1 - decay * (WALKER_SHARE + SUPERPIXEL_SHARE)
    everywhere = np.arange(regions.count)
    for classes, share in zip(candidates, shares_of(regions, candidates, weights_of, clicks), strict=True):
        mixed[classes, everywhere] += vote * share
    if previous_labels is not None:
        _hold_labels(mixed, np.where(seeds.present[previous_labels], previous_labels, mixed.argmax(0)), new_classes)
    _fix_annotated(mixed, seeds)
    answer = _split_at_annotations(mixed.astype(np.float32)[:, regions.ids], regions, seeds, labels, weights)
    return GraphAnswer(answer, mixed.argmax(0), TOP_ODDS_DIVISOR ** (1 / (1 + corrections)))


def _hold_labels(mixed: NDArray[np.float64], previous_labels: NDArray[np.int64], new_classes: Collection[int]) -> None:
    """Swap the most probable class with the previous one where it changed, but not to one of ``new_classes``."""
    now = mixed.argmax(0)
    held = np.flatnonzero((now != previous_labels) & ~np.isin(now, list(new_classes)))
    before, after = previous_labels[held], now[held]
    mixed[before, held], mixed[after, held] = mixed[after, held], mixed[before, held]


def _fix_annotated(mixed: NDArray[np.float64], seeds: Seeds) -> None:
    """Make the class of annotated superpixels the most probable one there."""
    known = np.flatnonzero(seeds.fixed >= 0)
    mixed[:, known] *= 1 - MIN_ANNOTATED_PROBABILITY
    mixed[seeds.fixed[known], known] += MIN_ANNOTATED_PROBABILITY


def _split_at_annotations(
    answer: NDArray[np.float32],
    regions: Regions,
    seeds: Seeds,
    labels: NDArray[np.int64],
    weights: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Split superpixels with annotations of several classes between their nearest annotated pixels, in place."""
    if not seeds.split.any():
        return answer
    nearest = fill_from_nearest(labels, weights < HARD)
    y, x = np.nonzero(seeds.split[regions.ids])
    answer[:, y, x] = (1 - MIN_ANNOTATED_PROBABILITY) / len(answer)
    answer[nearest[y, x], y, x] += MIN_ANNOTATED_PROBABILITY
    return answer
