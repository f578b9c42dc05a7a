"""A live session: the frames that it takes, the frames of annotations, and its callbacks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_rig import CONFIG, SECONDS, Rig, done

from neural_seg_ros import Click, SessionConfig
from neural_seg_ros.errors import AnnotationError, ImageError, SessionError, SessionFileError
from neural_seg_ros.live import LiveCallbacks, LiveConfig, LiveSession


def accept(config: SessionConfig) -> None:
    pass


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.session.gate.set()
    made.live.close()


def test_every_slice_of_a_fit_is_published(rig: Rig) -> None:
    rig.frame(1.0)
    rig.until_fitted()
    assert rig.session.steps == CONFIG.fit.first_steps
    assert [output.result.steps for output in rig.outputs] == [1, 4]
    assert set(rig.headers()) == {"frame 1"}


def test_a_replaced_frame_is_dropped_and_never_fitted(rig: Rig) -> None:
    rig.session.gate.clear()
    rig.frame(1.0)
    assert rig.session.fitting.wait(SECONDS)
    for stamp in (2.0, 3.0, 4.0):
        rig.frame(stamp)
    rig.session.gate.set()
    rig.until(lambda: "frame 4" in rig.headers())
    assert rig.session.observed == [1.0, 4.0]
    status = rig.live.status()
    assert (status.frames_in, status.dropped, status.stale, status.processed) == (4, 2, 0, 2)


def test_a_frame_that_waited_too_long_is_refused() -> None:
    rig = Rig(max_age=0.001)
    try:
        rig.session.gate.clear()
        rig.frame(1.0)
        rig.session.fitting.wait(0.5)
        if not rig.session.observed:
            pytest.skip("the machine did not run the worker within a millisecond")
        rig.frame(2.0)
        threading.Event().wait(0.01)
        rig.session.gate.set()
        rig.until_fitted()
        assert rig.session.observed == [1.0]
        assert (rig.live.status().stale, rig.live.status().dropped) == (1, 1)
        assert 0 <= rig.live.status().input_age_max <= 0.001
    finally:
        rig.session.gate.set()
        rig.live.close()


def test_a_still_scene_is_published_without_a_fit(rig: Rig) -> None:
    rig.frame(1.0, gray=100)
    rig.until_fitted()
    steps = rig.session.steps
    rig.frame(2.0, gray=101)
    rig.until(lambda: "frame 2" in rig.headers())
    assert rig.session.steps == steps
    assert rig.session.observed == [1.0]
    rig.frame(3.0, gray=120)
    rig.until(lambda: "frame 3" in rig.headers())
    assert rig.session.observed == [1.0, 3.0]


def test_a_small_moving_object_is_not_a_still_scene(rig: Rig) -> None:
    images = [np.full((480, 640, 3), 90, np.uint8) for _ in range(2)]
    images[1][100:120, 300:320] = 200
    for stamp, image in enumerate(images):
        rig.live.offer_frame(lambda image=image: image, float(stamp), f"frame {stamp}")
        rig.until(lambda stamp=stamp: f"frame {stamp}" in rig.headers())
        rig.until_fitted()
    assert rig.session.observed == [0.0, 1.0]


def test_a_click_without_a_stamp_goes_to_the_newest_frame(rig: Rig) -> None:
    rig.frame(1.0)
    rig.until_fitted()
    rig.frame(2.0)
    done(rig.live.annotate(Click(3, 4, 1)))
    rig.until(lambda: any(output.result.annotations for output in rig.outputs))
    assert rig.session.annotations[0].stamp == 2.0
    assert rig.live.status().click_latency[0] > 0


def test_results_tell_whether_they_answer_annotations(rig: Rig) -> None:
    rig.frame(1.0)
    rig.until_fitted()
    assert not any(output.reannotated for output in rig.outputs)
    before = len(rig.outputs)
    done(rig.live.annotate(Click(3, 4, 1)))
    rig.until(lambda: len(rig.outputs) > before)
    rig.until_fitted()
    answers = rig.outputs[before:]
    assert answers[-1].result.steps == CONFIG.fit.first_steps + CONFIG.fit.click_steps
    assert all(output.reannotated for output in answers), "until the steps for the click are made"
    rig.frame(2.0)
    rig.until(lambda: "frame 2" in rig.headers())
    assert not any(output.reannotated for output in rig.outputs if output.header == "frame 2")
    before = len(rig.outputs)
    done(rig.live.undo())
    rig.until(lambda: len(rig.outputs) > before)
    assert rig.outputs[before].reannotated


def test_a_click_on_a_past_frame_is_answered_first(rig: Rig) -> None:
    for stamp in (1.0, 2.0, 3.0):
        rig.frame(stamp)
        rig.until(lambda stamp=stamp: f"frame {stamp:g}" in rig.headers())
    rig.until_fitted()
    before = rig.session.steps
    done(rig.live.annotate(Click(3, 4, 1), stamp=2.0))
    rig.frame(4.0)
    rig.until(lambda: "frame 4" in rig.headers())
    answered = [output for output in rig.outputs if output.result.annotations and output.header != "frame 4"]
    assert {output.header for output in answered} == {"frame 2"}
    assert answered[-1].result.steps == before + CONFIG.fit.click_steps
    assert [each.stamp for each in rig.session.annotations] == [2.0]
    assert answered[0].annotations == (Click(3, 4, 1),)
    assert not rig.notices


def test_an_instant_answer_is_published_once_before_the_fit() -> None:
    rig = Rig(answer="fused")
    try:
        rig.frame(1.0)
        rig.until(lambda: rig.session.steps == CONFIG.fit.first_steps)
        done(rig.live.annotate(Click(3, 4, 1)))
        rig.frame(2.0)
        rig.until(lambda: "frame 2" in rig.headers())
        assert rig.headers() == ["frame 1", "frame 1", "frame 2"]
        first, answered, _ = (output.result for output in rig.outputs)
        assert (first.steps, answered.steps, answered.annotations) == (0, CONFIG.fit.first_steps, 1)
    finally:
        rig.live.close()


def test_a_click_on_a_dropped_frame_goes_to_the_nearest() -> None:
    rig = Rig(ring=2)
    try:
        for stamp in (1.0, 2.0, 3.0):
            rig.frame(stamp)
        # The current frame counts as recent while it is current.
        rig.until(lambda: "frame 3" in rig.headers())
        done(rig.live.annotate(Click(3, 4, 1), stamp=1.0))
        assert rig.session.annotations[0].stamp == 2.0
        assert "1.0" in rig.notices[0]
        assert "2.0" in rig.notices[0]
    finally:
        rig.live.close()


def test_a_clicked_recent_frame_is_kept_until_answered() -> None:
    rig = Rig(ring=2)
    try:
        rig.frame(1.0)
        rig.until_fitted()
        rig.session.gate.clear()
        rig.session.fitting.clear()
        rig.frame(2.0)
        assert rig.session.fitting.wait(SECONDS)
        # The worker is busy for so long that the clicked frame leaves the ring.
        clicked = rig.live.annotate(Click(3, 4, 1), stamp=1.0)
        for stamp in (3.0, 4.0, 5.0):
            rig.frame(stamp)
        rig.session.gate.set()
        done(clicked)
        assert rig.session.annotations[0].stamp == 1.0
        assert not rig.notices
    finally:
        rig.session.gate.set()
        rig.live.close()


def test_a_drawing_is_replaced_and_removed_by_its_key(rig: Rig) -> None:
    first, second, other, again = (Click(x, 4, 1) for x in (1, 2, 3, 4))
    rig.frame(1.0)
    done(rig.live.draw(7, (first, second)))
    done(rig.live.draw(8, (other,)))
    done(rig.live.draw(7, (again,)))
    assert [each.annotation for each in rig.session.annotations] == [other, again]
    done(rig.live.draw(7, ()))
    done(rig.live.draw(7, ()))
    assert [each.annotation for each in rig.session.annotations] == [other]
    rig.frame(2.0)
    rig.until(lambda: "frame 2" in rig.headers())


def test_a_pinned_frame_outlives_the_ring(rig: Rig) -> None:
    rig.live.set_options(LiveConfig(max_age=5.0, ring=2))
    rig.frame(1.0)
    rig.until_fitted()
    done(rig.live.draw(7, (), stamp=1.0))
    for stamp in (2.0, 3.0, 4.0, 5.0):
        rig.frame(stamp)
        rig.until(lambda newest=f"frame {stamp:g}": rig.headers()[-1] == newest)
    before = len(rig.outputs)
    done(rig.live.draw(7, (Click(1, 4, 1),), stamp=1.0))
    rig.until(lambda: "frame 1" in rig.headers()[before:])
    assert [each.stamp for each in rig.session.annotations] == [1.0]
    assert not rig.notices


def test_a_removed_drawing_reanswers_its_frame(rig: Rig) -> None:
    rig.frame(1.0)
    done(rig.live.draw(7, (Click(1, 4, 1),), stamp=1.0))
    rig.until_fitted()
    rig.frame(2.0)
    rig.until(lambda: rig.headers()[-1] == "frame 2")
    before = len(rig.outputs)
    done(rig.live.draw(7, (), stamp=1.0))
    rig.until(lambda: "frame 1" in rig.headers()[before:])
    assert not rig.session.annotations
    done(rig.live.draw(7, (), stamp=0.5))
    assert "0.5" in rig.notices[-1]


def test_a_drawing_below_another_frames_annotations_stays(rig: Rig) -> None:
    rig.frame(1.0)
    done(rig.live.draw(7, (Click(1, 4, 1),)))
    rig.until_fitted()
    rig.frame(2.0)
    rig.until(lambda: "frame 2" in rig.headers())
    done(rig.live.annotate(Click(2, 4, 1)))
    rig.until_fitted()
    rig.frame(3.0)
    rig.until(lambda: "frame 3" in rig.headers())
    with pytest.raises(AnnotationError, match="7"):
        done(rig.live.draw(7, ()))
    assert len(rig.session.annotations) == 2


def test_a_drawing_that_does_not_fit_leaves_the_old_one(rig: Rig) -> None:
    old = Click(1, 4, 1)
    rig.frame(1.0)
    done(rig.live.draw(7, (old,)))
    with pytest.raises(AnnotationError):
        done(rig.live.draw(7, (Click(2, 4, 1), Click(300, 4, 1))))
    with pytest.raises(AnnotationError):
        done(rig.live.draw(8, (Click(2, 4, 1), Click(3, 4, 255))))
    assert [each.annotation for each in rig.session.annotations] == [old]


def test_frames_of_equal_stamps_do_not_share_annotations(rig: Rig) -> None:
    rig.frame(0.0, gray=10)
    done(rig.live.annotate(Click(3, 4, 1)))
    rig.until(lambda: any(output.annotations for output in rig.outputs))
    rig.frame(0.0, gray=90)
    rig.until(lambda: rig.outputs[-1].image[0, 0, 0] == 90)
    assert rig.outputs[-1].annotations == ()


def test_a_click_with_a_future_stamp_goes_to_the_newest_frame(rig: Rig) -> None:
    for stamp in (1.0, 2.0):
        rig.frame(stamp)
        rig.until(lambda stamp=stamp: f"frame {stamp:g}" in rig.headers())
    rig.until_fitted()
    done(rig.live.annotate(Click(3, 4, 1), stamp=2.5))
    assert rig.session.annotations[0].stamp == 2.0
    assert not rig.notices


def test_memory_of_recent_frames_is_bounded() -> None:
    rig = Rig(ring=1000, ring_megabytes=1)
    try:
        for stamp in range(10):
            rig.live.offer_frame(lambda: np.zeros((48, 64, 3), np.uint8), float(stamp), stamp, size=400_000)
        done(rig.live.annotate(Click(3, 4, 1), stamp=0.0))
        assert rig.session.annotations[0].stamp == 8.0
    finally:
        rig.live.close()


def test_a_click_before_the_first_frame_is_refused(rig: Rig) -> None:
    with pytest.raises(SessionError):
        done(rig.live.annotate(Click(3, 4, 1)))
    assert not rig.errors


def test_a_click_outside_the_frame_is_refused(rig: Rig) -> None:
    rig.frame(1.0)
    with pytest.raises(AnnotationError):
        done(rig.live.annotate(Click(300, 4, 1)))
    done(rig.live.annotate(Click(3, 4, 1)))
    rig.until(lambda: any(output.result.annotations for output in rig.outputs))


def test_an_undecodable_frame_is_reported_and_skipped(rig: Rig) -> None:
    def decode() -> Any:
        raise ImageError("encoding: got 'nonsense'")

    rig.live.offer_frame(decode, 1.0, "frame 1")
    rig.until(lambda: rig.errors)
    rig.frame(2.0)
    rig.until_fitted()
    assert rig.session.observed == [2.0]
    status = rig.live.status()
    assert status.errors == 1
    assert "nonsense" in status.last_error


def test_a_failed_fit_is_reported_once_and_retried(rig: Rig) -> None:
    rig.session.fails = RuntimeError("out of memory")
    rig.frame(1.0)
    rig.until(lambda: rig.errors)
    done(rig.live.redo())  # when it returns, the worker has had its chance to fail again
    rig.session.fails = None
    rig.frame(2.0)
    rig.until_fitted()
    assert "frame 2" in rig.headers()
    assert len(rig.errors) <= 2


def test_a_better_answer_is_published_before_the_next_frame() -> None:
    rig = Rig(answer="fused")
    try:
        rig.frame(1.0)
        rig.until(lambda: rig.session.steps == CONFIG.fit.first_steps)
        rig.session.better_available = True
        done(rig.live.annotate(Click(3, 4, 1)))
        rig.frame(2.0)
        rig.until(lambda: "frame 2" in rig.headers())
        answers = [output for output in rig.outputs if output.result.annotations]
        assert [output.header for output in answers] == ["frame 1", "frame 1", "frame 2"]
        assert [output.result.better_available for output in answers] == [True, False, False]
    finally:
        rig.live.close()


def test_a_disabled_session_executes_commands_only(rig: Rig) -> None:
    rig.frame(1.0)
    rig.until_fitted()
    rig.live.enable(False)
    rig.frame(2.0)
    done(rig.live.annotate(Click(3, 4, 1)))
    assert rig.session.steps == CONFIG.fit.first_steps
    assert rig.live.status().frames_in == 1
    rig.live.enable(True)
    rig.frame(3.0)
    rig.until(lambda: "frame 3" in rig.headers())
    assert rig.session.observed == [1.0, 3.0]
    assert rig.session.steps >= CONFIG.fit.first_steps + CONFIG.fit.click_steps


def test_nothing_is_computed_without_consumers(rig: Rig) -> None:
    rig.has_consumers = False
    rig.frame(1.0)
    done(rig.live.annotate(Click(3, 4, 1)))
    rig.frame(2.0)
    done(rig.live.undo())
    assert not rig.outputs
    rig.has_consumers = True
    rig.frame(3.0)
    rig.until(lambda: "frame 3" in rig.headers())


def test_lost_classes_are_published_once_without_consumers(rig: Rig) -> None:
    rig.has_consumers = False
    rig.session.lost = (2,)
    rig.frame(1.0)
    rig.until(lambda: rig.outputs)
    done(rig.live.undo())
    rig.session.fitting.clear()
    rig.frame(2.0)
    assert rig.session.fitting.wait(SECONDS)
    # The worker executes a command after the iteration that made the steps.
    done(rig.live.undo())
    assert [output.lost for output in rig.outputs] == [(2,)]
    assert rig.live.status().lost == (2,)
    rig.session.lost = ()
    rig.frame(3.0)
    rig.until(lambda: len(rig.outputs) > 1)
    assert rig.outputs[1].lost == rig.live.status().lost == ()


def test_lost_classes_are_published_again_after_a_failure(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.has_consumers = False
    preview = rig.session.preview
    failures = [ValueError("no memory")]

    def fail_once() -> Any:
        if failures:
            raise failures.pop()
        return preview()

    monkeypatch.setattr(rig.session, "preview", fail_once)
    rig.session.lost = (2,)
    rig.frame(1.0)
    rig.until(lambda: rig.errors)
    rig.frame(2.0)
    rig.until(lambda: rig.outputs)
    assert rig.outputs[0].lost == (2,)


def test_stamps_may_jump_back_or_repeat(rig: Rig) -> None:
    for stamp, gray in ((1.0, 10), (2.0, 60), (1.0, 110), (2.0, 160), (0.5, 210)):
        rig.frame(stamp, gray)
        rig.until(lambda gray=gray: rig.outputs and rig.outputs[-1].image[0, 0, 0] == gray)
    done(rig.live.annotate(Click(3, 4, 1), stamp=1.0))
    assert rig.session.frame[0, 0, 0] == 110


def test_a_new_resolution_of_a_still_scene_is_observed(rig: Rig) -> None:
    rig.frame(1.0, gray=100)
    rig.until_fitted()
    rig.frame(2.0, gray=100, size=(96, 128))
    rig.until(lambda: "frame 2" in rig.headers())
    assert rig.outputs[-1].image.shape == (96, 128, 3)
    assert rig.session.observed == [1.0, 2.0]


def test_commands_return_their_outcome(rig: Rig, tmp_path: Path) -> None:
    rig.frame(1.0)
    done(rig.live.annotate(Click(3, 4, 1)))
    assert done(rig.live.undo()) is True
    assert done(rig.live.undo()) is False
    done(rig.live.annotate(Click(3, 4, 1)))
    done(rig.live.clear())
    assert not rig.session.annotations
    done(rig.live.save(tmp_path / "a"))
    assert (tmp_path / "a").read_text() == "saved"
    running = rig.session
    with pytest.raises(SessionFileError):
        done(rig.live.load(tmp_path / "b", accept))
    assert rig.session is running

    def refuse(config: SessionConfig) -> None:
        raise SessionError("active_class: got 300")

    with pytest.raises(SessionError, match="300"):
        done(rig.live.load(tmp_path / "a", refuse))
    assert rig.live._worker.session is running
    assert done(rig.live.load(tmp_path / "a", accept)) == SessionConfig.preset("thesis")
    done(rig.live.configure(CONFIG))
    assert rig.session is not running
    assert rig.session.config == CONFIG


def test_after_reset_the_current_frame_is_fitted_again(rig: Rig) -> None:
    rig.frame(1.0)
    done(rig.live.annotate(Click(3, 4, 1)))
    done(rig.live.reset())
    rig.until_fitted()
    assert len(rig.sessions) == 2
    assert rig.session.observed == [1.0]
    assert not rig.session.annotations


def test_reset_succeeds_with_an_undecodable_frame(rig: Rig) -> None:
    def decode() -> Any:
        raise ImageError("encoding: got 'nonsense'")

    rig.live.offer_frame(decode, 1.0, "frame 1")
    rig.until(lambda: rig.errors)
    done(rig.live.reset())
    assert len(rig.errors) == 2
    rig.frame(2.0)
    rig.until_fitted()
    assert rig.session.observed == [2.0]


def test_masks_keep_their_period_and_end_with_the_newest() -> None:
    rig = Rig(publish_period=0.2)
    try:
        rig.frame(1.0)
        rig.until_fitted()
        assert [output.result.steps for output in rig.outputs] == [1, 4]
        assert rig.live.status().masks_out == 2
    finally:
        rig.live.close()


def test_after_close_commands_are_refused(rig: Rig) -> None:
    rig.live.close()
    with pytest.raises(SessionError):
        done(rig.live.undo())


def test_the_error_of_building_a_session_is_raised() -> None:
    def make(config: SessionConfig) -> Any:
        raise SessionError("device: got 'tpu'")

    live = LiveSession(
        make,
        make,  # type: ignore[arg-type]
        CONFIG,
        LiveConfig(),
        LiveCallbacks(print, lambda: True, print, print),
    )
    with pytest.raises(SessionError, match="tpu"):
        live.wait_ready(SECONDS)
    live.close()
