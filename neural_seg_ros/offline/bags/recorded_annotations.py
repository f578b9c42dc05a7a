"""Annotations that were recorded in a bag, on the frames that they were made on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from neural_seg_ros.annotations import Annotation
from neural_seg_ros.annotations import ros_messages as annotation_message
from neural_seg_ros.annotations.ros_messages import Draw
from neural_seg_ros.annotations.yaml_file import AnnotationFile, Entry
from neural_seg_ros.errors import AnnotationError, SourceError
from neural_seg_ros.offline.bags.bag import Bag, stamp_of

# The annotation topics of the segmenter; the last part of a name is the shape.
TOPICS = tuple(f"/segmenter/{name}" for name in ("click", "box", "stroke", "region", "annotation"))
_POLYGON = "geometry_msgs/msg/PolygonStamped"
_MARKER = "visualization_msgs/msg/ImageMarker"
_POINTS = ("geometry_msgs/msg/PointStamped", "geometry_msgs/msg/Point")
_TYPES = f"{', '.join((*_POINTS, _MARKER))}, or {_POLYGON} on a topic named .../box, .../stroke or .../region"
# To find the frame of an annotation without a stamp, these windows before it are searched first, then the whole bag.
_SEARCH_WINDOWS_SECONDS = (1.0, 60.0)


def with_recorded(
    annotations: AnnotationFile, bag: Bag, image_topic: str, topics: Sequence[str], active_class: int
) -> AnnotationFile:
    """Add the annotations recorded on ``topics``; without any, on those of the segmenter that the bag has.

    An annotation belongs to the frame that its stamp names; without a stamp, to the last frame recorded before it.
    Only the last version of a marker counts, and a removed one does not. Messages that name no class are of
    active_class. Raises SourceError if a topic is missing, AnnotationError without any annotation and for messages
    that are no annotations.
    """
    for topic in topics:
        if bag.type_of(topic) is None:
            raise SourceError(f"annotation topic: got {topic!r}, accepted: a topic of the bag")
    entries = list(annotations.entries)
    for topic in topics or [topic for topic in TOPICS if bag.type_of(topic) is not None]:
        try:
            entries += _entries(bag, topic, image_topic, annotations.classes, active_class)
        except AnnotationError as error:
            raise AnnotationError(f"{topic}: {error}") from None
    if not entries:
        raise AnnotationError(
            f"annotations: got none, accepted: --annotations FILE, or a bag with annotations on {', '.join(TOPICS)} "
            "or on --annotation-topic"
        )
    return AnnotationFile(annotations.classes, tuple(entries))


def _entries(bag: Bag, topic: str, image_topic: str, class_names: Mapping[int, str], active_class: int) -> list[Entry]:
    kind = bag.type_of(topic)
    entries: dict[object, list[Entry]] = {}
    for number, (timestamp, message) in enumerate(bag.messages(topic)):
        if message is None:
            continue
        if kind == _MARKER:
            command = annotation_message.marker(message, class_names, active_class)
            shapes = command.annotations if isinstance(command, Draw) else ()
            entries.pop(command.marker_id, None)
            key: object = command.marker_id
        else:
            shapes, key = (_shape(topic, kind, message, active_class),), (topic, number)
        stamp = _frame_stamp(bag, image_topic, getattr(message, "header", None), timestamp)
        entries[key] = [Entry(each, stamp=stamp) for each in shapes]
    return [entry for of_key in entries.values() for entry in of_key]


def _shape(topic: str, kind: str | None, message: Any, active_class: int) -> Annotation:
    if kind in _POINTS:
        return annotation_message.click(message, active_class)
    converts: dict[str, Callable[[Any, int], Annotation]] = {
        "box": annotation_message.box,
        "stroke": annotation_message.stroke,
        "region": annotation_message.region,
    }
    convert = converts.get(topic.rpartition("/")[2])
    if kind != _POLYGON or convert is None:
        raise AnnotationError(f"annotation topic: got messages of {kind}, accepted: {_TYPES}")
    return convert(message, active_class)


def _frame_stamp(bag: Bag, image_topic: str, header: Any, timestamp: int) -> float:
    """Return the stamp of the frame that an annotation recorded at ``timestamp`` belongs to."""
    stamp = None if header is None else annotation_message.stamp_of(header)
    if stamp is not None:
        return stamp
    for seconds in (*_SEARCH_WINDOWS_SECONDS, None):
        start = None if seconds is None else timestamp - round(seconds * 1e9)
        found = None
        for recorded, image in bag.messages(image_topic, start, timestamp + 1):
            if image is not None:
                found = stamp_of(image.header, recorded)
        if found is not None:
            return found
    # Recorded before the first frame: it belongs to that one.
    return timestamp * 1e-9
