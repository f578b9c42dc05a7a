"""A segmenter that receives a thousand malformed messages on each of its topics."""

from __future__ import annotations

import gc
import itertools
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

from geometry_msgs.msg import Point, Point32, PointStamped, PolygonStamped
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from segmenter_rig import HEIGHT, WIDTH, Rig, header, picture
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from visualization_msgs.msg import ImageMarker

from neural_seg_ros.annotations.ros_messages import MAX_BYTES
from neural_seg_ros.errors import ImageError
from neural_seg_ros.images.ros_messages import ENCODINGS, to_rgb
from neural_seg_ros.ros.segmenter.diagnostics import resident_bytes
from neural_seg_ros.ros.toolkit.conversion import from_array
from neural_seg_ros.ros.toolkit.qos import ANNOTATION_INPUT

pytestmark = [pytest.mark.ros, pytest.mark.slow]

MESSAGES, BATCH = 1000, 50
# Memory that all messages together may leave behind; the allocator keeps some.
MEGABYTES = 64
# Memory that each further thousand may leave behind.
FLAT = 24
NUMBERS = (0.0, -1.0, -0.5, 1e-320, 3.7, 63.4, 63.5, 1e6, 1e30, -1e30, float("nan"), float("inf"), float("-inf"))
WORDS = (
    "",
    "0",
    "1",
    "300",
    "-1",
    "99999",
    "1:bounding",
    ":bounding",
    "::",
    "\n\x1b[2J",
    "\u202e\U0001f4a5",
    "x" * 5000,
)
ALL = QoSProfile(history=HistoryPolicy.KEEP_ALL, reliability=ReliabilityPolicy.RELIABLE)


