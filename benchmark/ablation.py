"""The ablation of ``answer: fused``: parts removed in turn, robots play the same images with the rest.

    OMP_NUM_THREADS=1 python benchmark/ablation.py --data ROOT --out ablation --jobs 2

``ROOT`` holds GrabCut, BSDS500 and DAVIS as for ``neural-seg evaluate``. Writes ``ablation.json`` and ``ablation.md``
after every variant.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros import Session, SessionConfig
from neural_seg_ros.annotations import Annotation
from neural_seg_ros.click_answer.candidates import TUNING
from neural_seg_ros.evaluation.clicks.figures import summarize
from neural_seg_ros.evaluation.clicks.games import FROM_CLICKS, clicks_to_quality, regions_game
from neural_seg_ros.evaluation.clicks.play import Game, Plan, Run, Task, play
from neural_seg_ros.evaluation.contestants import Contestant
from neural_seg_ros.evaluation.datasets import Item, object_items, region_items
from neural_seg_ros.evaluation.hard_objects import hard_items
from neural_seg_ros.evaluation.labelers import Labeling, SessionLabeler
from neural_seg_ros.evaluation.table import Table
from neural_seg_ros.files import write_text
from neural_seg_ros.jobs import each
from neural_seg_ros.regions import FEW_MEMBERS, RegionFinder, Regions, prepare_regions
from neural_seg_ros.regions.appearance import MIN_LOG_ODDS, appearance

CONFIG = SessionConfig.preset("cpu")
# Shares of the field's log-probabilities beside the appearance, and of its features in the strength of an edge.
PROBABILITIES, FEATURES = 0.25, 1 / 3
# Features that differ by more than this quantile of all edges are certainly divided.
LARGE_DIFFERENCE = 0.95
# Modules whose names are replaced.
GRAPH, CANDIDATES, EVIDENCE, VOTE, FUSED = (
    f"neural_seg_ros.click_answer.{module}" for module in ("graph", "candidates", "candidates", "vote", "region_answer")
)
FINDER = f"{FUSED}.RegionFinder"

Prepare = Callable[[NDArray[np.uint8]], Regions]


# -- replacements ------------------------------------------------------------------------------------------------------

_prepared: dict[bytes, Regions] = {}


def prepared_once(image: NDArray[np.uint8]) -> Regions:
    """Return the region graph, found once a process: most variants play on the same."""
    key = image.tobytes()
    if key not in _prepared:
        _prepared[key] = prepare_regions(image)
    return _prepared[key]


def of_members(count: int, image: NDArray[np.uint8]) -> Regions:
    """Return the region graph with the first segmentations of the ensemble alone."""
    return RegionFinder(image).regions(count)


class Prepared:
    """Stands for the finder of an image's regions."""

    def __init__(self, prepare: Prepare, image: NDArray[np.uint8]) -> None:
        self._prepare, self._image = prepare, image

    def regions(self, members: int) -> Regions:
        """Found in the variant's own way, however many segmentations are asked for."""
        return self._prepare(self._image)


def by_contrast(image: NDArray[np.uint8]) -> Regions:
    """Return the region graph without any segmentation: edges are as strong as their contrast in CIE Lab."""
    undivided = np.zeros(image.shape[:2], np.int32)[None]
    with mock.patch("neural_seg_ros.regions.graph.Ensemble.first", return_value=undivided):
        regions = prepare_regions(image)
    # Contrast is one of three equal parts, and the other two are 0.
    return replace(regions, strengths=3 * regions.strengths)


def by_features(features: NDArray[np.float32], image: NDArray[np.uint8]) -> Regions:
    """Return the region graph with a third of each edge's strength from the difference of ``features`` (F, h, w)."""
    regions = prepared_once(image)
    means = _means(features, regions)
    means = (means - means.mean(1, keepdims=True)) / np.maximum(means.std(1, keepdims=True), 1e-6)
    a, b = regions.edges.T
    differences = np.linalg.norm(means[:, a] - means[:, b], axis=0)
    divided = np.minimum(1, differences / max(1e-6, np.quantile(differences, LARGE_DIFFERENCE)))
    strengths = (1 - FEATURES) * regions.strengths + FEATURES * divided
    return replace(regions, strengths=strengths.astype(np.float32))


