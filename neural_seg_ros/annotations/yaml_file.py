"""The annotation file: YAML with classes, and annotations with their frames.

    classes: {1: dog, 2: grass}
    annotations:
      - {frame: 0, class: 1, click: [120, 80], radius: 1}
      - {frame: 0, class: 2, box: [10, 200, 300, 240]}
      - {frame: 0, class: dog, box: [30, 40, 200, 180], bounding: true}
      - {frame: 4, class: 1, stroke: [[5, 5], [40, 60]], width: 3}
      - {stamp: 12.5, class: 2, region: [[5, 5], [40, 60], [9, 70]]}
      - {frame: 0, mask: first_frame.png}

A box is filled; with ``bounding`` the object is inside, and no pixel outside is of it. Class 0 is background. ``frame``
is an index from 0; ``stamp`` is in seconds and means the first frame at or after it. The path of a mask is relative to
the file. A mask holds class ids and 255 (65535 with 16 bits) where nothing is annotated;
one of 0 and 255 only is black and white, its white is class 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neural_seg_ros.annotations.shapes import Annotation, Box, Click, Mask, Region, Stroke, is_number
from neural_seg_ros.errors import AnnotationError, SourceError
from neural_seg_ros.files import read_mapping
from neural_seg_ros.images.files import from_binary, is_binary, read_labels

STAMP_TOLERANCE = 1e-3  # seconds: stamps are copied from tools that print milliseconds
_SHAPES = {
    "click": "[x, y]",
    "box": "[x0, y0, x1, y1]",
    "stroke": "[[x, y], ...]",
    "region": "[[x, y], [x, y], [x, y], ...]",
    "mask": "path of a label image",
}
_EXTRAS = {"click": {"radius"}, "box": {"bounding"}, "stroke": {"width"}}


@dataclass(frozen=True)
class Entry:
    """One annotation and its frame: either ``frame`` (index from 0) or ``stamp`` (seconds) is given."""

    annotation: Annotation
    frame: int | None = None
    stamp: float | None = None

    def is_on(self, index: int, stamp: float, previous: float | None) -> bool:
        """Return whether this entry belongs to the frame ``index`` at ``stamp``; see ``AnnotationFile.for_frame``."""
        if self.stamp is None:
            return self.frame == index
        start = self.stamp - STAMP_TOLERANCE
        return stamp >= start and (previous is None or previous < start)


@dataclass(frozen=True)
class AnnotationFile:
    """The content of an annotation file: ``classes``, the name of each declared class id, and ``entries`` in order."""

    classes: dict[int, str]
    entries: tuple[Entry, ...]

    def for_frame(self, index: int, stamp: float, previous: float | None) -> tuple[Annotation, ...]:
        """Return the annotations of the frame ``index`` (from 0) at ``stamp`` (seconds), in the order of the file.

        An entry with a stamp belongs to the first frame at or after it, less 1 ms of tolerance. ``previous`` is the
        latest stamp of all frames before, None on the first one: so each entry is given once, even if time jumps back.
        """
        return tuple(entry.annotation for entry in self.entries if entry.is_on(index, stamp, previous))


def read_annotation_file(path: str | Path) -> AnnotationFile:
    """Read and check an annotation file.

    Raises AnnotationError naming the file, the number of the entry (from 1), the field and what is accepted.
    """
    path = Path(path)
    tree = read_mapping(path, AnnotationError, "a mapping with classes and annotations")
    unknown = sorted(str(key) for key in set(tree) - {"classes", "annotations"})
    if unknown:
        raise AnnotationError(f"{path}: {unknown[0]}: unknown field, accepted: classes, annotations")
    classes = _classes(path, tree.get("classes"))
    listed = tree.get("annotations")
    if not isinstance(listed, list) or not listed:
        raise AnnotationError(f"{path}: annotations: got {listed!r}, accepted: a list of at least one entry")
    entries = []
    for number, item in enumerate(listed, start=1):
        try:
            entries.append(_entry(item, classes, path.parent))
        except (AnnotationError, SourceError) as error:
            raise AnnotationError(f"{path}: entry {number}: {error}") from None
    return AnnotationFile(classes, tuple(entries))


def _classes(path: Path, given: Any) -> dict[int, str]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise AnnotationError(f"{path}: classes: got {given!r}, accepted: a mapping of class id to name")
    for class_id, name in given.items():
        if isinstance(class_id, bool) or not isinstance(class_id, int) or not 0 <= class_id < 65535:
            raise AnnotationError(f"{path}: classes: got id {class_id!r}, accepted: an integer from 0 to 65534")
        if not isinstance(name, str) or not name:
            raise AnnotationError(f"{path}: classes: got name {name!r} for class {class_id}, accepted: a text")
    names = list(given.values())
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise AnnotationError(f"{path}: classes: got the name {twice!r} twice, accepted: one id for each name")
    return dict(given)


def _entry(item: Any, classes: dict[int, str], folder: Path) -> Entry:
    if not isinstance(item, Mapping):
        raise AnnotationError(f"got {item!r}, accepted: a mapping with frame, class and one of {', '.join(_SHAPES)}")
    shapes = [name for name in _SHAPES if name in item]
    if len(shapes) != 1:
        given = " and ".join(shapes) or "none of them"
        raise AnnotationError(f"got {given}, accepted: one of {', '.join(_SHAPES)}")
    shape = shapes[0]
    accepted = {"frame", "stamp", shape} | _EXTRAS.get(shape, set()) | ({"class"} if shape != "mask" else set())
    unknown = sorted(str(key) for key in set(item) - accepted)
    if unknown:
        raise AnnotationError(f"{unknown[0]}: unknown field of a {shape}, accepted: {', '.join(sorted(accepted))}")
    frame, stamp = _place(item)
    return Entry(_annotation(shape, item, classes, folder), frame, stamp)


def _place(item: Mapping[str, Any]) -> tuple[int | None, float | None]:
    if ("frame" in item) == ("stamp" in item):
        given = "both" if "frame" in item else "neither"
        raise AnnotationError(f"frame: got {given}, accepted: either frame (index from 0) or stamp (seconds)")
    if "frame" in item:
        frame = item["frame"]
        if isinstance(frame, bool) or not isinstance(frame, int) or frame < 0:
            raise AnnotationError(f"frame: got {frame!r}, accepted: an index from 0")
        return frame, None
    stamp = item["stamp"]
    if not is_number(stamp):
        raise AnnotationError(f"stamp: got {stamp!r}, accepted: a number of seconds")
    return None, float(stamp)


def _annotation(shape: str, item: Mapping[str, Any], classes: dict[int, str], folder: Path) -> Annotation:
    value = item[shape]
    if shape == "mask":
        if not isinstance(value, str):
            raise AnnotationError(f"mask: got {value!r}, accepted: {_SHAPES[shape]}")
        labels = read_labels(folder / value)
        return Mask(from_binary(labels) if is_binary(labels) else labels)
    class_id = _class_id(item.get("class"), classes)
    if shape in ("click", "box"):
        numbers = _numbers(shape, value, count=2 if shape == "click" else 4)
        if shape == "click":
            return Click(numbers[0], numbers[1], class_id, _extra(item, "radius"))
        return Box(numbers[0], numbers[1], numbers[2], numbers[3], class_id, item.get("bounding", False))
    if not isinstance(value, list) or not value:
        raise AnnotationError(f"{shape}: got {value!r}, accepted: {_SHAPES[shape]}")
    pairs = [_numbers(shape, point, count=2) for point in value]
    points = tuple((x, y) for x, y in pairs)
    return Stroke(points, class_id, _extra(item, "width")) if shape == "stroke" else Region(points, class_id)


def _class_id(given: Any, classes: dict[int, str]) -> int:
    declared = ", ".join(f"{class_id} ({name})" for class_id, name in classes.items())
    accepted = f"0 (background) or one of {declared}" if classes else "a class id, or a name declared in classes"
    if isinstance(given, str):
        for class_id, name in classes.items():
            if name == given:
                return class_id
    elif isinstance(given, int) and not isinstance(given, bool) and (given in classes or given == 0 or not classes):
        return given
    raise AnnotationError(f"class: got {given!r}, accepted: {accepted}")


def _numbers(shape: str, given: Any, count: int) -> tuple[float, ...]:
    if not isinstance(given, list) or len(given) != count or not all(is_number(value) for value in given):
        raise AnnotationError(f"{shape}: got {given!r}, accepted: {_SHAPES[shape]} in pixels")
    return tuple(float(value) for value in given)


def _extra(item: Mapping[str, Any], name: str) -> float:
    given = item.get(name, 1)
    if not is_number(given):
        raise AnnotationError(f"{name}: got {given!r}, accepted: a number of pixels above 0")
    return float(given)
