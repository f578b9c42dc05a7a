"""Instances of a label image, against a flood fill written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neural_seg_ros.ros.consumers.instances import Instance, find_instances


def flooded(labels: Any, confidence: Any) -> list[Instance]:
    """Instances by a flood fill written out, in any order."""
    height, width = labels.shape
    seen, found = set(), []
    for start in np.ndindex(height, width):
        if start in seen:
            continue
        seen.add(start)
        todo, pixels = [start], []
        while todo:
            v, u = todo.pop()
            pixels.append((v, u))
            for near in ((v + dv, u + du) for dv in (-1, 0, 1) for du in (-1, 0, 1)):
                inside = 0 <= near[0] < height and 0 <= near[1] < width
                if inside and near not in seen and labels[near] == labels[start]:
                    seen.add(near)
                    todo.append(near)
        rows, columns = [v for v, _ in pixels], [u for _, u in pixels]
        box = min(columns), min(rows), max(columns) - min(columns) + 1, max(rows) - min(rows) + 1
        score = sum(int(confidence[pixel]) for pixel in pixels) / len(pixels) / 255
        found.append(Instance(int(labels[start]), *box, len(pixels), score))
    return found


def ordered(found: list[Instance]) -> list[Any]:
    return sorted((i.class_id, -i.area, i.x, i.y, i.width, i.height, round(i.score, 9)) for i in found)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_instances_are_those_of_a_flood_fill(kind: Any) -> None:
    rng = np.random.default_rng(3)
    labels = (rng.integers(0, 4, (15, 22)) * (40 if kind == np.uint8 else 4000)).astype(kind)
    labels[4:10, 5:15] = 40
    confidence = rng.integers(0, 256, labels.shape).astype(np.uint8)
    found = find_instances(labels, confidence, None, min_area=1, most=1000)
    assert ordered(found) == ordered(flooded(labels, confidence))
    assert [(i.class_id, -i.area) for i in found] == sorted((i.class_id, -i.area) for i in found)


def test_instances_that_are_too_small_too_many_or_not_asked_for() -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[2:5, 2:6] = 1
    labels[10:18, 10:12] = 1
    labels[0, 19] = 1
    labels[15:17, 2:4] = 2
    found = find_instances(labels, None, {1, 2, 99}, min_area=4, most=10)
    assert found == [
        Instance(1, 10, 10, 2, 8, 16, 1.0),
        Instance(1, 2, 2, 4, 3, 12, 1.0),
        Instance(2, 2, 15, 2, 2, 4, 1.0),
    ]
    assert find_instances(labels, None, {1, 2}, min_area=1, most=2) == found[:2]
    assert find_instances(labels, None, {1}, min_area=17, most=10) == []
    assert find_instances(labels, None, (), min_area=1, most=10) == []
    confidence = np.full(labels.shape, 51, np.uint8)
    whole = find_instances(labels, confidence, {1}, min_area=1, most=10, connected=False)
    assert whole == [Instance(1, 2, 0, 18, 18, 29, 0.2)]
