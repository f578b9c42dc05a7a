"""``answer: fused`` through a session: locality, memory, undo, and answers in one go."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from neural_seg_ros.annotations import Click, Stroke
from neural_seg_ros.click_answer import region_answer
from neural_seg_ros.config import FieldConfig, SessionConfig, TrackConfig
from neural_seg_ros.session import Session

CONFIG = SessionConfig(field=FieldConfig(size=32, width=8, levels=2), track=TrackConfig(first_steps=4))


@pytest.fixture
def frame() -> NDArray[np.uint8]:
    """Three patches of like colors on a noisy ground, (90, 120, 3)."""
    image = np.full((90, 120, 3), (90, 110, 80), np.int64)
    image[10:40, 10:40] = (180, 60, 60)
    image[50:80, 20:50] = (190, 70, 60)
    image[30:70, 80:110] = (180, 60, 70)
    noise = np.random.default_rng(0).normal(0, 6, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def session(frame: NDArray[np.uint8]) -> Session:
    session = Session(CONFIG)
    session.observe(frame)
    return session


def test_a_click_changes_labels_to_its_own_class_only(session: Session) -> None:
    clicks = [
        Click(25, 25, 1),
        Click(60, 45, 0),
        Click(95, 50, 2),
        Click(35, 65, 1),
        Click(70, 10, 0),
        Click(12, 12, 1),
    ]
    before = None
    for click in clicks:
        session.annotate(click)
        now = session.result().labels
        if before is not None and click is not clicks[2]:
            assert set(np.unique(now[now != before])) <= {click.class_id}
        before = now


def test_clicks_are_kept_at_their_pixels(session: Session) -> None:
    clicks = [Click(25, 25, 1), Click(27, 25, 0), Click(29, 25, 1), Click(60, 45, 0), Click(61, 45, 2)]
    for click in clicks:
        session.annotate(click)
    labels = session.result().labels
    assert [labels[int(c.y), int(c.x)] for c in clicks] == [c.class_id for c in clicks]


def test_undo_gives_the_answers_back_exactly(session: Session) -> None:
    seen = []
    for click in (Click(25, 25, 1), Click(35, 65, 1), Click(60, 45, 0), Click(95, 50, 2)):
        session.annotate(click)
        seen.append(session.result().probabilities)
    for wanted in seen[-2::-1]:
        session.undo()
        assert np.array_equal(session.result().probabilities, wanted)


def test_undo_without_the_answer_of_then_finds_it_anew(
    session: Session, frame: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(region_answer, "MAX_VERSIONS", 1)
    for click in (Click(25, 25, 1), Click(60, 45, 0), Click(95, 50, 2)):
        session.annotate(click)
        session.result()
    session.undo()
    labels = session.result().labels
    assert labels[25, 25] == 1
    assert labels[45, 60] == 0
    assert 2 not in labels


def test_annotations_that_nobody_looked_between_are_one_answer(frame: NDArray[np.uint8]) -> None:
    answers = []
    for at_once in (True, False):
        session = Session(CONFIG)
        session.observe(frame)
        session.annotate(Stroke(((20, 20), (30, 30)), 1))
        session.annotate(Click(60, 45, 0))
        if not at_once:
            session.result()
            session.result()
        answers.append(session.result().probabilities)
    assert np.array_equal(*answers)


def test_a_correction_on_a_later_frame_stays_local(session: Session, frame: NDArray[np.uint8]) -> None:
    for click in (Click(25, 25, 1), Click(60, 45, 0), Click(95, 50, 1)):
        session.annotate(click)
    session.fit(60)
    session.observe(np.roll(frame, 1, axis=1), stamp=1.0)
    carried = session.result().labels
    session.annotate(Click(36, 65, 1))
    now = session.result().labels
    assert now[65, 36] == 1
    assert (now[10:40, 70:] == carried[10:40, 70:]).mean() > 0.95


def test_preparing_is_optional_and_changes_nothing(frame: NDArray[np.uint8]) -> None:
    answers = []
    for prepared in (False, True):
        session = Session(CONFIG)
        session.observe(frame)
        if prepared:
            session.prepare()
            session.prepare(wait=True)
        session.annotate(Click(25, 25, 1))
        answers.append(session.result().probabilities)
    assert np.array_equal(*answers)


def test_a_preview_does_not_change_the_result(session: Session, frame: NDArray[np.uint8]) -> None:
    other = Session(CONFIG)
    other.observe(frame)
    for click in (Click(25, 25, 1), Click(95, 50, 2), Click(60, 45, 0)):
        session.annotate(click)
        other.annotate(click)
        preview = session.scheduler.preview()
        assert preview.labels[int(click.y), int(click.x)] == click.class_id
        assert session.scheduler.better_available
        assert not other.scheduler.better_available
    np.testing.assert_array_equal(session.scheduler.preview().labels, preview.labels)
    session.prepare(wait=True)
    # Once the frame is prepared the preview is the result.
    prepared = session.scheduler.preview()
    assert not session.scheduler.better_available
    np.testing.assert_array_equal(session.result().labels, prepared.labels)


def test_an_answer_that_was_taken_back_is_not_waited_for(session: Session) -> None:
    session.annotate(Click(25, 25, 1))
    session.scheduler.preview()
    assert session.scheduler.better_available
    session.undo()
    session.scheduler.preview()
    assert not session.scheduler.better_available, "or a live node would hold the frame for ever"
    session.redo()
    session.scheduler.preview()
    assert session.scheduler.better_available


def test_a_result_is_the_same_whether_it_was_previewed_or_not(session: Session, frame: NDArray[np.uint8]) -> None:
    other = Session(CONFIG)
    other.observe(frame)
    for each in (session, other):
        each.annotate(Click(25, 25, 1))
    session.scheduler.preview()
    np.testing.assert_array_equal(session.result().probabilities, other.result().probabilities)
    assert not session.scheduler.better_available


def test_after_clear_nothing_of_the_answers_before_is_left(session: Session, frame: NDArray[np.uint8]) -> None:
    for click in (Click(25, 25, 1), Click(60, 45, 0), Click(95, 50, 1)):
        session.annotate(click)
        session.result()
    session.clear()
    session.annotate(Click(25, 25, 1))
    fresh = Session(CONFIG)
    fresh.observe(frame)
    fresh.annotate(Click(25, 25, 1))
    assert np.array_equal(session.result().probabilities, fresh.result().probabilities)


def test_a_new_frame_drops_what_was_prepared(session: Session, frame: NDArray[np.uint8]) -> None:
    session.prepare()
    session.observe(frame[:60, :80], stamp=1.0)
    session.annotate(Click(25, 25, 1))
    assert session.result().labels.shape == (60, 80)
