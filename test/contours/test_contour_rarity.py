"""Strengths by how much stronger contour there is."""

from __future__ import annotations

import numpy as np
import pytest

from neural_seg_ros.contours.arcs import Arcs, arcs_of
from neural_seg_ros.contours.hierarchy import COMMON_LENGTH_SIDES, RARITY_POWER, Hierarchy, by_rarity, merge


@pytest.fixture
def found() -> tuple[Arcs, Hierarchy]:
    """Return 144 cells of 5 x 7 pixels with strengths at random."""
    arcs = arcs_of(np.kron(np.arange(144, dtype=np.int32).reshape(12, 12), np.ones((5, 7), np.int32)))
    generator = np.random.default_rng(4)
    image = generator.integers(0, 256, (*arcs.ids.shape, 3), np.uint8)
    return arcs, merge(image, arcs, generator.uniform(0, 1, len(arcs.edges)))


def test_each_arc_against_the_definition(found: tuple[Arcs, Hierarchy]) -> None:
    arcs, before = found
    after = by_rarity(before, arcs)
    common = COMMON_LENGTH_SIDES * np.sqrt(arcs.ids.size)
    for strength, changed in zip(before.arcs, after.arcs, strict=True):
        rarity = max(0.0, 1 - arcs.lengths[before.arcs > strength].sum() / common)
        assert changed == pytest.approx(strength * rarity**RARITY_POWER)


def test_order_and_ends_stay(found: tuple[Arcs, Hierarchy]) -> None:
    arcs, before = found
    after = by_rarity(before, arcs)
    order = np.argsort(before.altitudes)
    assert (np.diff(after.altitudes[order]) >= 0).all()
    assert (after.divisions <= after.altitudes).all()
    assert after.arcs.min() >= 0
    assert after.arcs.max() == pytest.approx(before.arcs.max())
    for threshold in (0.3, 0.6):
        same = after.segments(threshold)[arcs.edges]
        assert (after.arcs[same[:, 0] != same[:, 1]] > threshold).all()


def test_one_region_has_nothing_to_change() -> None:
    whole = arcs_of(np.zeros((6, 9), np.int32))
    alone = by_rarity(merge(np.zeros((6, 9, 3), np.uint8), whole, np.zeros(0)), whole)
    assert alone.arcs.shape == (0,)
    assert alone.altitudes.tolist() == alone.divisions.tolist() == [0]
