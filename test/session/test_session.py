"""The session as a user drives it: annotate, see the result, take it back, save it, and be told what is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from neural_seg_ros import Annotation, Box, Click, Mask, NeuralSegError, Region, Session, SessionConfig, Stroke
from neural_seg_ros.errors import AnnotationError, ConfigError, ImageError, SessionError, SessionFileError
from neural_seg_ros.session.session_file import read_session, write_session

TINY = {
    "field.size": 48,
    "field.width": 8,
    "field.levels": 2,
    "field.skips": False,
    "fit.first_steps": 60,
    "fit.click_steps": 40,
    "track.first_steps": 4,
}


def config(answer: str = "field", **changes: object) -> SessionConfig:
    return SessionConfig.preset("cpu", answer=answer, **{**TINY, **changes})


def disc_image(height: int = 96, width: int = 128, shift: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return a yellow disc on blue, with some noise; and where the disc is."""
    y, x = np.mgrid[:height, :width]
    disc = (x - width // 2 - shift) ** 2 + (y - height // 2) ** 2 < (height // 4) ** 2
    image = np.where(disc[..., None], (230, 200, 40), (30, 60, 150)).astype(np.int16)
    image += np.random.default_rng(0).integers(-12, 13, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8), disc


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.fixture(params=["field", "fused"])
def session(request: pytest.FixtureRequest) -> Session:
    made = Session(config(request.param), device="cpu")
    made.observe(disc_image()[0], stamp=12.5)
    made.fit()
    return made


def test_one_click_an_object_and_one_on_the_rest_make_a_mask(session: Session) -> None:
    _, disc = disc_image()
    session.annotate(Click(64, 48, 1))
    session.annotate(Click(10, 10, 0))
    session.fit()
    result = session.result()
    assert iou(result.labels == 1, disc) > 0.85
    assert result.labels.dtype == np.uint8
    assert result.confidence.shape == (96, 128)
    assert result.confidence.dtype == np.float32
    assert 0 <= result.confidence.min() <= result.confidence.max() <= 1
    assert result.probabilities.shape == (2, 96, 128)
    assert np.allclose(result.probabilities.sum(0), 1, atol=1e-5)
    assert np.array_equal(result.probabilities.argmax(0), result.labels)
    assert result.stamp == 12.5


@pytest.mark.parametrize(("click", "is_disc"), [(Click(64, 48, 3), True), (Click(10, 10, 0), False)])
def test_clicks_of_one_class_only_still_separate_it(session: Session, click: Click, is_disc: bool) -> None:
    _, disc = disc_image()
    session.annotate(click)
    session.fit()
    labels = session.result().labels
    assert iou(labels == click.class_id, disc if is_disc else ~disc) > 0.8
    assert set(np.unique(labels)) == ({0, 3} if is_disc else {0, 255})


def test_before_the_first_annotation_nothing_is_labeled(session: Session) -> None:
    result = session.result()
    assert (result.labels == 255).all()
    assert not result.confidence.any()
    assert result.probabilities.shape == (0, 96, 128)


@pytest.mark.parametrize(
    "annotation",
    [
        Box(50, 40, 78, 56, 1),
        Stroke(((50, 48), (78, 48)), 1, width=3),
        Region(tuple((64 + 23 * math.cos(turn), 48 + 23 * math.sin(turn)) for turn in np.arange(0, 6.2, 0.4)), 1),
        Click(64, 48, 1, radius=6),
        Mask(np.where(disc_image()[1], np.uint8(1), np.uint8(0))),
    ],
)
def test_every_kind_of_annotation_labels_its_class(annotation: Annotation) -> None:
    session = Session(config(), device="cpu")
    session.observe(disc_image()[0])
    session.fit()
    session.annotate(annotation)
    session.fit()
    assert iou(session.result().labels == 1, disc_image()[1]) > 0.7


def test_a_bounding_box_alone_finds_its_object(session: Session) -> None:
    _, disc = disc_image()
    session.annotate(Box(99, 79, 31, 15, 1, bounding=True))
    session.fit()
    result = session.result()
    assert result.classes == (0, 1)
    assert iou(result.labels == 1, disc) > 0.8
    outside = np.ones(disc.shape, np.bool_)
    outside[15:80, 31:100] = False
    assert not result.probabilities[1][outside].any()
    assert (result.labels[outside] == 0).all()
    assert np.allclose(result.probabilities.sum(0), 1, atol=1e-5)
    assert session.undo()
    assert (session.result().labels == 255).all()


def test_clicks_go_before_a_bounding_box(session: Session) -> None:
    session.annotate(Box(31, 15, 99, 79, 1, bounding=True))
    session.annotate(Click(10, 90, 1))
    session.annotate(Click(64, 48, 0))
    session.fit()
    labels = session.result().labels
    assert [labels[90, 10], labels[48, 64]] == [1, 0]
    assert (labels[80:] == 1).sum() == 1


def test_objects_are_inside_their_boxes_background_outside(
    session: Session,
) -> None:
    session.annotate(Box(31, 15, 63, 79, 1, bounding=True))
    session.annotate(Box(60, 15, 99, 79, 1, bounding=True))
    session.annotate(Box(100, -20, 127, 30, 7, bounding=True))
    session.annotate(Click(110, 8, 7))
    session.fit()
    result = session.result()
    assert result.classes == session.classes == (0, 1, 7)
    assert not (result.labels == 1)[:, 100:].any()
    assert not (result.labels == 7)[31:].any()
    assert not (result.labels == 7)[:, :100].any()
    assert result.labels[8, 110] == 7
    assert (result.labels[85:] == 0).all()


def test_box_of_the_whole_frame_and_box_beside_a_click(session: Session) -> None:
    session.annotate(Box(-5, -5, 500, 500, 1, bounding=True))
    session.fit()
    assert set(np.unique(session.result().labels)) <= {0, 1}
    session.undo()
    session.annotate(Click(10, 10, 2))
    session.annotate(Box(31, 15, 99, 79, 1, bounding=True))
    session.fit()
    result = session.result()
    assert result.classes == (0, 1, 2)
    assert iou(result.labels == 1, disc_image()[1]) > 0.7


def test_a_bounding_box_survives_a_file(session: Session, tmp_path: Path) -> None:
    box = Box(31, 15, 99, 79, 1, bounding=True)
    session.annotate(box)
    session.save(tmp_path / "a.session")
    loaded = Session.load(tmp_path / "a.session", device="cpu")
    assert [placed.annotation for placed in loaded.annotations] == [box]
    assert np.array_equal(loaded.result().probabilities, session.result().probabilities)


def test_a_suggestion_is_an_uncertain_unannotated_pixel(session: Session) -> None:
    assert session.suggest() is None
    session.annotate(Click(64, 48, 1))
    session.fit()
    for _ in range(3):
        found = session.suggest()
        if found is None:
            return
        x, y = (int(value) for value in found)
        assert all((placed.annotation.x, placed.annotation.y) != found for placed in session.annotations)  # type: ignore[union-attr]
        session.annotate(Click(x, y, int(disc_image()[1][y, x])))
        session.fit()


def test_annotated_pixels_are_never_contradicted(session: Session) -> None:
    session.annotate(Click(64, 48, 1))
    session.annotate(Click(66, 50, 2))
    session.annotate(Click(10, 10, 0))
    result = session.result()
    assert [result.labels[48, 64], result.labels[50, 66], result.labels[10, 10]] == [1, 2, 0]


def test_classes_may_appear_at_any_time(session: Session) -> None:
    session.annotate(Click(64, 48, 9))
    session.annotate(Click(10, 10, 0))
    session.fit()
    session.annotate(Box(100, 0, 127, 95, 200))
    session.fit()
    labels = session.result().labels
    assert session.classes == (0, 9, 200)
    assert labels[48, 64] == 9
    assert (labels[:, 105:] == 200).mean() > 0.9


def test_sixteen_bit_classes() -> None:
    session = Session(config(label_bits=16), device="cpu")
    session.observe(disc_image()[0])
    session.annotate(Click(64, 48, 40_000))
    session.annotate(Click(10, 10, 255))
    session.fit(5)
    labels = session.result().labels
    assert labels.dtype == np.uint16
    assert labels[48, 64] == 40_000
    assert labels[10, 10] == 255


def test_labels_follow_to_a_new_frame(session: Session) -> None:
    session.annotate(Click(64, 48, 1))
    session.annotate(Click(10, 10, 0))
    session.fit()
    for shift in range(1, 9):
        image, disc = disc_image(shift=shift)
        session.observe(image, stamp=float(shift))
        session.fit(8)
    result = session.result()
    assert result.stamp == 8.0
    assert iou(result.labels == 1, disc) > 0.7
    assert [placed.stamp for placed in session.annotations] == [12.5, 12.5]


@pytest.mark.parametrize("later", [Click(5, 90, 0), Click(110, 85, 2)])
def test_a_click_on_a_later_frame_keeps_what_was_said_before(session: Session, later: Click, tmp_path: Path) -> None:
    session.annotate(Click(64, 48, 1))
    session.annotate(Click(10, 10, 0))
    session.fit(60)
    image, disc = disc_image(shift=1)
    session.observe(image, stamp=1.0)
    session.fit(10)
    session.annotate(later)
    session.fit()
    labels = session.result().labels
    assert iou(labels == 1, disc) > 0.7
    assert labels[int(later.y), int(later.x)] == later.class_id
    session.save(tmp_path / "later.session")
    loaded = Session.load(tmp_path / "later.session", device="cpu")
    assert np.array_equal(loaded.result().labels, labels)


def test_a_frame_of_another_shape_keeps_what_was_learned(session: Session) -> None:
    session.annotate(Click(64, 48, 1))
    session.annotate(Click(10, 10, 0))
    session.fit()
    image, _ = disc_image(96, 96)
    session.observe(image)
    session.fit(20)
    result = session.result()
    assert result.labels.shape == (96, 96)
    assert set(np.unique(result.labels)) == {0, 1}


def test_undo_and_redo_return_exactly(session: Session) -> None:
    session.annotate(Click(64, 48, 1))
    session.fit()
    one = session.result()
    session.annotate(Click(10, 10, 0))
    session.fit()
    two = session.result()
    assert session.undo()
    assert np.array_equal(session.result().probabilities, one.probabilities)
    assert session.redo()
    assert np.array_equal(session.result().probabilities, two.probabilities)
    assert session.undo()
    assert session.undo()
    assert not session.undo()
    assert (session.result().labels == 255).all()


def test_undo_without_a_kept_state_takes_the_class_back() -> None:
    session = Session(config(undo_megabytes=0), device="cpu")
    image, disc = disc_image()
    session.observe(image)
    session.fit()
    for click in (Click(64, 48, 1), Click(10, 10, 0), Click(100, 80, 2)):
        session.annotate(click)
        session.fit()
    assert session.undo()
    assert not session.redo(), "without memory there is nothing to go back to"
    session.fit(100)
    labels = session.result().labels
    assert set(np.unique(labels)) == {0, 1}
    assert iou(labels == 1, disc) > 0.8


def test_undo_after_loading_keeps_the_other_classes(session: Session, tmp_path: Path) -> None:
    session.annotate(Click(64, 48, 7))
    session.annotate(Click(10, 10, 0))
    session.fit(60)
    image, disc = disc_image(shift=1)
    session.observe(image, stamp=1.0)
    session.annotate(Click(110, 85, 2))
    session.annotate(Click(110, 10, 3))
    session.save(tmp_path / "a.session")
    loaded = Session.load(tmp_path / "a.session", device="cpu")
    assert loaded.undo()
    loaded.fit()
    labels = loaded.result().labels
    assert set(np.unique(labels)) == {0, 2, 7}
    assert iou(labels == 7, disc) > 0.7


def test_the_steps_that_undo_takes_back_are_due_again() -> None:
    session = Session(config(), device="cpu")
    session.observe(disc_image()[0])
    session.annotate(Click(64, 48, 1))
    session.fit()
    session.undo()
    assert session.status().steps == 0
    assert session.steps_due == 60


def test_undo_and_redo_share_one_bounded_memory() -> None:
    session = Session(config(undo_megabytes=1), device="cpu")
    session.observe(disc_image()[0])
    for x in range(40):
        session.annotate(Click(20 + x, 48, 1))
    kept = 0
    while session.undo():
        kept += 1
    assert kept == 40, "every annotation can be taken back, with or without its state"
    redone = 0
    while session.redo():
        redone += 1
    assert 0 < redone < 40


def test_a_frame_that_comes_back_has_its_annotations_again(session: Session) -> None:
    first, second = disc_image()[0], disc_image(shift=2)[0]
    session.annotate(Click(64, 48, 1))
    number = session.frame_number
    session.observe(second, stamp=13.0)
    assert session.frame_number != number
    session.observe(first, stamp=12.5)
    assert session.frame_number == number
    session.annotate(Click(10, 10, 0))
    labels = session.result().labels
    assert [labels[48, 64], labels[10, 10]] == [1, 0]


def test_figures_survive_a_file_and_a_new_shape(session: Session, tmp_path: Path) -> None:
    before = session.status()
    session.save(tmp_path / "a.session")
    assert Session.load(tmp_path / "a.session", device="cpu").status() == before
    session.observe(disc_image(96, 96)[0])
    assert session.status() == before


def test_the_order_of_clicks_does_not_leave_a_class_behind() -> None:
    session = Session(config("fused"), device="cpu")
    session.observe(disc_image()[0])
    session.annotate(Click(64, 48, 1))
    session.annotate(Click(10, 10, 2))
    assert session.result().classes == (0, 1, 2)


def test_more_classes_than_memory_holds_are_refused() -> None:
    session = Session(config(label_bits=16), device="cpu")
    session.observe(disc_image()[0])
    with pytest.raises(AnnotationError, match="accepted: up to 1024"):
        session.annotate(Mask(np.arange(96 * 128, dtype=np.uint16).reshape(96, 128)))


def test_clear_forgets_annotations_and_keeps_the_image(session: Session) -> None:
    session.annotate(Click(64, 48, 1))
    session.fit()
    psnr = session.status().psnr
    session.clear()
    assert session.annotations == ()
    assert session.classes == ()
    assert (session.result().labels == 255).all()
    session.fit(1)
    assert session.status().psnr == pytest.approx(psnr, abs=3)
    assert not session.undo()


def test_a_repeated_sequence_of_calls_gives_the_same() -> None:
    def run() -> np.ndarray:
        session = Session(config(), device="cpu")
        session.observe(disc_image()[0])
        session.fit(10)
        session.annotate(Click(64, 48, 1))
        session.fit()
        session.observe(disc_image(shift=3)[0])
        session.fit()
        return session.result().probabilities

    assert np.array_equal(run(), run())


def test_a_saved_session_goes_on_exactly(session: Session, tmp_path: Path) -> None:
    session.annotate(Mask(np.where(disc_image()[1], np.uint8(1), np.uint8(255))))
    session.annotate(Stroke(((5, 5), (20, 9)), 0, width=2))
    session.fit()
    session.save(tmp_path / "a.session")
    loaded = Session.load(tmp_path / "a.session", device="cpu")
    assert np.array_equal(loaded.result().probabilities, session.result().probabilities)
    assert [type(p.annotation) for p in loaded.annotations] == [Mask, Stroke]
    assert (loaded.stamp, loaded.config) == (session.stamp, session.config)
    for one in (session, loaded):
        one.annotate(Click(100, 80, 4))
        one.fit(5)
    assert np.array_equal(loaded.result().probabilities, session.result().probabilities)
    assert [path.name for path in tmp_path.iterdir()] == ["a.session"], "no temporary file is left"


@pytest.mark.parametrize("answer", ["field", "fused"])
def test_saving_and_loading_at_any_time_changes_nothing(tmp_path: Path, answer: str) -> None:
    """A session goes on in the middle of a stream as if it had never been written to a file, bit by bit."""
    quick = config(answer, **{"fit.first_steps": 5, "fit.click_steps": 3})

    def play(one: Session, interrupted: bool) -> list[object]:
        seen: list[object] = []

        def look() -> None:
            result = one.result()
            seen.extend(array.tobytes() for array in (result.labels, result.confidence, result.probabilities))

        def show(shift: int) -> None:
            one.observe(disc_image(48, 64, shift)[0], 12.5 + shift)

        acts: list[Callable[[], object]] = [
            lambda: show(0),
            lambda: one.annotate(Click(32, 24, 1)),
            look,
            lambda: one.annotate(Click(5, 5, 0)),
            lambda: one.annotate(Box(50, 35, 60, 45, 3)),
            lambda: one.fit(),
            lambda: show(3),
            lambda: one.fit(),
            lambda: one.annotate(Stroke(((5, 25), (20, 30)), 2, width=2)),
            look,
            lambda: one.annotate(Click(33, 20, 1)),
            # The first annotated frame again, which is known.
            lambda: show(0),
            lambda: one.fit(),
            look,
            lambda: one.annotate(Click(30, 25, 1)),
            lambda: show(5),
            lambda: one.fit(),
            look,
        ]
        for act in acts:
            act()
            if interrupted:
                one.save(tmp_path / "a.session")
                one = Session.load(tmp_path / "a.session", device="cpu")
        return [*seen, one.status(), one.annotations, one.frame_number]

    assert play(Session(quick, "cpu"), interrupted=True) == play(Session(quick, "cpu"), interrupted=False)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text", "pickle"])
def test_a_damaged_file_is_one_clear_error(session: Session, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.session"
    session.save(path)
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-100] ^= 0xFF
        path.write_bytes(content)
    elif damage == "pickle":
        torch.save({"x": 1}, path)
    else:
        path.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "text": b"hello"}[damage])
    with pytest.raises(SessionFileError, match=r"a\.session"):
        Session.load(path)


