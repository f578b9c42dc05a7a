"""The figures of BSDS500 against closed forms, definitions written out, and the benchmark's own example."""

import cv2
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from neural_seg_ros.evaluation.contours.images import borders_of, contour_items
from neural_seg_ros.evaluation.contours.matching import Matcher
from neural_seg_ros.evaluation.contours.measures import (
    average_precision,
    counts_of,
    ods,
    ois,
    precision_of,
    recall_at_half,
    recall_of,
    thresholds_of,
)
from neural_seg_ros.evaluation.contours.segments import agreement, segment_figures

# The diagonal of 240 x 320 is 400, the tolerance 3 px.
SIZE = (240, 320)
RANDOM = np.random.default_rng(0)


def line(column: int, top: int = 20, bottom: int = 220) -> np.ndarray:
    """Return an upright line a pixel wide."""
    drawn = np.zeros(SIZE, bool)
    drawn[top:bottom, column] = True
    return drawn


def scores(found: np.ndarray, *truths: np.ndarray) -> tuple[float, float]:
    """(recall, precision) at one threshold."""
    counts = counts_of(found.astype(np.float32), truths, thresholds_of(1))
    return float(recall_of(counts)[0]), float(precision_of(counts)[0])


def random_counts(images: int, thresholds: int) -> np.ndarray:
    """Return counts of a detector that finds more, and more of it wrong, as the threshold falls."""
    found = np.sort(RANDOM.integers(0, 5000, (images, thresholds)), axis=1)[:, ::-1]
    found[:, -1] = 0
    hits = (found * RANDOM.uniform(0.4, 0.9, found.shape)).astype(int)
    wanted = np.broadcast_to(RANDOM.integers(5000, 9000, (images, 1)), found.shape)
    return np.stack([np.minimum(2 * hits, wanted), wanted, hits, found], axis=-1)


def test_maps_within_the_tolerance_score_1_beyond_0():
    assert scores(line(100), line(100)) == (1, 1)
    assert scores(line(102), line(100)) == (1, 1)
    assert scores(line(103), line(100)) == (1, 1)
    assert scores(line(104), line(100)) == (0, 0)
    assert scores(line(106), line(100)) == (0, 0)


def test_a_pixel_is_matched_once():
    # Two lines found within the tolerance of one: half of them is wrong.
    assert scores(line(99) | line(101), line(100)) == (1, 0.5)
    assert scores(line(100), line(99) | line(101)) == (0.5, 1)


def test_of_equal_numbers_of_pairs_the_nearest_are_matched():
    found = line(100) | line(102)
    assert np.array_equal(Matcher(found, line(103)).matched(found), line(102))


def test_precision_and_recall_over_several_annotators():
    recall, precision = scores(line(100), line(100), line(200), line(101, bottom=120))
    assert precision == 1
    assert recall == pytest.approx(300 / 500)
    assert scores(line(100) | line(250), line(100), line(200)) == (0.5, 0.5)


def test_maps_and_truths_without_contours():
    empty = np.zeros(SIZE, bool)
    assert scores(empty, line(100)) == (0, 0)
    assert scores(line(100), empty) == (0, 0)
    assert scores(line(100), empty, line(100)) == (1, 1)
    assert average_precision(counts_of(empty.astype(np.float32), [line(100)], thresholds_of(5))) is None
    assert recall_at_half(counts_of(empty.astype(np.float32), [line(100)], thresholds_of(5))) is None


def test_a_map_is_cut_at_each_threshold_and_thinned():
    strength = np.zeros(SIZE, np.float32)
    strength[20:220, 99:102] = 0.7
    strength[20:220, 250] = 0.2
    counts = counts_of(strength, [line(100)], thresholds_of(9))
    assert thresholds_of(9).tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    assert precision_of(counts)[:2] == pytest.approx(0.5, abs=0.01)
    assert precision_of(counts)[2:].tolist() == [1] * 5 + [0] * 2
    assert recall_of(counts)[:7] == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("density", [0.05, 0.15])
def test_the_matching_is_the_optimum(density):
    for _ in range(5):
        found, truth = (RANDOM.random(SIZE) < density for _ in range(2))
        found[:, 60:] = truth[:, 60:] = False
        matched = Matcher(found, truth).matched(found)
        first, second = np.argwhere(found), np.argwhere(truth)
        distances = np.linalg.norm(first[:, None] - second[None], axis=-1)
        # The official graph in full: who is further away than 3 px stays alone, at 300.
        costs = np.where(distances <= 3, distances, 300)
        rows, columns = linear_sum_assignment(costs)
        assert matched.sum() == (costs[rows, columns] < 300).sum()
        own = np.argwhere(matched)
        again = np.linalg.norm(own[:, None] - second[None], axis=-1)
        again = np.where(again <= 3, again, 300)
        assert again[linear_sum_assignment(again)].sum() == pytest.approx(
            costs[rows, columns][costs[rows, columns] < 300].sum()
        )


