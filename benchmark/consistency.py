"""The temporal consistency loss (thesis 2.3.3, 2.4.1-2.4.2): strokes of the robot one after another, lambda swept.

    OMP_NUM_THREADS=1 python benchmark/consistency.py --data ROOT --out consistency

``ROOT`` holds BSDS500 as for ``neural-seg evaluate regions``. Writes ``consistency.json`` (after every run),
``consistency.md`` and a picture a network. With ``--scenes FOLDER`` in place of ``--data`` it writes two pictures of
images that ship with scikit-image.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from neural_seg_ros import Session, SessionConfig, Stroke
from neural_seg_ros.annotations.rasterize import NOTHING, rasterize
from neural_seg_ros.drawing import contact_sheet, overlay
from neural_seg_ros.evaluation.clicks.calibration import Calibration
from neural_seg_ros.evaluation.datasets import Sample, region_items
from neural_seg_ros.evaluation.robot import robot_strokes
from neural_seg_ros.evaluation.table import Table
from neural_seg_ros.files import write_text
from neural_seg_ros.images.arrays import Labels, resize_image
from neural_seg_ros.images.files import write_image
from neural_seg_ros.metrics import IGNORE, mean_iou
from neural_seg_ros.session.result import Result

EVERY, IMAGES = 4, 10
OFF, THESIS = 0.0, 1e-3
# What is shown in the picture, in this order.
SHOWN = (OFF, THESIS)
# Pictures are enlarged so many times.
ENLARGED = 3
# (height, width) of a scene in its picture.
CELL = (240, 360)


@dataclass(frozen=True)
class Study:
    """One network, the lambdas it is fitted with and the seeds; images are shrunk to its field's size."""

    name: str
    config: SessionConfig
    lambdas: tuple[float, ...]
    seeds: tuple[int, ...]


# Every class has its stroke, so nothing is presumed at the border.
STUDIES = (
    Study(
        "cpu",
        SessionConfig.preset("cpu", answer="field", border_prior=False),
        (OFF, 1e-4, THESIS, 1e-2, 1e-1, 1.0),
        (0, 1),
    ),
    Study(
        "thesis",
        SessionConfig.preset("thesis", border_prior=False, **{"field.size": 128}),
        (OFF, THESIS, 1e-1),
        (0,),
    ),
)


# Strokes in pixels of images that ship with scikit-image, in the order in which they are given.
SCENES: dict[str, tuple[Stroke, ...]] = {
    "coffee": (
        Stroke(((500, 40), (560, 200), (520, 350)), 1, width=5),
        Stroke(((95, 180), (100, 260), (160, 330), (250, 365), (350, 360)), 2, width=5),
        Stroke(((190, 60), (182, 110), (205, 160), (260, 192), (330, 190), (385, 150)), 3, width=5),
        Stroke(((215, 130), (260, 160), (330, 170)), 4, width=5),
        Stroke(((20, 250), (40, 370)), 1, width=5),
        Stroke(((345, 265), (365, 300)), 5, width=5),
        Stroke(((450, 150), (460, 210), (440, 270)), 2, width=5),
        Stroke(((20, 40), (80, 15)), 6, width=5),
    ),
    "astronaut": (
        Stroke(((80, 290), (130, 330), (200, 320), (310, 290)), 1, width=5),
        Stroke(((300, 30), (340, 140), (330, 220)), 2, width=5),
        Stroke(((170, 100), (190, 50), (250, 40), (285, 90)), 3, width=5),
        Stroke(((205, 110), (235, 170)), 4, width=5),
        Stroke(((110, 40), (120, 150)), 2, width=5),
        Stroke(((330, 400), (400, 400), (460, 430)), 5, width=5),
        Stroke(((20, 60), (40, 180), (40, 260)), 6, width=5),
        Stroke(((410, 60), (410, 200)), 7, width=5),
        Stroke(((80, 450), (160, 430), (260, 480)), 1, width=5),
    ),
    "chelsea": (
        Stroke(((60, 130), (200, 60), (230, 180)), 1, width=5),
        Stroke(((390, 30), (410, 120)), 2, width=5),
        Stroke(((155, 110), (190, 130)), 3, width=5),
        Stroke(((310, 130), (335, 140)), 3, width=5),
        Stroke(((255, 240), (275, 245)), 4, width=5),
        Stroke(((20, 200), (60, 260), (150, 280)), 1, width=5),
        Stroke(((400, 200), (430, 270)), 2, width=5),
    ),
}
# The scene that is shown stroke by stroke, and after which strokes.
TURNS, TURNS_SHOWN = "chelsea", (2, 3, 5, 7)


