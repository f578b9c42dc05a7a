"""The selection of classes by consumers, and their names."""

from __future__ import annotations

import array
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from neural_seg_ros.errors import ConfigError
from neural_seg_ros.ros.consumers.selection import Selection, read_label_names
from neural_seg_ros.ros.toolkit.node_parameters import selection_text

NAMES = {0: "background", 1: "cup", 7: "robot arm"}


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("all", set(range(256))),
        ("labelled", set(range(255))),
        ("unlabelled", {255}),
        ("cup", {1}),
        (" cup , 9,robot arm,", {1, 7, 9}),
        ("labelled, unlabelled", set(range(256))),
        ("", set()),
        ("nobody", set()),
        ("300, 99999", set()),
    ],
)
def test_what_a_selection_selects(text: str, ids: set[int]) -> None:
    assert set(np.flatnonzero(Selection.parse(text).table(NAMES, 255))) == ids
    assert set(np.flatnonzero(Selection.parse(text, keep=False).table(NAMES, 255))) == set(range(256)) - ids
    with_16_bits = Selection.parse(text).table(NAMES, 65535)
    assert with_16_bits[65535] == ("all" in text or "unlabelled" in text)


def test_names_that_nobody_told_are_known_as_such() -> None:
    assert Selection.parse("cup, spoon, 3, all, -1").unknown(NAMES) == ("-1", "spoon")


def test_classes_known_beforehand() -> None:
    assert Selection.parse("0, unlabelled", keep=False).named(NAMES, 255) == (1, 7)
    assert Selection.parse("all").named(NAMES, 255) == (0, 1, 7)
    assert Selection.parse("cup, 9, 255").named(NAMES, 255) == (1, 9)
    assert Selection.parse("9").named({}, 255) == (9,)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("cup, 1", "cup, 1"),
        (1, "1"),
        ([1, 2], "1, 2"),
        (array.array("q", [1, 2]), "1, 2"),
        (1.5, 1.5),
        (True, True),
        (("a", "b"), "a, b"),
        ([], ""),
    ],
)
def test_a_selection_as_ros_gives_it(value: Any, text: Any) -> None:
    assert selection_text(value) == text


def test_label_names_of_either_message() -> None:
    told = SimpleNamespace(class_map=[SimpleNamespace(class_id=1, class_name="cup")], threshold=0.0)
    assert read_label_names(told) == {1: "cup"}
    assert read_label_names(SimpleNamespace(data='{"1": "cup", "0": "background"}')) == {1: "cup", 0: "background"}
    for bad in ("", "[]", "{", '{"a": "b"}', '{"1": 2}', '{"-1": "a"}', '{"65535": "a"}', "[" * 100_000, "null", "1"):
        with pytest.raises(ConfigError, match=r"^labels: got .* accepted"):
            read_label_names(SimpleNamespace(data=bad))
