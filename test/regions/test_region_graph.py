"""The region graph of a frame."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import label

from neural_seg_ros.images.files import read_image
from neural_seg_ros.regions import Regions, prepare_regions
from neural_seg_ros.regions.cuts import CutGraph, expand
from neural_seg_ros.regions.graph_distances import geodesics


@pytest.fixture(scope="module")
def two_halves() -> NDArray[np.uint8]:
    """Return a noisy red half beside a noisy green half, 80 x 120."""
    image = np.zeros((80, 120, 3), np.uint8)
    image[:, :60], image[:, 60:] = (180, 60, 50), (60, 150, 70)
    noise = np.random.default_rng(3).normal(0, 6, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def regions(two_halves: NDArray[np.uint8]) -> Regions:
    return prepare_regions(two_halves)


def test_every_region_is_one_connected_part_of_the_frame(regions: Regions) -> None:
    assert np.array_equal(np.unique(regions.ids), np.arange(regions.count))
    assert regions.areas.sum() == regions.ids.size
    assert all(label(regions.ids == region)[1] == 1 for region in range(0, regions.count, 7))


def test_edges_join_touching_regions_once(regions: Regions) -> None:
    assert (regions.edges[:, 0] < regions.edges[:, 1]).all()
    assert len(np.unique(regions.edges, axis=0)) == len(regions.edges)
    crossings = (regions.ids[:, 1:] != regions.ids[:, :-1]).sum() + (regions.ids[1:] != regions.ids[:-1]).sum()
    assert regions.lengths.sum() == crossings


def test_strong_edges_lie_where_the_frame_is_divided(regions: Regions) -> None:
    left = regions.centroids[regions.edges, 0] < 60
    dividing = left[:, 0] != left[:, 1]
    assert regions.strengths.min() >= 0
    assert regions.strengths.max() <= 1
    assert regions.strengths[dividing].min() > regions.strengths[~dividing].max()


def test_histograms_are_distributions(regions: Regions) -> None:
    for look in regions.appearances:
        assert look.shape[0] == regions.count
        assert np.allclose(look.sum(1), 1, atol=1e-4)


def test_the_same_image_gives_the_same_regions(regions: Regions, two_halves: NDArray[np.uint8]) -> None:
    cv2.setRNGSeed(99)
    again = prepare_regions(two_halves)
    assert np.array_equal(again.ids, regions.ids)
    assert np.array_equal(again.strengths, regions.strengths)
    assert all(np.array_equal(a, b) for a, b in zip(again.appearances, regions.appearances, strict=True))


@pytest.mark.parametrize("shape", [(16, 16), (16, 300), (97, 33)])
@pytest.mark.parametrize("flat", [True, False])
def test_any_image_can_be_prepared(shape: tuple[int, int], flat: bool) -> None:
    image = np.full((*shape, 3), 77, np.uint8)
    if not flat:
        image = np.random.default_rng(0).integers(0, 256, image.shape).astype(np.uint8)
    regions = prepare_regions(image)
    assert regions.ids.shape == shape
    assert np.isfinite(regions.strengths).all()
    assert all(np.isfinite(look).all() for look in regions.appearances)


def test_a_way_across_the_border_is_longer_than_one_beside_it(regions: Regions) -> None:
    offsets = np.full((1, regions.count), np.inf)
    offsets[0, regions.ids[40, 20]] = 0
    way = geodesics(regions, offsets)[0]
    assert way[regions.ids[40, 20]] < 1e-3
    assert way[regions.ids[5, 40]] < 0.25 * way[regions.ids[40, 75]]


def _energy(
    classes: NDArray[np.int64], costs: NDArray[np.float64], edges: NDArray[np.int64], weights: NDArray[np.float64]
) -> float:
    differ = classes[edges[:, 0]] != classes[edges[:, 1]]
    return float(costs[classes, np.arange(len(classes))].sum() + weights[differ].sum())


def _problem(
    seed: int, count: int, size: int = 8
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    generator = np.random.default_rng(seed)
    pairs = np.array([(i, j) for i in range(size) for j in range(i + 1, size)])
    edges = pairs[generator.random(len(pairs)) < 0.5]
    return generator.normal(0, 2, (count, size)), edges, generator.random(len(edges)) * 2


@pytest.mark.parametrize("seed", range(12))
def test_cuts_are_minimal(seed: int) -> None:
    costs, edges, weights = _problem(seed, 2)
    found = CutGraph(edges, 8).minimum_cut(costs[1] - costs[0], weights).astype(np.int64)
    every = [np.array(list(np.binary_repr(code, 8)), np.int64) for code in range(256)]
    assert _energy(found, costs, edges, weights) <= min(_energy(x, costs, edges, weights) for x in every) + 1e-4


@pytest.mark.parametrize("seed", range(6))
def test_expansion_is_close_to_the_best_labeling(seed: int) -> None:
    costs, edges, weights = _problem(seed, 3, size=7)
    found = expand(costs, CutGraph(edges, 7), weights, costs.argmin(0))
    every = np.stack(np.meshgrid(*[np.arange(3)] * 7), axis=-1).reshape(-1, 7)
    best = min(_energy(x, costs, edges, weights) for x in every)
    start = _energy(costs.argmin(0), costs, edges, weights)
    assert _energy(found, costs, edges, weights) <= best + 0.1 * abs(start - best) + 1e-4


@pytest.mark.slow
def test_preparing_a_frame_is_fast_enough_for_a_camera(data_root: Path) -> None:
    image = read_image(data_root / "grabcut" / "images" / "sheep.jpg")
    scale = 300 / max(image.shape[:2])
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    seconds = []
    for _ in range(3):
        began = time.process_time()
        prepare_regions(image)
        seconds.append(time.process_time() - began)
    assert min(seconds) < 1.5
