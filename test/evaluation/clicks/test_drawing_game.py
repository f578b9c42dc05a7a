"""The forms of the drawing game are correct annotations, and so is all that the person draws."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from neural_seg_ros.annotations import Box, Click
from neural_seg_ros.annotations.rasterize import NOTHING, rasterize
from neural_seg_ros.cli.main import run
from neural_seg_ros.evaluation.clicks.drawing_game import FORMS, person_mark
from neural_seg_ros.evaluation.clicks.peers import GrabCut
from neural_seg_ros.evaluation.datasets import Sample
from neural_seg_ros.images.files import write_image
from neural_seg_ros.metrics import IGNORE, iou

# These forms leave the object by intention.
LOOSE = ("loose outline", "box", "loose box")


@pytest.fixture(scope="module")
def sample() -> Sample:
    """Return an L of two bars beside an ignored strip."""
    truth = np.zeros((120, 160), np.uint8)
    truth[20:100, 40:70], truth[70:100, 40:130] = 1, 1
    truth[20:100, 36:40] = IGNORE
    image = np.where(truth[..., None] == 1, (200, 60, 50), (50, 120, 60)).astype(np.uint8)
    return Sample("L", image, truth)


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_a_correct_annotation(sample: Sample, name: str) -> None:
    annotations = FORMS[name](sample)
    assert annotations == FORMS[name](sample), "the same every time"
    drawn = rasterize(annotations, sample.truth.shape, sample.truth.shape, 255)
    if name in LOOSE:
        assert name == "loose outline" or all(isinstance(each, Box) and each.bounding for each in annotations)
        return
    assert (drawn == 1).any()
    assert np.isin(sample.truth[drawn == 1], (1, IGNORE)).mean() > 0.97
    assert (sample.truth[drawn == 0] != 1).all()
    if "outline" in name:
        assert iou((drawn == 1).astype(np.uint8), sample.truth) > 0.7


def test_all_that_a_person_draws_is_correct(sample: Sample) -> None:
    random, clicks, kinds = np.random.default_rng(0), [], set()
    for _ in range(60):
        mark = person_mark(sample.truth, sample.truth, clicks, random)
        assert mark is not None
        kinds.add((type(mark).__name__, mark.class_id))
        drawn = rasterize([mark], sample.truth.shape, sample.truth.shape, 255)
        assert (sample.truth[drawn != NOTHING] == drawn[drawn != NOTHING]).mean() > 0.9
        clicks += [mark] if isinstance(mark, Click) else []
    assert kinds == {("Click", 1), ("Click", 0), ("Stroke", 1), ("Stroke", 0)}


@pytest.mark.parametrize("name", ["line", "scribble", "outline", "scribble and line around"])
def test_grabcut_gets_every_form(sample: Sample, name: str) -> None:
    peer = GrabCut()
    peer.start(sample.image)
    assert iou(peer.label(FORMS[name](sample)).labels, sample.truth) > 0.5


def test_the_command_reports_every_form(sample: Sample, tmp_path: Path) -> None:
    write_image(tmp_path / "data" / "images" / "a.png", sample.image)
    write_image(tmp_path / "data" / "masks" / "a.png", np.where(sample.truth == 1, 255, 0).astype(np.uint8))
    out = tmp_path / "out"
    options = ["--peers", "grabcut", "--marks", "2", "--jobs", "1"]
    assert run(["evaluate", "drawing", "--data", str(tmp_path / "data"), "--out", str(out), *options]) == 0
    head = (out / "table.md").read_text().splitlines()[4]
    assert all(form in head for form in FORMS)
    figures = json.loads((out / "metrics.json").read_text())["labellers"]
    assert {name.split(", ", 1)[1] for name in figures} == {*FORMS, "person"}
    assert figures["fused, outline"]["iou"][0] > 0.9