def test_ods_and_ois_are_those_of_the_official_code_written_out():
    counts, thresholds = random_counts(4, 9), thresholds_of(9)

    def f(recall, precision):
        return 2 * recall * precision / (recall + precision) if recall + precision else 0.0

    total = counts.sum(0)
    recall, precision = total[:, 0] / total[:, 1], total[:, 2] / np.maximum(total[:, 3], 1)
    best = (-1.0, 0.0)
    for low in range(8):
        for share in np.linspace(0, 1, 100):
            between = [
                (1 - share) * values[low] + share * values[low + 1] for values in (recall, precision, thresholds)
            ]
            best = max(best, (f(between[0], between[1]), -between[2]))
    found = ods(thresholds, counts)
    assert found.f == pytest.approx(best[0])
    assert found.threshold == pytest.approx(-best[1])
    chosen = [max(image, key=lambda row: f(row[0] / row[1], row[2] / max(row[3], 1))) for image in counts]
    summed = np.sum(chosen, axis=0)
    assert ois(counts) == pytest.approx(f(summed[0] / summed[1], summed[2] / summed[3]))


def test_average_precision_and_r50_of_a_straight_curve():
    # Precision falls from 1 at recall .2 to .4 at recall .8: at each recall r it is 1.2 - r.
    recall = np.linspace(0.8, 0.2, 7)
    found = np.full(7, 10_000)
    counts = np.stack([recall * 1e6, np.full(7, 1e6), (1.2 - recall) * found, found], axis=-1).round().astype(int)
    reached = np.arange(20, 81) / 100
    assert average_precision(counts) == pytest.approx((1.2 - reached).sum() / 100)
    assert recall_at_half(counts) == pytest.approx(0.7)
    # Where precision is always greater than .5, all of the recall counts; where it is less, none.
    assert recall_at_half(counts[3:]) == pytest.approx(0.5)
    assert recall_at_half(counts[:1].repeat(2, axis=0)) is None
    low = counts.copy()
    low[:, 2] //= 3
    assert recall_at_half(low) == 0


def test_segments_agree_as_the_definitions_say():
    truths = [RANDOM.integers(0, 4, (12, 15), dtype=np.int32) for _ in range(2)]
    levels = [RANDOM.integers(0, count, (12, 15), dtype=np.int32) for count in (7, 3)]
    found = agreement(lambda threshold: levels[int(threshold * 2)], truths, thresholds_of(3))
    for number, ids in enumerate([levels[0], levels[1], levels[1]]):
        overlaps, rand, variation = [], [], []
        for truth in truths:
            for true_id in range(4):
                wanted = truth == true_id
                shares = [(wanted & (ids == i)).sum() / (wanted | (ids == i)).sum() for i in np.unique(ids)]
                overlaps.append(max(shares))
            same = [values.ravel()[:, None] == values.ravel() for values in (truth, ids)]
            upper = np.triu_indices(truth.size, 1)
            rand.append((same[0] == same[1])[upper].mean())
            variation.append(2 * entropy(truth * 100 + ids) - entropy(truth) - entropy(ids))
        assert found.overlaps[number] == pytest.approx(overlaps)
        assert found.pri[number] == pytest.approx(np.mean(rand))
        assert found.vi[number] == pytest.approx(np.mean(variation))
    assert found.areas.sum() == 2 * 12 * 15


def entropy(ids: np.ndarray) -> float:
    shares = np.unique(ids, return_counts=True)[1] / ids.size
    return float(-(shares * np.log2(shares)).sum())


def test_covering_with_one_threshold_or_the_best_of_each():
    truth = np.zeros((10, 20), np.int32)
    truth[:, 10:] = 1
    halves, whole = truth, np.zeros_like(truth)
    quarters = truth + 2 * (np.arange(20) // 5 % 2)
    left_whole, right_whole = np.where(truth == 0, 0, quarters), np.where(truth == 1, 1, quarters)
    images = [
        agreement(lambda threshold, pair=pair: pair[int(threshold > 0.5)], [truth], thresholds_of(2))
        for pair in ((halves, whole), (whole, halves), (left_whole, right_whole))
    ]
    figures = segment_figures(images)
    assert figures["covering_ods"] == pytest.approx(np.mean([1, 0.5, 0.75]))
    assert figures["covering_ois"] == pytest.approx(np.mean([1, 1, 0.75]))
    assert figures["covering_best"] == pytest.approx(1)
    assert figures["pri_ois"] > figures["pri_ods"]
    assert figures["vi_ois"] < figures["vi_ods"]


def test_borders_are_where_the_right_or_the_lower_pixel_differs():
    ids = np.zeros((4, 5), np.int32)
    ids[2:, 3:] = 1
    assert borders_of(ids).astype(int).tolist() == [[0, 0, 0, 0, 0], [0, 0, 1, 1, 1], [0, 0, 1, 0, 0], [0, 0, 1, 0, 0]]


@pytest.mark.slow
def test_the_example_of_the_benchmark_has_its_published_figures(data_root):
    """ODS .7047, OIS .7088, AP .3075 on the contour images that come with the official code.

    Runs where the data folder has its BSR/bench/data (images, groundTruth, png) as bench/, which is not part of this
    project's own data; it is skipped elsewhere.
    """
    folder = data_root / "bench"
    if not folder.is_dir():
        pytest.skip(f"no {folder}: BSR/bench/data of the official code goes there")
    thresholds = thresholds_of(99)
    counts = np.array(
        [
            counts_of(
                cv2.imread(str(folder / "png" / f"{item.name}.png"), cv2.IMREAD_GRAYSCALE) / np.float32(255),
                item.load().boundaries,
                thresholds,
            )
            for item in contour_items(folder)
        ]
    )
    assert ods(thresholds, counts).f == pytest.approx(0.7047, abs=0.002)
    assert ois(counts) == pytest.approx(0.7088, abs=0.002)
    assert average_precision(counts.sum(0)) == pytest.approx(0.3075, abs=0.002)