def test_a_newer_file_says_so(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neural_seg_ros.session.session_file.VERSION", 99)
    session.save(tmp_path / "a.session")
    monkeypatch.undo()
    with pytest.raises(SessionFileError, match=r"version: got 99, accepted: \d+; written by a newer"):
        Session.load(tmp_path / "a.session")


def test_an_older_file_says_so(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neural_seg_ros.session.session_file.VERSION", 1)
    session.save(tmp_path / "a.session")
    monkeypatch.undo()
    with pytest.raises(SessionFileError, match="version: got 1, accepted: 2; written by an older"):
        Session.load(tmp_path / "a.session")


def test_a_document_with_missing_parts_is_refused(session: Session, tmp_path: Path) -> None:
    session.save(tmp_path / "a.session")
    document, tensors = read_session(tmp_path / "a.session")
    del document["channels"]
    write_session(tmp_path / "b.session", document, tensors)
    with pytest.raises(SessionFileError, match="channels"):
        Session.load(tmp_path / "b.session")


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((96, 128, 3), np.float32),
        np.full((96, 128, 3), np.nan),
        np.zeros((96, 128), np.uint8),
        np.zeros((96, 128, 4), np.uint8),
        np.zeros((0, 0, 3), np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        None,
        "frame.png",
    ],
)
def test_a_bad_image_is_refused_and_the_session_lives_on(session: Session, image: object) -> None:
    session.annotate(Click(64, 48, 1))
    before = session.result().probabilities
    with pytest.raises(ImageError, match="accepted: "):
        session.observe(image)  # type: ignore[arg-type]
    assert np.array_equal(session.result().probabilities, before)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Click(128, 48, 1), "click: got .128, 48."),
        (lambda: Click(-1, 48, 1), "accepted: 0 <= x <= 127"),
        (lambda: Click(float("nan"), 48, 1), "finite"),
        (lambda: Click(64, 48, 255), "class: got 255, accepted: 0 .background. to 254"),
        (lambda: Click(64, 48, -1), "class: got -1"),
        (lambda: Click(64, 48, 1.5), "class: got 1.5"),
        (lambda: Click(64, 48, 1, radius=0), "radius"),
        (lambda: Box(10, 10, 10, 40, 1), "zero area"),
        (lambda: Box(200, 10, 300, 40, 1), "outside"),
        (lambda: Box(200, 10, 300, 40, 1, bounding=True), "outside"),
        (lambda: Box(10, 10, 30, 40, 0, bounding=True), "box bounding: got class 0, accepted: an object's class"),
        (lambda: Box(10, 10, 30, 40, 1, bounding="yes"), "box bounding: got 'yes', accepted: true or false"),  # type: ignore[arg-type]
        (lambda: Stroke((), 1), "stroke: got .., accepted: at least 1"),
        (lambda: Stroke(None, 1), "stroke: got None"),  # type: ignore[arg-type]
        (lambda: Click(10**400, 1, 1), "finite"),
        (lambda: Stroke(((1, 1),), 1, width=-2), "width"),
        (lambda: Region(((1, 1), (5, 5)), 1), "at least 3"),
        (lambda: Region(((1, 1), (5, 5), (9, 9)), 1), "zero area"),
        (lambda: Mask(np.zeros((4, 4), np.uint8)), "128x96"),
        (lambda: Mask(np.zeros((96, 128), np.float32)), "uint8 or uint16"),
        (lambda: (64, 48), "Click"),
    ],
)
def test_a_bad_annotation_is_refused_and_names_what_is_accepted(session: Session, make: object, words: str) -> None:
    with pytest.raises(AnnotationError, match=words):
        session.annotate(make())  # type: ignore[operator]
    assert session.annotations == ()


