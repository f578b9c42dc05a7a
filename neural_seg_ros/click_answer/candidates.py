"""Candidate labelings of a frame, from the same annotations by differently weighted minimum cuts.

Some candidates start from the annotations only. The others also start from the previous answer: its labels hold within
a short way along the graph, so that a new click changes its surroundings and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.click_answer.extent import TUNING as EXTENT_TUNING
from neural_seg_ros.click_answer.extent import ShapeScorer, assume_rest, distance_from, extents
from neural_seg_ros.regions.appearance import appearance, appearance_weights
from neural_seg_ros.regions.cuts import expand, remove_islands
from neural_seg_ros.regions.graph import Regions
from neural_seg_ros.regions.graph_distances import geodesics
from neural_seg_ros.regions.seeds import Seeds


@dataclass(frozen=True)
class CandidateTuning:
    """Constants of the candidates."""

    # Added to distances before their logarithm: in longer sides of the frame, and in units of geodesics.
    position_softening_sides: float = 0.02
    geodesic_softening: float = 0.01
    # Added to the distance from pixels that a prior gives to a class, in longer sides of the frame.
    assumed_offset_sides: float = 0.03
    # Geodesic offset of a prior, so that it is farther away than an annotation.
    prior_offset: float = 0.02
    # Bound of geodesics, above every way in a frame.
    max_geodesic: float = 10.0
    # Weights of appearance, geodesic and position in the log-probability of the first cut.
    appearance_weight: float = 0.5
    geodesic_weight: float = 1.0
    position_weight: float = 0.35
    # Cost of a boundary pixel where nothing divides the frame, and its decay with the strength of the edge.
    boundary_cost: float = 6.0
    boundary_decay: float = 0.3
    # Appearance is learned around the annotations and, for this share, from the first cut.
    relearned_share: float = 0.3
    # Candidates from the annotations: every combination of these.
    appearance_weights: tuple[float, ...] = (0.25, 1.0)
    geodesic_weights: tuple[float, ...] = (0.5, 2.0)
    candidate_boundary_costs: tuple[float, ...] = (3.0, 10.0)
    # Candidates of bounded objects: the weight of appearance, geodesic weight and boundary cost of each for every
    # extent, and their votes together.
    bounded_appearance_weight: float = 1.0
    bounded_choices: tuple[tuple[float, float], ...] = ((0.5, 3.0), (2.0, 10.0))
    bounded_vote: float = 8.0
    # Candidates from the previous answer: geodesic offsets of its labels, and the weight of each such candidate.
    previous_offsets: tuple[float, ...] = (0.005, 0.02, 0.1)
    previous_appearance_weights: tuple[float, ...] = (0.25, 1.0)
    previous_vote: float = 2.5


TUNING = CandidateTuning()
FORBIDDEN = 1e6
Classes = NDArray[np.int64]  # (R,) channel of every superpixel


@dataclass(frozen=True)
class Evidence:
    """Terms of the log-probabilities (N, R) of N classes in R superpixels.

    appearance  similarity of the superpixel to the class, in [-4, 0]
    geodesic    -log of the way along the graph from the class's annotations
    position    -log of the distance in the frame from them
    weights     (N, R) weight of each superpixel in the appearance model of each class
    """

    appearance: NDArray[np.float64]
    geodesic: NDArray[np.float64]
    position: NDArray[np.float64]
    weights: NDArray[np.float64]

    def weighted(self, appearance: float, geodesic: float, position: float) -> NDArray[np.float64]:
        """Return the weighted sum of the terms, (N, R)."""
        return appearance * self.appearance + geodesic * self.geodesic + position * self.position


def evidence_of(regions: Regions, seeds: Seeds) -> Evidence:
    """Compute the evidence that annotations and priors give for all superpixels."""
    offsets = np.where(seeds.hard, 0.0, np.where(seeds.presumed > 0, TUNING.prior_offset, np.inf))
    ways = _ways(regions, offsets)
    weights = appearance_weights(regions, seeds, ways)
    return Evidence(appearance(regions, weights), _nearness(ways), _position(regions, seeds), weights)


def relearned(evidence: Evidence, regions: Regions, classes: NDArray[np.int64], share: float) -> Evidence:
    """Return ``evidence`` with appearances that are learned, for ``share``, from the labeling ``classes`` (R,)."""
    weights = (1 - share) * evidence.weights
    weights[classes, np.arange(regions.count)] += share * regions.areas
    return Evidence(appearance(regions, weights), evidence.geodesic, evidence.position, weights)


def nearness_with(regions: Regions, seeds: Seeds, classes: NDArray[np.int64], offset: float) -> NDArray[np.float64]:
    """Return (N, R) -log of the way from annotations, or from superpixels that ``classes`` (R,) labels so.

    The latter are ``offset`` farther away. Annotated superpixels belong to their own class only, and a class without
    annotations or priors gets none.
    """
    offsets = np.where(seeds.hard, 0.0, np.inf)
    free = np.flatnonzero((seeds.fixed < 0) & seeds.present[classes])
    offsets[classes[free], free] = offset
    return _nearness(_ways(regions, offsets))


def _ways(regions: Regions, offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.minimum(geodesics(regions, offsets), TUNING.max_geodesic)


def _nearness(ways: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(-np.log(ways + TUNING.geodesic_softening))


def _position(regions: Regions, seeds: Seeds, assumed: bool = False) -> NDArray[np.float64]:
    """Return (N, R) -log of the distance to each class's nearest annotated superpixel, in longer sides of the frame.

    assumed: count superpixels that a prior gives to a class as well, as if they were a little farther away
    """
    distances = np.full(seeds.hard.shape, 1.0)
    for channel, hard in enumerate(seeds.hard):
        if hard.any():
            distances[channel] = distance_from(regions, hard)
        if assumed and (seeds.presumed[channel] > 0).any():
            from_assumed = distance_from(regions, seeds.presumed[channel] > 0) + TUNING.assumed_offset_sides
            distances[channel] = np.minimum(distances[channel], from_assumed)
    return np.asarray(-np.log(distances + TUNING.position_softening_sides))


def candidates_of(
    regions: Regions, seeds: Seeds, previous: Classes | None, rest: int | None = None
) -> tuple[list[Classes], NDArray[np.float64], NDArray[np.float64]]:
    """Compute K candidates, their weights (K,), and the log-probabilities (N, R) of the superpixels by themselves.

    previous  labels of the previous answer, None where there is none
    rest      channel of all that is on no object; None if the whole frame belongs to the annotated classes
    """
    if rest is not None and np.delete(seeds.hard, rest, axis=0).any():
        return _bounded_candidates(regions, seeds, rest, previous)
    first_weights = TUNING.appearance_weight, TUNING.geodesic_weight, TUNING.position_weight
    evidence = evidence_of(regions, seeds)
    first = _cut(regions, seeds, evidence.weighted(*first_weights), TUNING.boundary_cost, None)
    evidence = relearned(evidence, regions, first, TUNING.relearned_share)
    choices = product(TUNING.appearance_weights, TUNING.geodesic_weights, TUNING.candidate_boundary_costs)
    fresh = [
        _cut(regions, seeds, evidence.weighted(appearance_weight, geodesic, TUNING.position_weight), cost, first)
        for appearance_weight, geodesic, cost in choices
    ]
    continued = _continue_answer(regions, seeds, evidence, previous) if previous is not None else []
    weights = np.repeat([1.0, TUNING.previous_vote], [len(fresh), len(continued)])
    return fresh + continued, weights, evidence.weighted(*first_weights)


def _bounded_candidates(
    regions: Regions, seeds: Seeds, rest: int, previous: Classes | None
) -> tuple[list[Classes], NDArray[np.float64], NDArray[np.float64]]:
    """Compute candidates as ``candidates_of``, for several extents of the objects, weighted by the objects' shapes."""
    objects = [channel for channel in np.flatnonzero(seeds.hard.any(1)) if channel != rest]
    distances = distance_from(regions, np.asarray(seeds.hard[objects].any(0)))
    scorers = {channel: ShapeScorer(regions, seeds.hard[channel]) for channel in objects}
    first_weights = TUNING.appearance_weight, TUNING.geodesic_weight, TUNING.position_weight

    def mean_score(classes: Classes) -> float:
        return float(np.mean([scorer.score(classes == channel) for channel, scorer in scorers.items()]))

    candidates: list[Classes] = []
    scores: list[float] = []
    evidences: list[Evidence] = []
    for extent, assumed in extents():
        bounded = assume_rest(regions, seeds, distances, extent, rest)
        evidence = replace(evidence_of(regions, bounded), position=_position(regions, bounded, assumed))
        first = _cut(regions, bounded, evidence.weighted(*first_weights), TUNING.boundary_cost, None)
        evidence = relearned(evidence, regions, first, TUNING.relearned_share)
        for geodesic, cost in TUNING.bounded_choices:
            likely = evidence.weighted(TUNING.bounded_appearance_weight, geodesic, TUNING.position_weight)
            classes = _cut(regions, bounded, likely, cost, first)
            candidates.append(classes)
            scores.append(mean_score(classes))
            evidences.append(evidence)
    best = evidences[int(np.argmax(scores))]
    if previous is None:
        return candidates, _votes(scores, EXTENT_TUNING.scale), best.weighted(*first_weights)
    # A user who corrects an answer accepts its extent, so that the shapes matter less.
    continued = _continue_answer(regions, seeds, best, previous)
    scores += [mean_score(classes) for classes in continued]
    priors = np.repeat([TUNING.bounded_vote / len(candidates), TUNING.previous_vote], [len(candidates), len(continued)])
    votes = priors * _votes(scores, EXTENT_TUNING.correction_scale)
    return candidates + continued, votes, evidences[-1].weighted(*first_weights)


