"""Outlines: the drawn inside is the object, the outside is not, and edges decide in between."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from neural_seg_ros import Click, Region, Session, SessionConfig
from neural_seg_ros.annotations.rasterize import band_width, beyond_band
from neural_seg_ros.click_answer.outline import fit_outline
from neural_seg_ros.metrics import iou

HEIGHT, WIDTH = 96, 128


def disc(radius: float) -> NDArray[np.bool_]:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.asarray((x - 64) ** 2 + (y - 48) ** 2 < radius**2)


@pytest.fixture(scope="module")
def image() -> NDArray[np.uint8]:
    """Return a yellow disc of radius 30 on blue, with some noise."""
    colors = np.where(disc(30)[..., None], (230, 200, 40), (30, 60, 150)).astype(np.int16)
    colors += np.random.default_rng(0).integers(-12, 13, colors.shape).astype(np.int16)
    return np.clip(colors, 0, 255).astype(np.uint8)


def polygon(radius: float, class_id: int = 1) -> Region:
    turns = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return Region(tuple((64 + radius * np.cos(turn), 48 + radius * np.sin(turn)) for turn in turns), class_id)


def quality(labels: NDArray[np.integer]) -> float:
    return iou((labels == 1).astype(np.uint8), disc(30).astype(np.uint8))


@pytest.mark.parametrize("drawn", [28, 30])
def test_an_outline_is_moved_to_the_edge_and_no_further(image: NDArray[np.uint8], drawn: float) -> None:
    fitted = fit_outline(image, disc(drawn))
    assert fitted[disc(drawn)].all()
    assert not (fitted & beyond_band(disc(drawn))).any()
    assert quality(fitted.astype(np.uint8)) > 0.96


def test_the_band_grows_with_the_object() -> None:
    assert band_width(disc(30)) == pytest.approx(0.06 * np.sqrt(disc(30).sum()))
    assert band_width(disc(1.5)) == pytest.approx(0.006 * WIDTH)


@pytest.mark.parametrize("answer", ["fused", "field"])
def test_the_class_ends_near_its_outline(image: NDArray[np.uint8], answer: str) -> None:
    tiny = {"field.size": 32, "field.width": 8, "field.levels": 2, "fit.first_steps": 4, "fit.click_steps": 2}
    session = Session(SessionConfig.preset("cpu", answer=answer, **tiny), device="cpu")
    session.observe(image)
    session.annotate(polygon(29))
    labels = session.result().labels
    assert not (labels[~disc(35)] == 1).any()
    assert (labels[disc(28)] == 1).all()
    if answer == "fused":
        assert quality(labels) > 0.95


def test_a_mark_far_outside_opens_the_outline(image: NDArray[np.uint8]) -> None:
    session = Session(SessionConfig.preset("cpu"), device="cpu")
    session.observe(image)
    session.annotate(polygon(15))
    session.annotate(Click(64, 74, 1))
    labels = session.result().labels
    assert labels[74, 64] == 1
    assert labels[60, 64] == 1, "between the outline and the mark"


def test_two_outlines_leave_the_rest_to_the_background(image: NDArray[np.uint8]) -> None:
    small = Region(((4.0, 4.0), (20.0, 4.0), (20.0, 20.0), (4.0, 20.0)), 2)
    for rest, background in (("background", True), ("none", False)):
        session = Session(SessionConfig.preset("cpu", rest=rest), device="cpu")
        session.observe(image)
        session.annotate(polygon(30))
        session.annotate(small)
        labels = session.result().labels
        assert (labels[5:20, 5:20] == 2).all()
        assert (labels[disc(28)] == 1).all()
        assert (labels == 0).any() == background