def test_calls_out_of_order_say_what_is_missing() -> None:
    session = Session(config(), device="cpu")
    for call in (lambda: session.annotate(Click(1, 1, 1)), session.fit, session.result, lambda: session.save("x")):
        with pytest.raises(SessionError, match="observe"):
            call()
    session.observe(disc_image()[0])
    for bad in (
        {"steps": -1},
        {"steps": 1.5},
        {"seconds": float("nan")},
        {"steps": 1, "seconds": 1.0},
        {"seconds": "a"},
    ):
        with pytest.raises(SessionError, match="accepted"):
            session.fit(**bad)  # type: ignore[arg-type]
    with pytest.raises(SessionError, match="stamp"):
        session.observe(disc_image()[0], stamp=None)  # type: ignore[arg-type]
    for device in ("tpu", "meta", "cuda:99", None):
        with pytest.raises(ConfigError, match="device"):
            Session(device=device)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="config"):
        Session({"seed": 1})  # type: ignore[arg-type]


def test_fit_for_seconds_makes_steps(session: Session) -> None:
    assert session.fit(seconds=0.1) > 0
    assert session.fit(seconds=0) == 0


def test_fit_makes_the_steps_that_are_due() -> None:
    session = Session(config(), device="cpu")
    session.observe(disc_image()[0])
    assert session.fit() == 60
    assert session.fit() == 0
    session.annotate(Click(64, 48, 1))
    assert session.fit() == 40
    session.observe(disc_image(shift=1)[0])
    assert session.fit() == session.config.fit.frame_steps


