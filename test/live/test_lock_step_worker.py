"""A live session in lock-step: every frame in order, one mask each, and the masks of a replay."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_rig import CONFIG, SECONDS, Rig, done

from neural_seg_ros import Click, Session, SessionConfig
from neural_seg_ros.annotations.yaml_file import AnnotationFile, Entry
from neural_seg_ros.errors import ConfigError, ImageError
from neural_seg_ros.images.files import Frame
from neural_seg_ros.live import LiveCallbacks, LiveConfig, LiveResult, LiveSession
from neural_seg_ros.offline.run import run_session

CLICK = Click(3, 4, 1)
# Options that drop, skip or delay masks outside of lock-step.
STRICT_LIMITS = {"max_age": 0.001, "still_threshold": 255.0, "fit_budget_ms": 1.0, "publish_period": 60.0}


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig(lock_step=True, **STRICT_LIMITS)
    yield made
    made.session.gate.set()
    made.live.close()


def until_masks(rig: Rig, count: int) -> list[str]:
    rig.until(lambda: len(rig.outputs) >= count)
    return rig.headers()


def in_thread(call: Callable[[], Any]) -> threading.Event:
    """Return an event that is set when the call has returned."""
    returned = threading.Event()

    def run() -> None:
        call()
        returned.set()

    threading.Thread(target=run, daemon=True).start()
    return returned


def test_every_frame_is_fitted_to_the_end_and_answered_once(rig: Rig) -> None:
    for stamp in range(1, 9):
        rig.frame(float(stamp), gray=100)
    headers = until_masks(rig, 8)
    assert headers == [f"frame {stamp}" for stamp in range(1, 9)]
    first, then = CONFIG.fit.first_steps, CONFIG.fit.frame_steps
    assert [output.result.steps for output in rig.outputs] == [first + then * number for number in range(8)]
    status = rig.live.status()
    assert (status.frames_in, status.processed, status.dropped, status.masks_out) == (8, 8, 0, 8)


def test_put_frame_waits_until_the_last_one_is_taken(rig: Rig) -> None:
    rig.session.gate.clear()
    rig.frame(1.0)
    assert rig.session.fitting.wait(SECONDS)
    rig.frame(2.0)
    handed = in_thread(lambda: rig.frame(3.0))
    assert not handed.wait(0.1)
    rig.session.gate.set()
    assert handed.wait(SECONDS)
    assert until_masks(rig, 3) == ["frame 1", "frame 2", "frame 3"]


@pytest.mark.parametrize("end", ["close", "disable"])
def test_a_waiting_frame_is_released_at_the_end(rig: Rig, end: str) -> None:
    rig.session.gate.clear()
    rig.frame(1.0)
    assert rig.session.fitting.wait(SECONDS)
    rig.frame(2.0)
    handed = in_thread(lambda: rig.frame(3.0))
    ended = in_thread(rig.live.close if end == "close" else lambda: rig.live.enable(False))
    assert handed.wait(SECONDS), "though the worker is in the middle of a fit"
    rig.session.gate.set()
    assert ended.wait(SECONDS)
    rig.frame(4.0)
    assert rig.session.observed == [1.0]


def test_frames_are_ignored_while_disabled(rig: Rig) -> None:
    rig.frame(1.0)
    until_masks(rig, 1)
    rig.live.enable(False)
    rig.frame(2.0)
    rig.frame(3.0)
    done(rig.live.annotate(CLICK))
    assert rig.headers() == ["frame 1"]
    rig.live.enable(True)
    rig.frame(4.0)
    assert until_masks(rig, 3) == ["frame 1", "frame 1", "frame 4"]
    assert rig.outputs[1].annotations == (CLICK,)


def test_an_annotation_waits_for_its_frame(rig: Rig) -> None:
    between, later = Click(1, 1, 1), Click(2, 2, 2)
    for annotation, stamp in ((later, 4.0), (CLICK, 2.0), (between, 2.5)):
        done(rig.live.annotate(annotation, stamp))
    assert rig.live.status().waiting == 3
    for stamp in (1.0, 2.0, 3.0, 4.0, 5.0):
        rig.frame(stamp)
    assert until_masks(rig, 5) == [f"frame {stamp}" for stamp in range(1, 6)]
    assert [output.annotations for output in rig.outputs] == [(), (CLICK,), (between,), (later,), ()]
    assert [output.reannotated for output in rig.outputs] == [False, True, True, True, False]
    assert rig.live.status().waiting == 0


def test_without_a_stamp_the_newest_frame_is_annotated(rig: Rig) -> None:
    done(rig.live.annotate(CLICK))
    rig.frame(1.0)
    assert until_masks(rig, 1) == ["frame 1"]
    assert rig.outputs[0].annotations == (CLICK,), "before the first frame it waits for that"
    rig.frame(2.0)
    until_masks(rig, 2)
    done(rig.live.annotate(CLICK))
    assert until_masks(rig, 3) == ["frame 1", "frame 2", "frame 2"]
    done(rig.live.annotate(CLICK, stamp=1.0))
    until_masks(rig, 4)
    done(rig.live.annotate(CLICK))
    assert until_masks(rig, 5)[3:] == ["frame 1", "frame 2"]


def test_a_late_annotation_reanswers_its_frame(rig: Rig) -> None:
    rig.frame(1.0)
    rig.frame(2.0)
    until_masks(rig, 2)
    rig.session.gate.clear()
    rig.session.fitting.clear()
    rig.frame(3.0)
    assert rig.session.fitting.wait(SECONDS)
    rig.frame(4.0)
    late = [rig.live.annotate(CLICK, stamp) for stamp in (1.0, 2.0)]
    rig.session.gate.set()
    for future in late:
        done(future)
    assert until_masks(rig, 6) == ["frame 1", "frame 2", "frame 3", "frame 1", "frame 2", "frame 4"]
    assert rig.session.observed == [1.0, 2.0, 3.0, 1.0, 2.0, 4.0]
    assert [output.annotations for output in rig.outputs[3:]] == [(CLICK,), (CLICK,), ()]
    assert not rig.notices


def test_a_late_refusal_is_reported_and_the_others_count(rig: Rig) -> None:
    done(rig.live.annotate(Click(300, 4, 1), stamp=1.0))
    done(rig.live.annotate(CLICK, stamp=1.0))
    rig.frame(1.0)
    assert until_masks(rig, 1) == ["frame 1"]
    assert rig.outputs[0].annotations == (CLICK,)
    assert [str(error) for error in rig.errors] == ["click: outside"]


def test_a_waiting_drawing_is_replaced_by_its_key(rig: Rig) -> None:
    first, second, other = (Click(x, 4, 1) for x in (1, 2, 3))
    for key, annotation in ((7, first), (7, second), (8, other)):
        done(rig.live.draw(key, (annotation,), stamp=2.0))
    done(rig.live.draw(8, (), stamp=2.0))
    rig.frame(1.0)
    rig.frame(2.0)
    assert until_masks(rig, 2) == ["frame 1", "frame 2"]
    assert [output.annotations for output in rig.outputs] == [(), (second,)]
    done(rig.live.draw(7, (other,), stamp=3.0))
    rig.frame(3.0)
    assert until_masks(rig, 4) == ["frame 1", "frame 2", "frame 2", "frame 3"]
    assert [output.annotations for output in rig.outputs[2:]] == [(), (other,)]


def test_annotations_of_an_undecodable_frame_go_to_the_next(rig: Rig) -> None:
    def decode() -> Any:
        raise ImageError("encoding: got 'nonsense'")

    done(rig.live.annotate(CLICK, stamp=1.0))
    rig.live.offer_frame(decode, 1.0, "frame 1")
    rig.frame(2.0)
    assert until_masks(rig, 1) == ["frame 2"]
    assert rig.outputs[0].annotations == (CLICK,)
    assert "nonsense" in str(rig.errors[0])


def test_after_reset_a_stream_may_begin_again(rig: Rig) -> None:
    rig.frame(1.0)
    rig.frame(2.0)
    until_masks(rig, 2)
    done(rig.live.annotate(Click(1, 1, 1), stamp=9.0))
    done(rig.live.reset())
    done(rig.live.annotate(CLICK, stamp=2.0))
    assert rig.live.status().waiting == 1
    rig.frame(1.0)
    rig.frame(2.0)
    assert until_masks(rig, 4) == ["frame 1", "frame 2", "frame 1", "frame 2"]
    assert [output.annotations for output in rig.outputs[2:]] == [(), (CLICK,)]
    assert rig.session.observed == [1.0, 2.0]


def test_clear_forgets_pending_annotations(rig: Rig) -> None:
    done(rig.live.annotate(CLICK, stamp=1.0))
    done(rig.live.clear())
    rig.frame(1.0)
    until_masks(rig, 1)
    assert rig.outputs[0].annotations == ()


def test_lock_step_cannot_change_later(rig: Rig) -> None:
    with pytest.raises(ConfigError, match="lock_step"):
        rig.live.set_options(LiveConfig())
    rig.live.set_options(LiveConfig(lock_step=True, ring=5))


def test_the_masks_are_those_of_run_session() -> None:
    config = SessionConfig.preset(
        "cpu",
        **{"field.size": 32, "field.width": 8, "field.levels": 2},
        **{"fit.first_steps": 4, "fit.click_steps": 3, "fit.frame_steps": 2, "track.first_steps": 4},
        **{"track.correction_steps": 2},
    )
    frames = [Frame(number, number / 10, _scene(number)) for number in range(6)]
    entries = (Entry(Click(20, 24, 1), stamp=0.0), Entry(Click(50, 40, 2), stamp=0.5))
    wanted = [step.result for step in run_session(Session(config, "cpu"), frames, AnnotationFile({}, entries))]

    outputs: list[LiveResult] = []
    complete = threading.Event()

    def record(output: LiveResult) -> None:
        outputs.append(output)
        if len(outputs) == len(frames):
            complete.set()

    def load(path: Path) -> Session:
        return Session.load(path, "cpu")

    live = LiveSession(
        lambda config: Session(config, "cpu"),
        load,
        config,
        LiveConfig(lock_step=True),
        LiveCallbacks(record, lambda: True, print, print),
    )
    try:
        for entry in entries:
            done(live.annotate(entry.annotation, entry.stamp))
        for frame in frames:
            live.offer_frame(lambda image=frame.image: image, frame.stamp, frame.index)
        assert complete.wait(SECONDS)
    finally:
        live.close()
    for output, result in zip(outputs, wanted, strict=True):
        np.testing.assert_array_equal(output.result.labels, result.labels)
        np.testing.assert_array_equal(output.result.confidence, result.confidence)


def _scene(number: int) -> Any:
    image = np.random.default_rng(number).integers(0, 60, (48, 64, 3)).astype(np.uint8)
    image[12:36, 10 + number : 34 + number] += 180
    return image
