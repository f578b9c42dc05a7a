"""The weights of ``click_answer/extent.py``: fitted on one half of the images, confirmed on the other.

    OMP_NUM_THREADS=1 python benchmark/shape_weights.py --data ROOT

``ROOT`` holds GrabCut, BSDS500 and DAVIS as for ``neural-seg evaluate``. Each form of ``evaluate drawing`` without
outlines and boxes is a case. A ridge regression predicts the IoU of a candidate, compared with the other candidates of
its case, from the features of its shape. Prints the weights of each half and of all, with the mean IoU of the vote.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros import SessionConfig
from neural_seg_ros.annotations.implied import draw
from neural_seg_ros.click_answer.candidates import candidates_of
from neural_seg_ros.click_answer.extent import TUNING, ShapeScorer
from neural_seg_ros.evaluation.clicks.drawing_game import FORMS
from neural_seg_ros.evaluation.datasets import Item, object_items
from neural_seg_ros.evaluation.hard_objects import hard_items, video_items
from neural_seg_ros.images.arrays import MIN_SIDE, field_shape
from neural_seg_ros.regions import prepare_regions
from neural_seg_ros.regions.seeds import seeds_of

CONFIG = SessionConfig.preset("cpu")
CHOSEN = tuple(form for form in FORMS if "outline" not in form and "box" not in form)
SIDE_PX, GRAPH_SIDE_PX = 480, 300
RIDGE = 0.01
REST, OBJECT = 1, 0


@dataclass(frozen=True)
class Case:
    """The K candidates of one form on one image: features (K, F), point-likeness, IoUs (K,), masks (K, R), truth."""

    form: str
    features: NDArray[np.float64]
    point: float
    ious: NDArray[np.float64]
    masks: NDArray[np.bool_]
    object_pixels: NDArray[np.float64]
    other_pixels: NDArray[np.float64]

    @property
    def inputs(self) -> NDArray[np.float64]:
        """(K, 2F) the features, and their products with the point-likeness."""
        return np.concatenate([self.features, self.point * self.features], axis=1)

    def iou(self, mask: NDArray[np.bool_]) -> float:
        """Return the IoU of a shape (R,) bool with the object."""
        inside = self.object_pixels[mask].sum()
        return float(inside / max(1.0, self.object_pixels.sum() + self.other_pixels[mask].sum()))


def cases_of(item: Item) -> list[Case]:
    """Compute the candidates of all forms on an image."""
    sample = item.load(SIDE_PX)
    height, width = sample.truth.shape
    size = field_shape(height, width, GRAPH_SIDE_PX, MIN_SIDE)
    small = cv2.resize(sample.image, size[::-1], interpolation=cv2.INTER_AREA)
    truth = cv2.resize(sample.truth, size[::-1], interpolation=cv2.INTER_NEAREST)
    regions = prepare_regions(np.asarray(small, np.uint8))
    ids, count = regions.ids.ravel(), regions.count
    own, other = (np.bincount(ids, (truth == value).ravel(), minlength=count).astype(np.float64) for value in (1, 0))
    cases = []
    for form in CHOSEN:
        classes = (0, 1) if "around" in form else (1,)
        targets = draw(FORMS[form](sample), classes, (1, 0), sample.image, size, CONFIG)
        seeds = seeds_of(regions, targets.labels, targets.weights, targets.count)
        masks = np.stack(candidates_of(regions, seeds, None, REST)[0]) == OBJECT
        scorer = ShapeScorer(regions, seeds.hard[OBJECT])
        features = np.stack([scorer.features(mask) for mask in masks])
        case = Case(form, features, scorer.point, np.zeros(0), masks, own, other)
        ious = np.array([case.iou(mask) for mask in masks])
        cases.append(Case(form, features, scorer.point, ious, masks, own, other))
    return cases


def fit(cases: Sequence[Case]) -> NDArray[np.float64]:
    """Fit the weights (2F,) by ridge regression of differences within each case, all cases alike."""
    inputs = np.concatenate([(case.inputs - case.inputs.mean(0)) / len(case.ious) ** 0.5 for case in cases])
    wanted = np.concatenate([(case.ious - case.ious.mean()) / len(case.ious) ** 0.5 for case in cases])
    scale = inputs.std(0) + 1e-9
    scaled = inputs / scale
    system = scaled.T @ scaled + RIDGE * len(scaled) * np.eye(len(scale))
    return np.asarray(np.linalg.solve(system, scaled.T @ wanted) / scale)


def voted(cases: Sequence[Case], weights: NDArray[np.float64]) -> float:
    """Return the mean IoU of the vote, averaged over the forms."""
    by_form: dict[str, list[float]] = {}
    for case in cases:
        scores = case.inputs @ weights
        shares = np.exp(TUNING.scale * (scores - scores.max()))
        by_form.setdefault(case.form, []).append(case.iou(shares @ case.masks > shares.sum() / 2))
    return float(np.mean([np.mean(ious) for ious in by_form.values()]))


def main() -> None:
    """Fit and confirm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    halves: tuple[list[Case], list[Case]] = ([], [])
    for number, cases in enumerate(map(cases_of, _items(options.data))):
        halves[number % 2].extend(cases)
    everything = [*halves[0], *halves[1]]
    for name, own, other in (("even", *halves), ("odd", *halves[::-1]), ("all", everything, everything)):
        weights = fit(own)
        print(
            f"{name}: {np.round(weights, 2).tolist()}; IoU {voted(own, weights):.3f}, other {voted(other, weights):.3f}"
        )
    print(f"as committed: IoU {voted(everything, np.array([*TUNING.weights, *TUNING.point_weights])):.3f}")


def _items(root: Path) -> Iterator[Item]:
    yield from object_items(root / "grabcut")
    yield from hard_items(root, 30)
    yield from video_items(root)[::2]


if __name__ == "__main__":
    main()