def test_options_change_without_losing_what_was_learned(session: Session) -> None:
    session.annotate(Click(64, 48, 1))
    session.fit()
    before = session.result().probabilities
    session.configure(config(session.config.answer, **{"field.learning_rate": 1e-3}))
    assert np.array_equal(session.result().probabilities, before)
    session.configure(config(session.config.answer, **{"field.width": 16}))
    session.fit()
    assert iou(session.result().labels == 1, disc_image()[1]) > 0.7
    with pytest.raises(ConfigError, match="label_bits"):
        session.configure(config(label_bits=16))


@pytest.mark.slow
def test_a_48_megapixel_frame_is_fitted_small_and_labeled_whole() -> None:
    image = np.full((6000, 8000, 3), (30, 60, 150), np.uint8)
    image[2000:4000, 3000:5000] = (230, 200, 40)
    session = Session(config(), device="cpu")
    session.observe(image)
    session.fit()
    session.annotate(Click(4000, 3000, 1))
    session.annotate(Click(100, 100, 0))
    session.fit()
    result = session.result()
    assert result.labels.shape == (6000, 8000)
    assert (result.labels[2200:3800, 3200:4800] == 1).mean() > 0.95
    assert (result.labels[:1500] == 0).mean() > 0.95


def test_every_error_is_a_neural_seg_error() -> None:
    for error in (AnnotationError, ConfigError, ImageError, SessionError, SessionFileError):
        assert issubclass(error, NeuralSegError)