class Fuzz:
    """A random generator of malformed messages."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)

    def header(self) -> Header:
        draw = self._draw
        message = Header(frame_id=draw.choice(WORDS))
        message.stamp.sec = draw.choice((0, 0, 5, -1, 6, 2**31 - 1, -(2**31)))
        message.stamp.nanosec = draw.choice((0, 1, 999_999_999, 10**9, 2**32 - 1))
        return message

    def number(self) -> float:
        draw = self._draw
        return draw.choice((*NUMBERS, draw.uniform(-10, 80)))

    def number32(self) -> float:
        """Return a random number that float32 can hold."""
        return float(np.float32(self.number()))

    def point(self) -> Point:
        return Point(x=self.number(), y=self.number(), z=self.number())

    def count(self) -> int:
        """Return a random number of points, rarely a very large one."""
        draw = self._draw
        return draw.choice((0, 1, 2, 3, 4, 5, 17, 101)) if draw.random() < 0.99 else draw.choice((10_000, 30_000))

    def point_stamped(self) -> PointStamped:
        return PointStamped(header=self.header(), point=self.point())

    def polygon(self) -> PolygonStamped:
        message = PolygonStamped(header=self.header())
        message.polygon.points = [Point32(x=self.number32(), y=self.number32()) for _ in range(self.count())]
        return message

    def marker(self) -> ImageMarker:
        draw = self._draw
        message = ImageMarker(header=self.header(), ns=draw.choice(WORDS), id=draw.choice((0, 1, -1, 2**31 - 1)))
        message.type, message.action = draw.choice((0, 1, 2, 3, 4, 9, -1)), draw.choice((0, 0, 0, 0, 1, 2, -7))
        message.position, message.scale = self.point(), self.number32()
        message.points = [self.point() for _ in range(self.count())]
        return message

    def camera_info(self) -> CameraInfo:
        draw = self._draw
        message = CameraInfo(header=self.header(), width=draw.choice((0, WIDTH, 2**32 - 1)), height=HEIGHT)
        message.distortion_model = draw.choice((*WORDS, "plumb_bob", "equidistant"))
        message.d = [self.number() for _ in range(draw.choice((0, 4, 5, 8, 3, 20_000)))]
        message.k, message.p = [self.number() for _ in range(9)], [self.number() for _ in range(12)]
        message.binning_x = draw.choice((0, 1, 2**32 - 1))
        message.roi.width, message.roi.x_offset = draw.choice((0, 2**32 - 1)), draw.choice((0, 2**32 - 1))
        return message

    def image(self) -> Image:
        draw = self._draw
        sides = (0, 1, 7, 8, 9, HEIGHT, WIDTH, 40_000, 2**32 - 1)
        message = Image(header=self.header(), width=draw.choice(sides), height=draw.choice(sides))
        message.encoding = draw.choice((*ENCODINGS, "rgb9", *WORDS))
        message.step = draw.choice((0, 1, WIDTH, 3 * WIDTH, 3 * WIDTH + 5, 2**32 - 1))
        message.is_bigendian = draw.choice((0, 1, 255))
        message.data = draw.randbytes(draw.choice((0, 1, 17, 3 * WIDTH * HEIGHT, 8 * WIDTH * HEIGHT)))
        return message

    def compressed(self) -> CompressedImage:
        """Return noise, an image that is cut, corrupted or wrongly named, or a huge image in few bytes."""
        draw = self._draw
        kind = draw.choice((".png", ".jpg", ".bmp", ".webp", ".tiff"))
        data = bytearray(cv2.imencode(kind, picture(draw.randrange(8)))[1].tobytes())
        damage = draw.randrange(5)
        if damage == 0:
            data = bytearray(draw.randbytes(draw.choice((0, 1, 100))))
        elif damage == 1:
            del data[draw.randrange(len(data)) :]
        elif damage == 2:
            for _ in range(draw.randrange(1, 20)):
                data[draw.randrange(len(data))] = draw.randrange(256)
        elif damage == 3:
            data = bytearray(BOMB)
        name = draw.choice(("png", "jpeg", "rgb8; jpeg compressed bgr8", "16UC1; png compressed ", *WORDS))
        return CompressedImage(header=self.header(), format=name, data=bytes(data))

    def sometimes(self) -> bool:
        return self._draw.random() < 0.2

    def damaged(self, message: Any) -> bytes:
        """Return a serialized message that is cut, corrupted or has a wrong count."""
        draw = self._draw
        data = bytearray(serialize_message(message))
        damage = draw.randrange(3)
        if damage == 0:
            del data[draw.randrange(4, len(data)) :]
        elif damage == 1:
            for _ in range(4):
                data[draw.randrange(4, len(data))] = draw.randrange(256)
        else:
            at = 4 * draw.randrange(1, max(2, len(data) // 4))
            data[at : at + 4] = b"\xff\xff\xff\x7f"
        return bytes(data)


def bomb() -> bytes:
    """Return a PNG of a few hundred bytes whose header claims 20,000 x 20,000 pixels."""
    data = bytearray(cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes())
    data[16:24] = (20_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


BOMB = bomb()
IMAGES = ("/image", "/image/compressed")
TOPICS: dict[str, tuple[type, Callable[[Fuzz], Any]]] = {
    "/image": (Image, Fuzz.image),
    "/image/compressed": (CompressedImage, Fuzz.compressed),
    "/camera_info": (CameraInfo, Fuzz.camera_info),
    "/clicked_point": (PointStamped, Fuzz.point_stamped),
    "/image_mouse_left": (Point, Fuzz.point),
    "/segmenter/click": (PointStamped, Fuzz.point_stamped),
    "/segmenter/box": (PolygonStamped, Fuzz.polygon),
    "/segmenter/stroke": (PolygonStamped, Fuzz.polygon),
    "/segmenter/region": (PolygonStamped, Fuzz.polygon),
    "/segmenter/annotation": (ImageMarker, Fuzz.marker),
}


class MessageCounter:
    """A counter of the messages of each topic that reached the node, and of the errors of its images."""

    def __init__(self, inputs: Any) -> None:
        self.received = dict.fromkeys(TOPICS, 0)
        self.flushed = dict.fromkeys(TOPICS, 0)
        # Types only, because an error holds its message in memory.
        self.errors: list[type] = []
        for subscription in inputs._subscriptions:
            subscription.callback = self._counting(subscription.topic_name, subscription.callback)

    def _counting(self, topic: str, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        def call(message: Any) -> None:
            if is_flush(message):
                callback(message)
                self.flushed[topic] += 1
                return
            self.received[topic] += 1
            callback(message)
            if topic in IMAGES:
                # The worker decodes only some of the images.
                try:
                    to_rgb(message)
                except Exception as error:
                    self.errors.append(type(error))

        return call


FLUSH, FLUSH_X = "flush", -7777.0


def flush(kind: type) -> Any:
    """Return a flush message; its arrival shows that all earlier messages of its publisher arrived."""
    return Point(x=FLUSH_X) if kind is Point else kind(header=Header(frame_id=FLUSH))


def is_flush(message: Any) -> bool:
    """Return whether a message, or its bytes, is one of ``flush``."""
    if isinstance(message, bytes):
        return FLUSH.encode() in message or struct.pack("<d", FLUSH_X) in message
    return bool(message.header.frame_id == FLUSH)


@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_a_click_after_malformed_messages_is_answered(probe: Any, tmp_path: Path, transport: str) -> None:
    topic = {"raw": "/image", "compressed": "/image/compressed"}[transport]
    # Lossless QoS, so that every message arrives.
    lossless = {"reliability": "reliable", "history": "keep_all"}
    qos = {f"qos_overrides.{topic}.subscription.{name}": value for name, value in lossless.items()}
    rig = Rig(probe, session_directory=str(tmp_path), image_transport=transport, **qos)
    topics = [topic, *(other for other in TOPICS if other not in IMAGES and transport == "raw")]
    publishers = {name: probe.node.create_publisher(TOPICS[name][0], name, ALL) for name in topics}
    probe.until(lambda: all(publisher.get_subscription_count() for publisher in publishers.values()))
    probe.until(lambda: rig.node._outputs.wanted() and rig.clicks.get_subscription_count())
    counted = MessageCounter(rig.node._inputs)
    show_and_click(rig, publishers[topic], 5.0)
    fuzz = Fuzz(seed=1)
    sent = dict(counted.received)
    before = flushes = 0
    while sent[topic] < MESSAGES:
        for name in topics:
            for _ in range(BATCH):
                message = TOPICS[name][1](fuzz)
                publishers[name].publish(message)
                sent[name] += 1
                if name == "/camera_info":  # the node keeps only the last of these
                    probe.until(lambda: counted.received["/camera_info"] >= sent["/camera_info"], 60, "camera_info")
                if fuzz.sometimes():
                    # The middleware may drop a damaged message.
                    publishers[name].publish(fuzz.damaged(message))
        probe.until(lambda: all(counted.received[name] >= sent[name] for name in topics), 60, "all messages")
        # Some damaged messages arrive too, so the count alone does not show that all intact ones arrived.
        flushes += 1
        for name in topics:
            publishers[name].publish(flush(TOPICS[name][0]))
        ends = dict.fromkeys(topics, flushes)
        probe.until(lambda ends=ends: ends.items() <= counted.flushed.items(), 60, "the flush messages")
        # Annotations take memory by design, so they are removed before the measurement.
        rig.node._live.clear().result(60)
        rig.masks.clear()
        gc.collect()
        if sent[topic] >= MESSAGES / 5:
            before = before or resident_bytes()
    grown = (resident_bytes() - before) / 2**20
    print(f"{transport}: {sum(counted.received.values())} received, {grown:+.1f} MiB")
    assert grown < MEGABYTES
    assert set(counted.errors) == {ImageError}
    assert len(counted.errors) > MESSAGES / 4
    show_and_click(rig, publishers[topic], 6.0)


def test_huge_markers_do_not_leak_memory(probe: Any, tmp_path: Path) -> None:
    rig = Rig(probe, session_directory=str(tmp_path), autosave=False).connected()
    topic = "/segmenter/annotation"
    publisher = probe.node.create_publisher(ImageMarker, topic, ANNOTATION_INPUT)
    probe.until(lambda: publisher.get_subscription_count())
    counted = MessageCounter(rig.node._inputs)
    show_and_click(rig, rig.camera, 5.0)
    # Sizes of twice the accepted maximum, and just above it.
    huge = [serialize_message(ImageMarker(ns="0", points=[Point()] * count)) for count in (88_000, 44_000)]
    assert min(map(len, huge)) > MAX_BYTES
    sizes = [resident_bytes()]
    for thousand in range(1, 4):
        for number in range(MESSAGES):
            publisher.publish(huge[number % len(huge)])
            wanted = (thousand - 1) * MESSAGES + number + 1
            if wanted % ANNOTATION_INPUT.depth == 0:
                probe.until(lambda wanted=wanted: counted.received[topic] >= wanted, what="all messages")
        gc.collect()
        sizes.append(resident_bytes())
    grown = [(after - before) / 2**20 for before, after in itertools.pairwise(sizes)]
    print("grown by", *(f"{megabytes:+.1f}" for megabytes in grown), "MiB")
    # The publisher's history is in this process too. Each of its slots keeps the size of its largest message.
    assert grown[0] < 2 * ANNOTATION_INPUT.depth * max(map(len, huge)) / 2**20 + MEGABYTES
    assert max(grown[1:]) < FLAT
    show_and_click(rig, rig.camera, 6.0)


def show_and_click(rig: Rig, camera: Any, second: float) -> None:
    """Publish a frame and a click on it; wait for the answer."""
    rig.masks.clear()
    if camera.topic_name == "/image":
        camera.publish(from_array(picture(int(second)), "rgb8", header(second)))
    else:
        data = cv2.imencode(".png", picture(int(second))[..., ::-1])[1].tobytes()
        camera.publish(CompressedImage(header=header(second), format="png", data=data))
    rig.until_mask(second)
    rig.click(20, 15, second)
    mask = rig.until_labeled(second)
    assert mask.data[15 * WIDTH + 20] == 1
