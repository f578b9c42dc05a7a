"""Trackers that were trained nowhere, on squares that move over a textured background."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from neural_seg_ros.annotations import Click, Mask
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.errors import ConfigError
from neural_seg_ros.evaluation.clicks.peers import Watershed
from neural_seg_ros.evaluation.tracking import peers
from neural_seg_ros.evaluation.tracking.contestants import choose
from neural_seg_ros.evaluation.tracking.peers import available_peers, missing_peers
from neural_seg_ros.evaluation.tracking.trackers import FromClicks
from neural_seg_ros.metrics import IGNORE, iou

FRAMES = 6
# (left, top, pixels to the right a frame, pixels down a frame) of objects 1 and 2.
SQUARES = ((20, 30, 4, 2), (110, 60, -4, 0))
SIDE = 30


@pytest.fixture(scope="module")
def scene() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Images of 120 x 160 and their truths."""
    generator = np.random.default_rng(0)

    def texture(height: int, width: int, color: tuple[int, int, int]) -> np.ndarray:
        noise = gaussian_filter(generator.normal(0, 1, (height, width)), 3)
        return (np.array(color) + 40 * (noise / noise.std())[..., None]).clip(0, 255).astype(np.uint8)

    background = texture(120, 160, (60, 90, 70))
    objects = [texture(SIDE, SIDE, color) for color in ((190, 80, 60), (70, 80, 200))]
    images, truths = [], []
    for frame in range(FRAMES):
        image, truth = background.copy(), np.zeros((120, 160), np.uint8)
        for number, ((left, top, right, down), own) in enumerate(zip(SQUARES, objects, strict=True), start=1):
            x, y = left + frame * right, top + frame * down
            image[y : y + SIDE, x : x + SIDE] = own
            truth[y : y + SIDE, x : x + SIDE] = number
        images.append(image)
        truths.append(truth)
    return images, truths


def last_labels(name: str, images: list[np.ndarray], first: np.ndarray) -> np.ndarray:
    tracker = available_peers()[name]()
    tracker.start(images[0])
    assert np.array_equal(tracker.label([Mask(first)]).labels, np.where(first == IGNORE, 0, first))
    for image in images[1:]:
        labels = tracker.follow(image).labels
        assert labels.dtype == np.uint8
        assert labels.shape == image.shape[:2]
    return labels


@pytest.mark.parametrize(("name", "least"), [("flow", 0.45), ("mil", 0.5), ("grid", 0.95)])
def test_objects_are_followed_with_their_ids(name, least, scene):
    images, truths = scene
    labels = last_labels(name, images, truths[0])
    assert set(np.unique(labels)) == {0, 1, 2}
    for class_id in (1, 2):
        assert iou(truths[0], truths[-1], class_id) < 0.25
        assert iou(labels, truths[-1], class_id) > least


def test_a_copy_stays_where_it_was(scene):
    images, truths = scene
    assert np.array_equal(last_labels("copy", images, truths[0]), truths[0])


@pytest.mark.parametrize("name", available_peers())
def test_one_object_beside_pixels_that_are_not_judged(name, scene):
    images, truths = scene
    first = np.where(truths[0] == 2, IGNORE, truths[0]).astype(np.uint8)
    assert set(np.unique(last_labels(name, images, first))) <= {0, 1}


def test_a_moved_box_moves_and_scales_its_mask():
    mask = np.zeros((40, 60), np.uint8)
    mask[10:20, 5:15] = 1
    moved = peers._moved(mask, (5, 10, 10, 10), (25, 10, 20, 20))
    assert (moved[10:29, 25:44] == 1).all()
    assert moved.sum() == pytest.approx(20 * 20, abs=45)


def test_from_clicks_a_peer_carries_a_labelers_mask(scene):
    images, _ = scene
    tracker = FromClicks(available_peers()["copy"], Watershed)
    tracker.start(images[0])
    first = tracker.label([Click(35, 45, 1), Click(80, 10, 0)]).labels
    assert first[45, 35] == 1
    assert np.array_equal(tracker.follow(images[1]).labels, first)


def test_box_trackers_that_opencv_lacks_are_named_and_left_out(monkeypatch):
    monkeypatch.setitem(peers.BOX_TRACKERS, "magic", "TrackerMagic")
    assert "magic" in missing_peers()
    assert "magic" not in available_peers()
    with pytest.raises(ConfigError, match=r"--peers: got 'magic', accepted: all \| none \| some of copy,flow"):
        choose("magic", "none", "mask", SessionConfig(), "cpu")


def test_trackers_are_chosen_by_name_and_start():
    every = choose("all", "all", "mask", SessionConfig(), "cpu")
    assert [entry.name for entry in every] == [*available_peers(), "fused", "field"]
    with pytest.raises(ConfigError, match=r"--start: got 'boxes', accepted: mask \| clicks"):
        choose("all", "none", "boxes", SessionConfig(), "cpu")