def follow(session: Session, shifts: range) -> list[float]:
    """Frames of the moving disc; the IoU of each."""
    ious = []
    for shift in shifts:
        image, truth = disc_image(shift=shift)
        session.observe(image, float(shift))
        session.fit()
        labels = session.result().labels == 1
        ious.append(iou(labels, truth))
    return ious


@pytest.fixture
def followed() -> Session:
    """Return a disc clicked on the first frame, and background; then a frame later."""
    session = Session(config("fused"), "cpu")
    image, _ = disc_image()
    session.observe(image, 0.0)
    session.annotate(Click(64, 48, 1))
    session.fit()
    session.annotate(Click(3, 3, 0))
    session.fit()
    assert follow(session, range(2, 4))[-1] > 0.9
    return session


@pytest.mark.parametrize("change", [{"field.width": 16}, {"track.frame_steps": 1}, {"track.size": 100}])
def test_what_is_tracked_survives_other_options(followed: Session, change: dict[str, object]) -> None:
    followed.configure(config("fused", **change))
    assert min(follow(followed, range(5, 8))) > 0.9


def test_undo_on_an_earlier_frame_keeps_its_other_annotations(followed: Session) -> None:
    followed.undo()
    assert [placed.annotation for placed in followed.annotations] == [Click(64, 48, 1)]
    assert min(follow(followed, range(5, 8))) > 0.9


def test_the_field_answer_ignores_earlier_tracking(followed: Session) -> None:
    image, _ = disc_image(shift=4)
    followed.observe(image, 4.0)
    followed.annotate(Click(3, 90, 0))
    followed.configure(config("field"))
    due = followed.steps_due
    assert followed.undo()
    assert followed.steps_due == due
    followed.fit()
    followed.result()


@pytest.mark.parametrize("answer", ["field", "fused"])
def test_a_mask_that_names_no_class_labels_nothing(answer: str) -> None:
    session = Session(config(answer), "cpu")
    image, truth = disc_image()
    session.observe(image)
    session.annotate(Mask(np.full(truth.shape, 255, np.uint8)))
    session.fit()
    assert (session.result().labels == 255).all()
    session.observe(image, 1.0)


def test_a_class_that_is_lost_is_named(followed: Session) -> None:
    assert followed.lost == ()
    image, truth = disc_image(shift=4)
    nothing = np.where(truth[..., None], image[0, 0], image).astype(np.uint8)
    for number in range(6):
        followed.observe(nothing, 10.0 + number)
        followed.fit()
    assert followed.lost == (1,)
    assert not (followed.result().labels == 1).any()
