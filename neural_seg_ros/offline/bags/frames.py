"""The images of one topic of a bag as frames: those that are wanted, from any place on, forwards and backwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neural_seg_ros.annotations import Annotation, is_number
from neural_seg_ros.annotations.yaml_file import AnnotationFile
from neural_seg_ros.errors import ImageError, SourceError
from neural_seg_ros.images.files import DEFAULT_FPS, Frame, RgbImage
from neural_seg_ros.images.ros_messages import to_rgb
from neural_seg_ros.offline.bags.bag import Bag, stamp_of

# Frames that are read backwards are held together, in so much memory.
WINDOW_BYTES = 2**25


@dataclass(frozen=True)
class ImageTopic:
    """The images of a bag that are labeled.

    start, duration  seconds of the bag, from its first message; duration None: to the end
    every            one of so many messages is taken, and those that are annotated
    Raises SourceError where start and duration are no numbers of seconds.
    """

    bag: Path
    topic: str
    start: float = 0.0
    duration: float | None = None
    every: int = 1

    def __post_init__(self) -> None:
        for name in ("start", "duration"):
            value = getattr(self, name)
            if value is not None and (not is_number(value) or value < 0):
                raise SourceError(f"{name}: got {value!r}, accepted: seconds, not negative")

    def span(self, bag: Bag) -> tuple[int, int | None]:
        """Return the first and the last nanosecond, the latter excluded."""
        start = bag.start + round(self.start * 1e9)
        return start, None if self.duration is None else start + round(self.duration * 1e9)


@dataclass(frozen=True)
class FramePosition:
    """The position of a message in its topic.

    index      counts the messages of the topic within the span, from 0
    timestamp  of the recording, nanoseconds
    twin       counts the messages before it with the same timestamp
    latest     the highest stamp of the frames so far in seconds, this one included; None before the first
    """

    index: int
    timestamp: int
    twin: int
    latest: float | None


@dataclass(frozen=True, eq=False)
class BagFrame(Frame):
    """A frame, where it comes from, the ``std_msgs/msg/Header`` of its message, and what is annotated on it."""

    place: FramePosition
    header: Any
    annotations: tuple[Annotation, ...] = ()


@dataclass(frozen=True)
class Undecodable:
    """A message that is no image."""

    reason: str


@dataclass(frozen=True)
class End:
    """The last item of a bag; ``damage``: why it was not read to its end, or what was repaired, None if nothing was."""

    damage: str | None


Item = BagFrame | Undecodable | End


@dataclass(frozen=True)
class Extent:
    """``count``: frames as far as is known before reading; ``fps``: their mean rate, within 1 to 120 per second."""

    count: int
    fps: float


def extent_of(source: ImageTopic) -> Extent:
    """Read what the bag's index tells of a topic. Raises SourceError."""
    with Bag(source.bag) as bag:
        bag.check_topic(source.topic)
        messages, seconds = bag.image_topics[source.topic], bag.duration
    if messages < 2 or not seconds:
        return Extent(messages, DEFAULT_FPS)
    rate = (messages - 1) / seconds
    left = seconds - source.start if source.duration is None else min(source.duration, seconds - source.start)
    count = round(min(messages, left * rate + 1) / source.every)
    return Extent(max(0, count), min(120.0, max(1.0, rate / source.every)))


def read_frames(source: ImageTopic, annotations: AnnotationFile, after: FramePosition | None = None) -> Iterator[Item]:
    """Read the frames of a topic, from the one after ``after`` on; the last item is an ``End``. Raises SourceError.

    An entry with a stamp whose frame cannot be decoded goes to the next frame.
    """
    with Bag(source.bag) as bag:
        bag.check_topic(source.topic)
        latest = None if after is None else after.latest
        for index, timestamp, twin, message in _places(bag, source, after):
            if message is None:
                yield Undecodable("message cannot be deserialised")
                continue
            stamp = stamp_of(message.header, timestamp)
            annotated = annotations.for_frame(index, stamp, latest)
            if index % source.every == 0 or annotated:
                try:
                    image = to_rgb(message)
                except ImageError as error:
                    yield Undecodable(str(error))
                    continue
                place = FramePosition(index, timestamp, twin, _later(stamp, latest))
                yield BagFrame(index, stamp, image, place, message.header, annotated)
            latest = _later(stamp, latest)
        yield End(bag.damage)


def read_backwards(source: ImageTopic, places: Iterable[FramePosition], pixels: int) -> Iterator[BagFrame]:
    """Read the frames at ``places``, last one first, of about ``pixels`` pixels each, a window at a time."""
    length = max(1, WINDOW_BYTES // (3 * pixels))
    with Bag(source.bag) as bag:
        window: list[FramePosition] = []
        for place in places:
            window.append(place)
            if len(window) == length:
                yield from _window(bag, source.topic, window)
                window = []
        yield from _window(bag, source.topic, window)


def _window(bag: Bag, topic: str, places: list[FramePosition]) -> Iterator[BagFrame]:
    if not places:
        return
    wanted = {(place.timestamp, place.twin): place for place in places}
    frames = []
    timestamps = [place.timestamp for place in places]
    before, twin = None, 0
    for timestamp, message in bag.messages(topic, min(timestamps), max(timestamps) + 1):
        twin = twin + 1 if timestamp == before else 0
        before = timestamp
        place = wanted.get((timestamp, twin))
        if place is not None:
            image: RgbImage = to_rgb(message)
            frames.append(BagFrame(place.index, stamp_of(message.header, timestamp), image, place, message.header))
    frames.sort(key=lambda frame: frame.index)
    while frames:
        yield frames.pop()


def _places(bag: Bag, source: ImageTopic, after: FramePosition | None) -> Iterator[tuple[int, int, int, Any]]:
    """Yield (index, timestamp, duplicate index, message) of the messages of a topic."""
    start, stop = source.span(bag)
    index, before, twin, passed = 0, None, 0, 0
    if after is not None:
        start, index, before, twin, passed = after.timestamp, after.index + 1, after.timestamp, after.twin, 0
    for timestamp, message in bag.messages(source.topic, start, stop):
        if after is not None and timestamp == after.timestamp and passed <= after.twin:
            passed += 1
            continue
        twin = twin + 1 if timestamp == before else 0
        before = timestamp
        yield index, timestamp, twin, message
        index += 1


def _later(stamp: float, latest: float | None) -> float:
    return stamp if latest is None else max(stamp, latest)