@dataclass(frozen=True)
class Run:
    """One image, network, lambda and seed.

    annotated   share of the image's pixels under a stroke
    mean_ious   after every stroke; classes without a stroke yet count 0
    ece         expected calibration error after the last stroke
    forgotten   share of the pixels right after stroke k that are wrong after the last, mean over k
    """

    network: str
    consistency: float
    seed: int
    image: str
    classes: int
    strokes: int
    annotated: float
    mean_ious: tuple[float, ...]
    ece: float
    forgotten: float


def main() -> None:
    """Run the studies, or write the pictures of the scenes."""
    options = _options()
    if options.scenes is not None:
        write_image(options.scenes / "consistency.jpg", scenes(STUDIES[0]))
        write_image(options.scenes / "consistency_turns.jpg", turns(STUDIES[0]))
        return
    items = region_items(options.data)[::EVERY][: options.limit]
    runs: list[Run] = []
    for study in STUDIES:
        pictures, captions = [], []
        for item in items:
            sample = item.load(study.config.field.size)
            strokes = robot_strokes(sample.truth)
            for seed in study.seeds:
                shown = {}
                for consistency, session in sessions(study, sample.image, seed):
                    run, labels = measured(session, sample, strokes, study.name)
                    runs.append(run)
                    shown[consistency] = labels, f"lambda {consistency:g}: {run.mean_ious[-1]:.2f}"
                    write_text(options.out / "consistency.json", _json(runs))
                    print(f"{study.name} {sample.name} seed {seed} {shown[consistency][1]}", flush=True)
                if seed == study.seeds[0]:
                    answers = [shown[value] for value in SHOWN]
                    pictures += row_of(sample.image, strokes, [*(labels for labels, _ in answers), sample.truth])
                    captions += [f"{sample.name}: {len(strokes)} strokes", *(text for _, text in answers), "truth"]
        write_image(options.out / f"{study.name}.png", contact_sheet(pictures, len(SHOWN) + 2, captions))
    write_text(options.out / "consistency.md", _tables(runs))
    print(_tables(runs))


def sessions(study: Study, image: NDArray[np.uint8], seed: int) -> Iterator[tuple[float, Session]]:
    """Return (lambda, session) for every lambda of a study, after one and the same first fit to the image (H, W, 3)."""
    with tempfile.TemporaryDirectory() as folder:
        first = Session(dataclasses.replace(study.config, seed=seed))
        first.observe(image)
        first.fit()
        first.save(Path(folder) / "first")
        for consistency in study.lambdas:
            session = Session.load(Path(folder) / "first")
            field = dataclasses.replace(study.config.field, consistency=consistency)
            session.configure(dataclasses.replace(study.config, seed=seed, field=field))
            yield consistency, session


def drawn_in_turn(session: Session, strokes: Iterable[Stroke]) -> Iterator[Result]:
    """Return the answer after every stroke and the steps that are due for it."""
    for stroke in strokes:
        session.annotate(stroke)
        session.fit()
        yield session.result()


def measured(session: Session, sample: Sample, strokes: Sequence[Stroke], network: str) -> tuple[Run, Labels]:
    """Return the figures of one run and its labels (H, W) after the last stroke."""
    truth = sample.truth
    results = list(drawn_in_turn(session, strokes))
    labels = [np.asarray(result.labels, np.uint8) for result in results]
    judged = truth != IGNORE
    run = Run(
        network,
        session.config.field.consistency,
        session.config.seed,
        sample.name,
        len(np.unique(truth[judged])),
        len(strokes),
        float((rasterize(strokes, truth.shape, truth.shape, IGNORE) != NOTHING).mean()),
        tuple(mean_iou(each, truth) for each in labels),
        Calibration.of(results[-1].confidence[judged], (labels[-1] == truth)[judged]).expected_error(),
        forgotten_share([each == truth for each in labels]),
    )
    return run, labels[-1]


def forgotten_share(right: Sequence[NDArray[np.bool_]]) -> float:
    """Share of the pixels that were ``right`` (H, W) after a stroke and are not after the last one, mean over strokes.

    The last stroke itself does not count; 0 when there is but one.
    """
    shares = [float(1 - right[-1][then].mean()) for then in right[:-1] if then.any()]
    return float(np.mean(shares)) if shares else 0.0


def scenes(study: Study) -> NDArray[np.uint8]:
    """Return a row a scene: the image with its strokes, then the answers without and with the loss."""
    pictures = []
    for name, strokes in SCENES.items():
        image = getattr(skimage.data, name)()
        pictures.append(overlay(image, np.full(image.shape[:2], IGNORE, np.uint8), strokes))
        for _, session in sessions(dataclasses.replace(study, lambdas=SHOWN), image, seed=0):
            *_, last = drawn_in_turn(session, strokes)
            pictures.append(overlay(image, last.labels, alpha=0.7))
    captions = ["strokes", "without the loss", f"with it (lambda {THESIS:g})"]
    pictures[0] = resize_image(pictures[0], *CELL)  # the sheet's cells are as large as its first picture
    return contact_sheet(pictures, len(captions), captions * len(SCENES))


