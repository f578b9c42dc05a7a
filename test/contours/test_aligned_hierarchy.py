"""The hierarchy of one size of an image on the arcs of another."""

from __future__ import annotations

import higra as hg
import numpy as np
import pytest
from numpy.typing import NDArray

from neural_seg_ros.config import ContourConfig
from neural_seg_ros.contours import find_contours
from neural_seg_ros.contours.arcs import Arcs, arcs_of
from neural_seg_ros.contours.hierarchy import Hierarchy, majority, merge, transfer


def strips(*widths: int) -> Arcs:
    """Upright regions side by side, 6 pixels high."""
    row = np.repeat(np.arange(len(widths), dtype=np.int32), widths)
    return arcs_of(np.tile(row, (6, 1)))


def hierarchy_of(parents: list[int], altitudes: list[float]) -> Hierarchy:
    values = np.array(altitudes)
    return Hierarchy(hg.Tree(np.array(parents, np.int64)), values, values, np.zeros(0))


def cells(side: int) -> NDArray[np.int32]:
    return np.kron(np.arange(side * side, dtype=np.int32).reshape(side, side), np.ones((5, 7), np.int32))


@pytest.mark.parametrize("factor", [2, 3])
def test_regions_at_another_size_have_equal_strengths(factor: int) -> None:
    arcs = arcs_of(cells(6))
    large = arcs_of(np.kron(arcs.ids, np.ones((factor, factor), np.int32)))
    generator = np.random.default_rng(4)
    image = generator.integers(0, 256, (*large.ids.shape, 3), np.uint8)
    hierarchy = merge(image, large, generator.uniform(0, 1, len(large.edges)))
    assert np.array_equal(large.edges, arcs.edges)
    assert np.allclose(transfer(large, hierarchy, arcs), hierarchy.arcs)


def test_separate_regions_divide_where_they_merge() -> None:
    # 0 and 1 merge at .2 into 3, this and 2 at .7 into 4; the thin 1 is in no region of the small picture a majority.
    hierarchy = hierarchy_of([3, 3, 4, 4, 4], [0, 0, 0, 0.2, 0.7])
    strengths = transfer(strips(40, 4, 40), hierarchy, strips(11, 10, 11, 10))
    assert strengths.tolist() == [0, 0.7, 0]


def test_a_picture_that_is_one_region_divides_nothing() -> None:
    whole = strips(20)
    alone = merge(np.zeros((6, 20, 3), np.uint8), whole, np.zeros(0))
    assert transfer(whole, alone, strips(4, 6)).tolist() == [0]
    assert transfer(strips(4, 6), hierarchy_of([2, 2, 2], [0, 0, 0.5]), whole).shape == (0,)


def test_majority_counts_pixels() -> None:
    generator = np.random.default_rng(1)
    values, ids = (generator.integers(0, n, (20, 30), np.int32) for n in (9, 5))
    expected = [np.bincount(values[ids == region]).argmax() for region in range(5)]
    assert majority(values, ids).tolist() == expected


@pytest.mark.parametrize("shape", [(8, 8), (8, 90), (51, 37)])
def test_best_takes_any_size(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    image[shape[0] // 2 :] //= 8
    contours = find_contours(image, ContourConfig("best"))
    assert contours.segments is not None
    assert contours.strength.shape == contours.thin.shape == contours.segments(0.4).shape == shape
