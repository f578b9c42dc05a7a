"""Tracking: classes followed through motion and occlusion, found again, added in mid-stream; state is exact."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from neural_seg_ros.config import TrackConfig
from neural_seg_ros.errors import ImageError, SessionError
from neural_seg_ros.images.arrays import resize_image
from neural_seg_ros.tracking import Tracker
from neural_seg_ros.tracking.pixel_evidence import TUNING, combine_evidence

HEIGHT, WIDTH = 72, 128
QUICK = TrackConfig(first_steps=40, correction_steps=20, frame_steps=1)
RED, BLUE = (200, 40, 40), (40, 60, 210)


def ground(seed: int = 0) -> np.ndarray:
    """Return a green scene with texture, (HEIGHT, WIDTH, 3) uint8."""
    noise = np.random.default_rng(seed).normal(0, 1, (HEIGHT, WIDTH))
    noise = cv2.GaussianBlur(noise, (0, 0), 2) * 60
    return np.clip(np.array([60, 130, 70]) + noise[..., None], 0, 255).astype(np.uint8)


def square(frame: np.ndarray, x: int, y: int, color: tuple[int, int, int], side: int = 22) -> np.ndarray:
    """Paint a square and give its mask (HEIGHT, WIDTH) bool."""
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[y : y + side, x : x + side] = True
    texture = np.random.default_rng(1).integers(-25, 25, (HEIGHT, WIDTH, 1))
    frame[mask] = np.clip(np.array(color) + np.roll(texture, (y, x), (0, 1))[mask], 0, 255)
    return mask


def scene(x: int, hidden: bool = False, second: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Draw a frame with a red square at x, perhaps a blue one, perhaps a wall before the red one; labels (H, W) int."""
    frame = ground()
    labels = np.zeros((HEIGHT, WIDTH), int)
    labels[square(frame, x, 25, RED)] = 1
    if second:
        labels[square(frame, 100 - x // 2, 45, BLUE, 16)] = 2
    if hidden:
        frame[:, 20:90] = ground(5)[:, 20:90] // 2
        labels[:, 20:90] = 0
    return frame, labels


def one_hot(labels: np.ndarray, count: int = 2) -> np.ndarray:
    return np.eye(count, dtype=np.float32)[labels].transpose(2, 0, 1)


def iou(labels: np.ndarray, truth: np.ndarray, channel: int = 1) -> float:
    a, b = labels == channel, truth == channel
    return float((a & b).sum() / max((a | b).sum(), 1))


def annotated(config: TrackConfig = QUICK) -> Tracker:
    tracker = Tracker(config)
    frame, labels = scene(10)
    tracker.learn(frame, one_hot(labels))
    return tracker


@pytest.fixture(scope="module")
def fitted() -> dict[str, torch.Tensor]:
    """Return the state of a tracker after its first fit."""
    tracker = annotated()
    assert tracker.train(1000) == QUICK.first_steps
    return tracker.snapshot()


@pytest.fixture
def tracker(fitted: dict[str, torch.Tensor]) -> Tracker:
    """Return a tracker after its first fit."""
    made = Tracker(QUICK)
    made.restore(fitted)
    return made


def follow(tracker: Tracker, frame: np.ndarray) -> np.ndarray:
    estimate = tracker.observe(frame)
    tracker.train(tracker.steps_due)
    assert np.allclose(estimate.probabilities.sum(0), 1, atol=1e-4)
    return estimate.probabilities.argmax(0)


def test_a_moving_square_is_followed(tracker: Tracker) -> None:
    for x in range(13, 41, 3):
        frame, truth = scene(x)
        labels = follow(tracker, frame)
    assert iou(labels, truth) > 0.8
    assert tracker.lost == ()
    assert tracker.confidence[1] > 0.5


def test_masks_come_before_the_fit() -> None:
    tracker = annotated()
    for x in range(13, 41, 3):
        frame, truth = scene(x)
        labels = tracker.observe(frame).probabilities.argmax(0)
    assert not tracker.ready
    assert iou(labels, truth) > 0.7


def test_a_hidden_square_is_lost_and_found_again(tracker: Tracker) -> None:
    for x in range(13, 31, 3):
        follow(tracker, scene(x)[0])
    for x in range(31, 61, 3):
        labels = follow(tracker, scene(x, hidden=True)[0])
    assert tracker.lost == (1,)
    assert tracker.confidence[1] == 0
    assert not (labels == 1).any()
    for x in range(61, 85, 3):
        frame, truth = scene(x)
        labels = follow(tracker, frame)
    assert tracker.lost == ()
    assert iou(labels, truth) > 0.7


def test_a_second_class_joins_in_mid_stream(tracker: Tracker) -> None:
    for x in range(13, 25, 3):
        follow(tracker, scene(x, second=True)[0])
    frame, truth = scene(25, second=True)
    tracker.learn(frame, one_hot(truth, 3))
    tracker.train(tracker.steps_due)
    for x in range(28, 46, 3):
        frame, truth = scene(x, second=True)
        labels = follow(tracker, frame)
    assert iou(labels, truth, 1) > 0.7
    assert iou(labels, truth, 2) > 0.7
    with pytest.raises(SessionError, match="at least 3 classes"):
        tracker.learn(frame, one_hot(np.minimum(truth, 1), 2))


def test_a_correction_replaces_what_was_learned_of_the_frame() -> None:
    tracker = Tracker(QUICK)
    frame, truth = scene(10)
    wrong = np.roll(truth, 40, 1)
    tracker.learn(frame, one_hot(wrong))
    tracker.learn(frame, one_hot(truth))
    tracker.train(tracker.steps_due)
    frame, truth = scene(12)
    assert iou(follow(tracker, frame), truth) > 0.8


def test_pixels_that_are_not_trusted_are_not_taught() -> None:
    frame, truth = scene(10)
    weights = np.ones(truth.shape, np.float32)
    weights[:, 60:] = 0
    doubtful = truth.copy()
    doubtful[5:30, 80:110] = 1
    tracker = Tracker(QUICK)
    tracker.learn(frame, one_hot(doubtful), weights)
    tracker.train(tracker.steps_due)
    frame, truth = scene(12)
    assert iou(follow(tracker, frame)[:, :60], truth[:, :60]) > 0.8


def test_a_restored_tracker_goes_on_bit_by_bit(tracker: Tracker) -> None:
    follow(tracker, scene(13)[0])
    tracker.observe(scene(16)[0])
    tracker.train(1)
    other = Tracker(QUICK)
    other.restore(tracker.snapshot())
    assert other.steps_due == tracker.steps_due
    for each in (tracker, other):
        each.train(each.steps_due)
    for x in (19, 22, 25):
        frame, _ = scene(x, hidden=x == 22)
        a, b = tracker.observe(frame), other.observe(frame)
        assert np.array_equal(a.probabilities, b.probabilities)
        assert np.array_equal(tracker.confidence, other.confidence)
        for each in (tracker, other):
            each.train(each.steps_due)
    mine, theirs = tracker.snapshot(), other.snapshot()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_an_untaught_tracker_has_a_state_too(tracker: Tracker) -> None:
    tracker.restore(Tracker(QUICK).snapshot())
    assert tracker.steps_due == 0
    with pytest.raises(SessionError, match="learn"):
        tracker.observe(scene(10)[0])


def test_steps_in_slices_are_the_same_as_at_once(fitted: dict[str, torch.Tensor]) -> None:
    sliced = annotated()
    while sliced.steps_due:
        assert sliced.train(7) > 0
    state = sliced.snapshot()
    assert all(torch.equal(fitted[name], state[name]) for name in fitted)


def test_memory_is_bounded() -> None:
    tracker = annotated(TrackConfig(first_steps=2, frame_steps=0, recent=3))
    sizes = []
    for turn in range(24):
        frame, truth = scene(10 + turn)
        if turn % 2:
            tracker.observe(frame)
        else:
            tracker.learn(frame, one_hot(truth))
        sizes.append(sum(tensor.nbytes for tensor in tracker.snapshot().values()))
    assert sizes[-1] <= max(sizes[12:16])


def test_a_frame_of_another_size(tracker: Tracker) -> None:
    frame, truth = scene(12)
    labels = follow(tracker, resize_image(frame, 54, 96))
    small = cv2.resize(truth.astype(np.uint8), (96, 54), interpolation=cv2.INTER_NEAREST)
    assert iou(labels, small) > 0.6


def test_what_cannot_be_tracked_is_refused() -> None:
    tracker = Tracker(QUICK)
    with pytest.raises(SessionError, match="probabilities"):
        tracker.learn(scene(10)[0], np.ones((4, 4), np.float32))
    with pytest.raises(ImageError):
        tracker.learn(np.zeros((4, 4), np.uint8), np.ones((1, 4, 4), np.float32))
    tracker.learn(scene(10)[0], np.ones((1, HEIGHT, WIDTH), np.float32))
    assert tracker.steps_due == 0
    assert (tracker.observe(scene(12)[0]).probabilities == 1).all()


@pytest.mark.slow
def test_a_real_sequence(data_root: Path) -> None:
    frames = sorted((data_root / "davis" / "JPEGImages" / "blackswan").glob("*.jpg"))[:12]
    if not frames:
        pytest.skip("no DAVIS sequence blackswan")
    tracker = Tracker(TrackConfig(first_steps=100))
    scores = []
    for path in frames:
        frame = resize_image(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), 240, 427)
        mask = cv2.imread(str(data_root / "davis" / "Annotations" / "blackswan" / f"{path.stem}.png"), 0)
        truth = (cv2.resize(mask, (427, 240), interpolation=cv2.INTER_AREA) > 127).astype(int)
        if not scores:
            tracker.learn(frame, one_hot(truth))
            tracker.train(tracker.steps_due)
            scores.append(1.0)
        else:
            scores.append(iou(follow(tracker, frame), truth))
    assert np.mean(scores) > 0.85


def test_motion_holds_pixels_to_their_class() -> None:
    shape = (2, 9, 9)
    before, color, motion = (np.zeros(shape, np.float32) for _ in range(3))
    before[1], before[0] = 0.9, 0.1
    color[1] = TUNING.min_log_likelihood  # nothing like it was seen on the object
    motion[0] = -(TUNING.min_motion_log_odds + 0.5)  # which moves, where what is around it stands still
    assert combine_evidence(color, motion, before, 0)[1, 4, 4] == pytest.approx(
        TUNING.hold_weight * (TUNING.min_motion_log_odds + 0.5)
    )
    motion[0] = -(TUNING.min_motion_log_odds - 0.5)
    assert combine_evidence(color, motion, before, 0)[1, 4, 4] == pytest.approx(
        TUNING.color_weight * TUNING.min_log_likelihood + TUNING.min_motion_log_odds - 0.5
    )
    # Where it was not before, it takes colors of its own as well.
    motion[0] = -(TUNING.min_motion_log_odds + 0.5)
    assert combine_evidence(color, motion, 1 - before, 0)[1, 4, 4] == pytest.approx(
        TUNING.color_weight * TUNING.min_log_likelihood
    )
    # What is around the objects has no say in its own favor.
    assert not combine_evidence(color, motion, before, 0)[0].any()
