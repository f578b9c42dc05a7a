"""The classical contour detectors on pictures whose contours are known."""

import numpy as np
import pytest

from neural_seg_ros.evaluation.contours.detection import measure
from neural_seg_ros.evaluation.contours.images import ContourSample, borders_of
from neural_seg_ros.evaluation.contours.peers import PEERS
from neural_seg_ros.evaluation.contours.peers.segmentation import contours_of, pieces_of

GRADIENTS = ("roberts", "sobel", "canny")


@pytest.fixture(scope="module")
def sample() -> ContourSample:
    """Three patches of colors that are also of different gray, with a little noise."""
    ids = np.zeros((96, 128), np.int32)
    ids[:, 64:] = 1
    ids[48:, :64] = 2
    colors = np.array([[200, 60, 60], [60, 90, 220], [230, 230, 120]])
    noise = np.random.default_rng(0).normal(0, 4, (*ids.shape, 3))
    image = np.clip(colors[ids] + noise, 0, 255).astype(np.uint8)
    return ContourSample("patches", image, (borders_of(ids),), (ids,))


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_finds_patches_of_different_color(name, sample, monkeypatch):
    monkeypatch.setattr("neural_seg_ros.evaluation.contours.peers.dfc.STEPS", 15)
    detector = PEERS[name]()
    contours = detector(sample.image)
    assert contours.thin.shape == contours.strength.shape == (96, 128)
    assert contours.thin.dtype == contours.strength.dtype == np.float32
    assert 0 <= contours.thin.min() <= contours.thin.max() <= 1
    assert (contours.segments is None) == (name in GRADIENTS)
    again = detector(sample.image)
    assert np.array_equal(again.thin, contours.thin)
    run = measure(name, lambda image: contours, sample, thresholds=19)
    recall, wanted, precision, found = run.counts.T
    # The tolerance is 1.2 px here, a blurred corner is round, and Roberts sees the noise.
    f = 2 * recall * precision / np.maximum(precision * wanted + recall * found, 1)
    assert f.max() > {"dfc": 0.5, "roberts": 0.8}.get(name, 0.85)
    if run.agreement is not None:
        assert run.agreement.pri.max() > 0.9


def test_segments_of_a_hierarchy_follow_their_threshold(sample):
    generator = np.random.default_rng(1)
    image = np.repeat(np.repeat(generator.integers(0, 255, (6, 8, 3), dtype=np.uint8), 16, 0), 16, 1)
    contours = PEERS["slic_rag"]()(image)
    counts = [len(np.unique(contours.segments(threshold))) for threshold in (0.05, 0.3, 0.6, 0.95)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]
    for threshold in (0.05, 0.55):
        inside = ~borders_of(contours.segments(threshold))
        assert contours.thin[inside].max() < threshold + 0.051


def test_canny_keeps_a_weak_line_joined_to_a_strong_one():
    image = np.full((60, 80, 3), 100, np.uint8)
    image[30:, :40] = 160  # strong on the left,
    image[30:, 40:] = 130  # half as strong on the right
    image[:20, 60:] = 130  # and elsewhere, alone.
    thin = PEERS["canny"]()(image).thin
    strong, beside, alone = (thin[area].max() for area in (np.s_[28:32, 5:30], np.s_[28:32, 55:75], np.s_[0:15, 58:62]))
    assert beside == pytest.approx(strong, abs=0.021)
    assert alone < strong - 0.05


def test_small_pieces_go_to_those_around_them():
    classes = np.zeros((20, 30), np.int32)
    classes[:, 15:] = 1
    classes[5:7, 5:7] = 1
    pieces = pieces_of(classes, least=10)
    assert len(np.unique(pieces)) == 2
    assert np.array_equal(borders_of(pieces), borders_of(np.where(np.arange(30) < 15, 0, 1) + np.zeros((20, 1))))


def test_the_borders_of_one_segmentation_have_one_strength():
    ids = np.zeros((20, 30), np.uint8)
    ids[:, 15:] = 7
    contours = contours_of(ids)
    assert np.unique(contours.thin).tolist() == [0, 1]
    assert np.array_equal(contours.thin > 0, borders_of(ids))
    assert contours.segments(0.1) is contours.segments(0.9)