def appearance_with(
    probabilities: NDArray[np.float32], regions: Regions, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the appearance of the regions plus a share of the field's log-``probabilities`` (N, h, w) there."""
    likely = _means(np.maximum(np.log(probabilities + 1e-9), MIN_LOG_ODDS), regions)
    return np.asarray(appearance(regions, weights) + PROBABILITIES * likely)


def not_held(mixed: NDArray[np.float64], seen: NDArray[np.int64], present: Iterable[int]) -> None:
    """Any region may change to any class."""


def with_islands(
    classes: NDArray[np.int64], seeded: NDArray[np.bool_], likely: NDArray[np.float64], edges: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return ``classes`` as they are."""
    return classes


def _means(channels: NDArray[np.float32], regions: Regions) -> NDArray[np.float64]:
    """Return the mean (C, R) of ``channels`` (C, h, w) of any size in every region."""
    size = regions.ids.shape[::-1]
    flat = regions.ids.ravel()
    full = (cv2.resize(channel, size, interpolation=cv2.INTER_LINEAR).ravel() for channel in channels)
    return np.stack([np.bincount(flat, values, minlength=regions.count) for values in full]) / regions.areas


# -- who plays ---------------------------------------------------------------------------------------------------------


class WithField(SessionLabeler):
    """A session of ``answer: field`` beside the fused one: fitted as it is due before each answer."""

    def __init__(self, config: SessionConfig, device: str = "auto") -> None:
        super().__init__(config, device)
        self._field = Session(replace(config, answer="field"), device)

    def start(self, image: NDArray[np.uint8]) -> None:
        """Fit the field to the image, then prepare."""
        self._field.observe(image)
        self._field.fit()
        super().start(image)

    @property
    def _engine(self) -> Any:
        return self._field._fitting.engine


class WithProbabilities(WithField):
    """The fused answer with the field's class probabilities beside the appearance."""

    def label(self, annotations: Sequence[Annotation]) -> Labeling:
        """Fit the field to the annotations, then answer."""
        for annotation in annotations[len(self._field.annotations) :]:
            self._field.annotate(annotation)
        self._field.fit()
        probabilities = self._engine.prediction().numpy()
        with mock.patch(f"{EVIDENCE}.appearance", partial(appearance_with, probabilities)):
            return super().label(annotations)


class WithFeatures(WithField):
    """The fused answer with the field's features beside ensemble and contrast in the strength of an edge."""

    def start(self, image: NDArray[np.uint8]) -> None:
        """Fit the field to the image, then prepare with what it has learned."""
        self._field.observe(image)
        self._field.fit()
        features = self._engine.features().numpy()
        with mock.patch(FINDER, partial(Prepared, partial(by_features, features))):
            SessionLabeler.start(self, image)


@dataclass(frozen=True)
class Variant:
    """The fused answer with something else in place of a part; picklable.

    patches  {dotted name: what is there instead}
    prepare  how the region graph of a frame is found
    small    whether it plays the small sets only, for its time
    """

    name: str
    patches: Mapping[str, Any] = field(default_factory=dict)
    prepare: Prepare = prepared_once
    config: SessionConfig = CONFIG
    labeler: Callable[[SessionConfig, str], SessionLabeler] = SessionLabeler
    small: bool = False


def tuned(**constants: Any) -> dict[str, Any]:
    """Return the patch that replaces constants of the candidates."""
    return {f"{CANDIDATES}.TUNING": replace(TUNING, **constants)}


NOT_HELD = {f"{GRAPH}._hold_labels": not_held}
ONE_CUT: dict[str, Any] = {"appearance_weights": (0.5,), "geodesic_weights": (1.0,), "candidate_boundary_costs": (6.0,)}
NO_APPEARANCE: dict[str, Any] = {
    "appearance_weight": 0.0,
    "appearance_weights": (0.0,),
    "previous_appearance_weights": (0.0,),
}

# The most important ones first.
VARIANTS = (
    Variant("full"),
    Variant("- locality: no candidates from the last answer, nothing held", {**tuned(previous_offsets=()), **NOT_HELD}),
    Variant("- vote: one cut", tuned(**ONE_CUT, previous_offsets=())),
    Variant("- model of the user: even weights", {f"{VOTE}.IMPLAUSIBILITY_SCALE": 0.0}),
    Variant("- ensemble: one segmentation", prepare=partial(of_members, 1)),
    Variant("ensemble of eight segmentations, as in a preview", prepare=partial(of_members, FEW_MEMBERS)),
    Variant("- border prior", config=replace(CONFIG, border_prior=False)),
    Variant("full, small sets", small=True),
    Variant("+ field probabilities", labeler=WithProbabilities, small=True),
    Variant("+ field features", labeler=WithFeatures, small=True),
    Variant("- candidates from the last answer", tuned(previous_offsets=())),
    Variant("- nothing held", NOT_HELD),
    Variant("- ensemble: contrast alone", prepare=by_contrast),
    Variant("- appearance", tuned(**NO_APPEARANCE)),
    Variant("- nearness along the graph", tuned(geodesic_weight=0.0, geodesic_weights=(0.0,))),
    Variant("- nearness in the frame", tuned(position_weight=0.0)),
    Variant("- appearance learned again", tuned(relearned_share=0.0)),
    Variant("- connectivity", {f"{CANDIDATES}.remove_islands": with_islands}),
    Variant("- random walker", {f"{GRAPH}.WALKER_SHARE": 0.0}),
)


# -- what is played ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Images:
    """Every ``step``-th item of a data set, shrunk to ``longer_side``, with at most ``clicks`` robot clicks on each."""

    name: str
    items: Callable[[Path], Sequence[Item]]
    game: Game
    longer_side: int
    clicks: int
    step: int = 1

    def plan(self, root: Path, limit: int, contestants: tuple[Contestant[Any], ...]) -> Plan:
        """Return all ``contestants`` on the first ``limit`` items, 0: on all."""
        items = tuple(self.items(root)[:: self.step][: limit or None])
        return Plan(items, contestants, (self.game,), self.longer_side, self.clicks)


SETS = (
    Images("GrabCut", object_items, FROM_CLICKS, 300, 10),
    Images("hard objects", hard_items, FROM_CLICKS, 300, 10),
    Images("BSDS regions", region_items, regions_game("clicks"), 240, 6),
)
SMALL_SETS = (
    Images("GrabCut, 10 images", object_items, FROM_CLICKS, 300, 5, step=2),
    Images("hard objects, 10 images", hard_items, FROM_CLICKS, 300, 5, step=4),
)

Figures = dict[str, float]  # by the column's title


def main() -> None:
    """Play everything; report after every variant."""
    options = _options()
    variants = [variant for variant in VARIANTS if any(text in variant.name for text in options.only or [""])]
    plans = [_plans(variant, options.data, options.limit) for variant in variants]
    tasks = [
        (variant, task)
        for variant, of_variant in zip(variants, plans, strict=True)
        for plan in of_variant.values()
        for task in plan.tasks()
    ]
    runs = each(played, tasks, options.jobs)
    found: dict[str, dict[str, Figures]] = {}
    for variant, of_variant in zip(variants, plans, strict=True):
        found[variant.name] = {
            name: figures_of(list(islice(runs, len(plan.tasks()))), plan) for name, plan in of_variant.items()
        }
        write_text(options.out / "ablation.json", json.dumps(found, indent=1) + "\n")
        write_text(options.out / "ablation.md", tables_of(found))
        print(variant.name, flush=True)
    print(tables_of(found))


def played(entry: tuple[Variant, Task]) -> Run:
    """Return one game with a variant's replacements in place."""
    variant, task = entry
    with ExitStack() as stack:
        for name, replacement in {FINDER: partial(Prepared, variant.prepare), **variant.patches}.items():
            stack.enter_context(mock.patch(name, replacement))
        return play(task)


def figures_of(runs: Sequence[Run], plan: Plan) -> Figures:
    """Return the figures of one variant on one set."""
    summary = summarize(runs, plan)
    ece = {"ECE pooled": summary["calibration"]["ece_pooled"]}
    if "mean_iou" in summary:
        curve = {f"mean IoU +{mark}": summary["mean_iou"][mark] for mark in (0, 3, 6)}
        return {**curve, "% clicks lowering mean IoU": 100 * summary["falls"] / summary["clicks"], **ece}
    quality = clicks_to_quality(runs, plan.clicks)
    needed = {"NoC@85": quality["noc85"], "NoC@90": quality["noc90"]}
    curve = {f"IoU@{mark}": summary["iou"][mark - 1] for mark in (1, 3, 5)}
    return {**needed, **curve, "% clicks lowering IoU > .02": 100 * summary["harmful"] / summary["clicks"], **ece}


def tables_of(found: Mapping[str, Mapping[str, Figures]]) -> str:
    """Return a table a set, a row a variant."""
    tables = []
    for name in dict.fromkeys(name for of_variant in found.values() for name in of_variant):
        rows = {variant: of_variant[name] for variant, of_variant in found.items() if name in of_variant}
        head = (name, *next(iter(rows.values())))
        cells = [
            (variant, *(_cell(title, value) for title, value in figures.items())) for variant, figures in rows.items()
        ]
        tables.append(Table(head, tuple(cells)).markdown())
    return "\n".join(tables)


def _plans(variant: Variant, root: Path, limit: int) -> dict[str, Plan]:
    contestant = Contestant(variant.name, partial(variant.labeler, variant.config, "cpu"), variant.config)
    sets = SMALL_SETS if variant.small else SETS
    return {images.name: images.plan(root, limit, (contestant,)) for images in sets}


def _cell(title: str, value: float) -> str:
    if title.startswith("%"):
        return f"{value:.1f}"
    return f"{value:.2f}" if title.startswith("NoC") else f"{value:.3f}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with grabcut, bsds500 and davis")
    parser.add_argument("--out", type=Path, default=Path("ablation"))
    parser.add_argument("--limit", type=int, default=0, help="images of every set; 0: all")
    parser.add_argument("--only", metavar="TEXT", action="append", help="only variants whose name has this; repeatable")
    parser.add_argument("--jobs", type=int, default=2, help="processes of one thread each")
    return parser.parse_args()


if __name__ == "__main__":
    main()