def turns(study: Study) -> NDArray[np.uint8]:
    """Return one scene after some of its strokes, above without the loss, below with it."""
    image, strokes = getattr(skimage.data, TURNS)(), SCENES[TURNS]
    pictures, captions = [], []
    for consistency, session in sessions(dataclasses.replace(study, lambdas=SHOWN), image, seed=0):
        for number, result in enumerate(drawn_in_turn(session, strokes), start=1):
            if number in TURNS_SHOWN:
                pictures.append(overlay(image, result.labels, strokes[:number], alpha=0.6))
                captions.append(f"lambda {consistency:g}, {number} strokes")
    pictures[0] = resize_image(pictures[0], *CELL)
    return contact_sheet(pictures, len(TURNS_SHOWN), captions)


def row_of(image: NDArray[np.uint8], strokes: Sequence[Stroke], labels: Sequence[Labels]) -> list[NDArray[np.uint8]]:
    """Return the image (H, W, 3) with its strokes, then the image tinted by every labels (H, W), all enlarged."""
    size = image.shape[1] * ENLARGED, image.shape[0] * ENLARGED
    large = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    scaled = []
    for stroke in strokes:
        points = tuple((ENLARGED * (x + 0.5) - 0.5, ENLARGED * (y + 0.5) - 0.5) for x, y in stroke.points)
        scaled.append(Stroke(points, stroke.class_id, width=ENLARGED))
    pictures = [overlay(large, np.full(size[::-1], IGNORE, np.uint8), scaled)]
    for each in labels:
        enlarged = np.asarray(cv2.resize(each, size, interpolation=cv2.INTER_NEAREST), np.uint8)
        pictures.append(overlay(large, enlarged, alpha=0.7))
    return pictures


def _json(runs: Sequence[Run]) -> str:
    return json.dumps([dataclasses.asdict(run) for run in runs], indent=1) + "\n"


def _tables(runs: Sequence[Run]) -> str:
    """Return one row a network and lambda, then one row an image."""
    settings = list(dict.fromkeys((run.network, run.consistency) for run in runs))
    by_setting = [[run for run in runs if (run.network, run.consistency) == setting] for setting in settings]
    head = ("network, lambda", "mean IoU", *(f"seed {seed}" for seed in STUDIES[0].seeds))
    head += ("ECE", "forgotten", "strokes that lower it")
    rows = []
    for (network, consistency), group in zip(settings, by_setting, strict=True):
        seeds = [[run.mean_ious[-1] for run in group if run.seed == seed] for seed in STUDIES[0].seeds]
        steps = np.concatenate([np.diff(run.mean_ious) for run in group])
        row = [f"{network}, {consistency:g}", _mean(run.mean_ious[-1] for run in group)]
        row += [_mean(values) if values else "" for values in seeds]
        row += [_mean(run.ece for run in group)]
        row += [_mean(run.forgotten for run in group), f"{int((steps < 0).sum())} of {len(steps)}"]
        rows.append(tuple(row))
    tables = Table(head, tuple(rows)).markdown()
    for network in dict.fromkeys(run.network for run in runs):
        tables += "\n" + _images_table([run for run in runs if run.network == network])
    return tables


def _images_table(runs: Sequence[Run]) -> str:
    """Return mean IoU of one network by image and lambda, mean over the seeds."""
    lambdas = list(dict.fromkeys(run.consistency for run in runs))
    rows = []
    for image in dict.fromkeys(run.image for run in runs):
        of_image = [run for run in runs if run.image == image]
        first = of_image[0]
        row = [f"{first.network}, {image}", str(first.classes), str(first.strokes), f"{100 * first.annotated:.2f}"]
        row += [_mean(run.mean_ious[-1] for run in of_image if run.consistency == value) for value in lambdas]
        rows.append(tuple(row))
    head = ("network, image", "classes", "strokes", "% of pixels", *(f"{value:g}" for value in lambdas))
    return Table(head, tuple(rows)).markdown()


def _mean(values: Iterable[float]) -> str:
    return f"{np.mean(list(values)):.3f}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", type=Path, help="folder with BSDS500")
    what.add_argument("--scenes", type=Path, help="folder for the pictures of the scenes")
    parser.add_argument("--out", type=Path, default=Path("consistency"))
    parser.add_argument("--limit", type=int, default=IMAGES, help="images")
    return parser.parse_args()


if __name__ == "__main__":
    main()
