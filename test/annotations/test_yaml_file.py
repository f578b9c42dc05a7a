"""The annotation file: what it accepts, where entries go, and one clear error for every mistake."""

from pathlib import Path

import numpy as np
import pytest

from neural_seg_ros.annotations import Box, Click, Mask, Region, Stroke
from neural_seg_ros.annotations.yaml_file import AnnotationFile, read_annotation_file
from neural_seg_ros.errors import AnnotationError
from neural_seg_ros.images.files import write_labels

CONTRACT = """
classes: {1: dog, 2: grass}
annotations:
  - {frame: 0, class: 1, click: [120, 80]}
  - {frame: 0, class: 2, box: [10, 200, 300, 240]}
  - {frame: 0, class: 1, stroke: [[5, 5], [40, 60]], width: 3}
  - {frame: 3, class: dog, region: [[5, 5], [40, 60], [9, 70]]}
  - {frame: 0, mask: first_frame.png}
  - {frame: 4, class: 0, click: [1.5, 2], radius: 4}
  - {frame: 4, class: dog, box: [300, 240, 10, 200], bounding: true}
"""


def read(tmp_path: Path, text: str) -> AnnotationFile:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    return read_annotation_file(path)


def test_everything_of_the_contract(tmp_path: Path) -> None:
    labels = np.array([[0, 1], [255, 2]], np.uint8)
    write_labels(tmp_path / "first_frame.png", labels)
    file = read(tmp_path, CONTRACT)
    assert file.classes == {1: "dog", 2: "grass"}
    assert [entry.frame for entry in file.entries] == [0, 0, 0, 3, 0, 4, 4]
    found = [entry.annotation for entry in file.entries]
    assert found[0] == Click(120, 80, 1)
    assert found[1] == Box(10, 200, 300, 240, 2)
    assert found[2] == Stroke(((5, 5), (40, 60)), 1, 3)
    assert found[3] == Region(((5, 5), (40, 60), (9, 70)), 1)
    assert isinstance(found[4], Mask)
    assert np.array_equal(found[4].labels, labels)
    assert found[5] == Click(1.5, 2, 0, radius=4)
    assert found[6] == Box(300, 240, 10, 200, 1, bounding=True)


def test_entries_by_frame_index(tmp_path: Path) -> None:
    file = read(tmp_path, "annotations: [{frame: 2, class: 1, click: [1, 1]}, {frame: 2, class: 0, click: [5, 5]}]")
    assert file.for_frame(1, 0.1, 0.0) == ()
    assert file.for_frame(2, 0.2, 0.1) == (Click(1, 1, 1), Click(5, 5, 0))


@pytest.mark.parametrize(
    ("stamp", "frame"),
    [(0.0, 0), (0.05, 1), (0.1, 1), (0.1004, 1), (0.2999, 3), (-5.0, 0)],
)
def test_stamp_means_the_first_frame_at_or_after_it(tmp_path: Path, stamp: float, frame: int) -> None:
    file = read(tmp_path, f"annotations: [{{stamp: {stamp}, class: 1, click: [1, 1]}}]")
    stamps = [0.0, 0.1, 0.2, 0.3]
    previous = [None, *stamps]
    on = [bool(file.for_frame(index, stamps[index], previous[index])) for index in range(4)]
    assert on == [index == frame for index in range(4)]


def test_black_and_white_mask_is_class_1(tmp_path: Path) -> None:
    write_labels(tmp_path / "m.png", np.array([[0, 255]], np.uint8))
    (entry,) = read(tmp_path, "annotations: [{frame: 0, mask: m.png}]").entries
    assert isinstance(entry.annotation, Mask)
    assert entry.annotation.labels.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("{class: 1, click: [1, 1]}", ["frame", "neither", "stamp"]),
        ("{frame: 0, stamp: 1.0, class: 1, click: [1, 1]}", ["both"]),
        ("{frame: -1, class: 1, click: [1, 1]}", ["frame: got -1", "index from 0"]),
        ("{stamp: soon, class: 1, click: [1, 1]}", ["stamp: got 'soon'", "seconds"]),
        ("{frame: 0, click: [1, 1]}", ["class: got None", "1 (dog)"]),
        ("{frame: 0, class: cat, click: [1, 1]}", ["class: got 'cat'", "1 (dog)"]),
        ("{frame: 0, class: 7, click: [1, 1]}", ["class: got 7", "1 (dog)"]),
        ("{frame: 0, class: -1, click: [1, 1]}", ["class: got -1"]),
        ("{frame: 0, class: 1}", ["none of them", "click, box, stroke, region, mask"]),
        ("{frame: 0, class: 1, click: [1, 1], box: [0, 0, 2, 2]}", ["click and box"]),
        ("{frame: 0, class: 1, click: [1, 1], width: 3}", ["width", "radius"]),
        ("{frame: 0, class: 1, click: [1]}", ["click: got [1]", "[x, y]"]),
        ("{frame: 0, class: 1, click: [1, .nan]}", ["click", "[x, y]"]),
        ("{frame: 0, class: 1, click: [1, 1], radius: 0}", ["radius", "above 0"]),
        ("{frame: 0, class: 1, box: [1, 1, 2]}", ["box", "[x0, y0, x1, y1]"]),
        ("{frame: 0, class: 1, box: [1, 1, 1, 4]}", ["box", "zero area"]),
        ("{frame: 0, class: 1, box: [1, 1, 2, 4], bounding: maybe}", ["box bounding: got 'maybe'", "true or false"]),
        ("{frame: 0, class: 1, box: [1, 1, 2, 4], bounding: 1}", ["box bounding: got 1", "true or false"]),
        ("{frame: 0, class: 0, box: [1, 1, 2, 4], bounding: true}", ["box bounding: got class 0", "from 1"]),
        ("{frame: 0, class: 1, click: [1, 1], bounding: true}", ["bounding: unknown field of a click"]),
        ("{frame: 0, class: 1, stroke: []}", ["stroke", "[[x, y], ...]"]),
        ("{frame: 0, class: 1, region: [[1, 1], [2, 2]]}", ["region", "at least 3"]),
        ("{frame: 0, mask: absent.png}", ["absent.png"]),
        ("{frame: 0, mask: 3}", ["mask: got 3"]),
        ("17", ["got 17", "mapping"]),
    ],
)
def test_a_mistake_names_file_entry_field_and_what_is_accepted(tmp_path: Path, entry: str, words: list[str]) -> None:
    good = "{frame: 0, class: 1, click: [1, 1]}"
    with pytest.raises(AnnotationError) as error:
        read(tmp_path, f"classes: {{1: dog}}\nannotations:\n  - {good}\n  - {entry}\n")
    message = str(error.value)
    assert message.startswith(f"{tmp_path / 'a.yaml'}: entry 2: ")
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1, 2]", "mapping with classes and annotations"),
        ("annotations: []", "at least one entry"),
        ("classes: {1: a}", "at least one entry"),
        ("annotatoins: []", "annotatoins: unknown field"),
        ("classes: [a]\nannotations: [1]", "mapping of class id to name"),
        ("classes: {a: 1}\nannotations: [1]", "integer from 0"),
        ("classes: {1: a, 2: a}\nannotations: [1]", "twice"),
        ("annotations: [{", "cannot be read as YAML"),
    ],
)
def test_a_broken_file_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(AnnotationError, match=words) as error:
        read(tmp_path, text)
    assert "a.yaml" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"nothing\.yaml"):
        read_annotation_file(tmp_path / "nothing.yaml")