def _votes(scores: Sequence[float], scale: float) -> NDArray[np.float64]:
    return np.asarray(np.exp(scale * (np.array(scores) - max(scores))))


def boundary_costs(regions: Regions, cost: float) -> NDArray[np.float64]:
    """Compute (E,) the cost of a class boundary at every edge: ``cost`` a pixel where nothing divides the frame."""
    return np.asarray(cost * regions.lengths * np.exp(-regions.strengths / TUNING.boundary_decay), np.float64)


def scale_of(regions: Regions) -> NDArray[np.float64]:
    """Compute (R,) the weight of each superpixel's log-probability in a cut."""
    return np.asarray(regions.areas / np.sqrt(regions.areas.mean()), np.float64)


def _continue_answer(regions: Regions, seeds: Seeds, evidence: Evidence, previous: Classes) -> list[Classes]:
    candidates = []
    for offset in TUNING.previous_offsets:
        near = nearness_with(regions, seeds, previous, offset)
        candidates += [
            _cut(regions, seeds, weight * evidence.appearance + near, TUNING.boundary_cost, previous)
            for weight in TUNING.previous_appearance_weights
        ]
    return candidates


def _cut(regions: Regions, seeds: Seeds, likely: NDArray[np.float64], cost: float, start: Classes | None) -> Classes:
    """Find the cut of least cost for log-probabilities (N, R); parts without a seed join their surroundings."""
    costs = -likely * scale_of(regions)
    known = np.flatnonzero(seeds.fixed >= 0)
    costs[:, known] = FORBIDDEN
    costs[seeds.fixed[known], known] = 0
    prices = boundary_costs(regions, cost)
    # Classes without annotation or prior get no superpixels.
    present = np.flatnonzero(seeds.present)
    costs = costs[present]
    # From a good start one round of expansion is enough.
    begin, rounds = costs.argmin(0), 2
    if start is not None:
        begin, rounds = np.where(seeds.present[start], np.searchsorted(present, start), begin), 1
    classes = present[expand(costs, regions.cuts, prices, begin, rounds)]
    return remove_islands(classes, seeds.anchors, likely * regions.areas, regions.edges)
