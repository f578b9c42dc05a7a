"""The images of one topic of a bag as frames, read forwards from any position or backwards."""

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

# Memory for the frames of one window when reading backwards.
WINDOW_BYTES = 2**25


@dataclass(frozen=True)
class ImageTopic:
    """The images of a bag that are labeled.

    start, duration  seconds of the bag, from its first message; duration None: to the end
    every            every N-th message is read, and all annotated ones
    Raises SourceError if start or duration is not a number of seconds from 0.
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
    """The position of a message in its topic. The journal stores it: the names of its fields are a file format.

    index      counts the messages of the topic within the span, from 0
    timestamp  of the recording, nanoseconds
    twin       duplicate index: number of earlier messages with the same timestamp
    latest     the highest stamp of the frames so far in seconds, this one included; None before the first
    """

    index: int
    timestamp: int
    twin: int
    latest: float | None


@dataclass(frozen=True, eq=False)
class BagFrame(Frame):
    """A frame with its position in the bag, the ``std_msgs/msg/Header`` of its message, and its annotations."""

    place: FramePosition
    header: Any
    annotations: tuple[Annotation, ...] = ()


@dataclass(frozen=True)
class Undecodable:
    """A message that cannot be decoded as an image."""

    reason: str


@dataclass(frozen=True)
class End:
    """The last item of a bag; ``damage``: the reason why reading ended early, or the repair; None for a whole bag."""

    damage: str | None


Item = BagFrame | Undecodable | End


@dataclass(frozen=True)
class Extent:
    """The estimated number of frames (``count``), and their mean rate (``fps``), clipped to 1 to 120 per second."""

    count: int
    fps: float


def extent_of(source: ImageTopic) -> Extent:
    """Estimate the extent of a topic from the bag's index. Raises SourceError."""
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

    If the frame of an entry with a stamp cannot be decoded, the entry moves to the next frame.
    """
    with Bag(source.bag) as bag:
        bag.check_topic(source.topic)
        latest = None if after is None else after.latest
        for index, timestamp, duplicate_index, message in _positions(bag, source, after):
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
                place = FramePosition(index, timestamp, duplicate_index, _later(stamp, latest))
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
    previous_timestamp, duplicate_index = None, 0
    for timestamp, message in bag.messages(topic, min(timestamps), max(timestamps) + 1):
        duplicate_index = duplicate_index + 1 if timestamp == previous_timestamp else 0
        previous_timestamp = timestamp
        place = wanted.get((timestamp, duplicate_index))
        if place is not None:
            image: RgbImage = to_rgb(message)
            frames.append(BagFrame(place.index, stamp_of(message.header, timestamp), image, place, message.header))
    frames.sort(key=lambda frame: frame.index)
    while frames:
        yield frames.pop()


def _positions(bag: Bag, source: ImageTopic, after: FramePosition | None) -> Iterator[tuple[int, int, int, Any]]:
    """Yield (index, timestamp, duplicate index, message) of the messages of a topic."""
    start, stop = source.span(bag)
    index, previous_timestamp, duplicate_index, skipped = 0, None, 0, 0
    if after is not None:
        start, index = after.timestamp, after.index + 1
        previous_timestamp, duplicate_index = after.timestamp, after.twin
    for timestamp, message in bag.messages(source.topic, start, stop):
        if after is not None and timestamp == after.timestamp and skipped <= after.twin:
            skipped += 1
            continue
        duplicate_index = duplicate_index + 1 if timestamp == previous_timestamp else 0
        previous_timestamp = timestamp
        yield index, timestamp, duplicate_index, message
        index += 1


def _later(stamp: float, latest: float | None) -> float:
    return stamp if latest is None else max(stamp, latest)
