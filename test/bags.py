"""Small bags for tests: a square that moves to the right, as raw and compressed images, with its truth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.highlevel import AnyReader
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from neural_seg_ros.cli.main import run

HEIGHT, WIDTH, COUNT = 48, 64, 5
START = 1_700_000_000_000_000_000  # nanoseconds
PERIOD = 100_000_000
DELAY = 7_000_000  # from a header's stamp to its recording
TYPES = get_typestore(Stores.ROS2_JAZZY)
TYPES1 = get_typestore(Stores.ROS1_NOETIC)
IMAGE, COMPRESSED, STRING = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "std_msgs/msg/String"
QUICK = [
    *("--set", "field.size=32", "--set", "field.width=8", "--set", "field.levels=2", "--device", "cpu"),
    *("--set", "fit.first_steps=4", "--set", "fit.click_steps=2", "--set", "fit.frame_steps=1"),
    *("--set", "track.first_steps=4", "--set", "track.correction_steps=2", "--set", "track.size=64"),
]
CLICKS = "classes: {1: square}\nannotations:\n  - {frame: 0, class: 1, click: [20, 24]}\n"
# Topic, type, nanoseconds of the recording, message.
Recorded = tuple[str, str, int, Any]


def scene(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (H, W, 3) RGB and (H, W) truth of a frame."""
    image = np.full((HEIGHT, WIDTH, 3), (20, 30, 160), np.uint8)
    truth = np.zeros((HEIGHT, WIDTH), np.uint8)
    truth[12:36, 10 + number : 34 + number] = 1
    image[truth == 1] = (220, 40, 30)
    return image, truth


def header(number: int, types: Any = TYPES) -> Any:
    """Return the header of a frame; None as number: without a stamp."""
    stamp = START + number * PERIOD
    time = types.types["builtin_interfaces/msg/Time"](sec=stamp // 10**9, nanosec=stamp % 10**9)
    sequence = {"seq": number} if types is TYPES1 else {}
    return types.types["std_msgs/msg/Header"](stamp=time, frame_id="camera_optical", **sequence)


def image_message(number: int, pixels: np.ndarray, encoding: str, padding: int = 0, types: Any = TYPES) -> Any:
    rows = pixels.reshape(HEIGHT, -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=9)
    return types.types[IMAGE](
        header=header(number, types),
        height=HEIGHT,
        width=WIDTH,
        encoding=encoding,
        is_bigendian=0,
        step=rows.shape[1],
        data=np.ascontiguousarray(rows).ravel(),
    )


def jpeg_message(number: int, pixels: np.ndarray, types: Any = TYPES) -> Any:
    _, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    format_ = "rgb8; jpeg compressed bgr8"
    return types.types[COMPRESSED](header=header(number, types), format=format_, data=data.ravel())


def recorded_at(number: int) -> int:
    """Nanoseconds of the recording of a frame."""
    return START + number * PERIOD + DELAY


def messages(count: int, broken: Iterable[int], types: Any = TYPES) -> list[Recorded]:
    """Return a camera (raw and compressed), its truth and chatter; images ``broken`` have an encoding nobody knows."""
    found = []
    for number in range(count):
        image, truth = scene(number)
        encoding = "vendor_secret" if number in broken else "rgb8"
        for topic, kind, message in (
            ("/camera/image_raw", IMAGE, image_message(number, image, encoding, padding=5, types=types)),
            ("/camera/compressed", COMPRESSED, jpeg_message(number, image, types)),
            ("/truth", IMAGE, image_message(number, truth * 255, "mono8", types=types)),
            ("/chatter", STRING, types.types[STRING](data="hello")),
        ):
            found.append((topic, kind, recorded_at(number), message))
    return found


def write_bag(
    path: Path,
    storage: StoragePlugin,
    broken: Iterable[int] = (),
    count: int = COUNT,
    extra: Sequence[Recorded] = (),
) -> Path:
    """Return ``messages`` and ``extra`` as a bag of ROS 2."""
    listed = sorted([*messages(count, broken), *extra], key=lambda each: each[2])
    with Writer(path, version=9, storage_plugin=storage) as writer:
        kinds = {topic: kind for topic, kind, _, _ in listed}
        connections = {topic: writer.add_connection(topic, kind, typestore=TYPES) for topic, kind in kinds.items()}
        for topic, kind, timestamp, message in listed:
            writer.write(connections[topic], timestamp, TYPES.serialize_cdr(message, kind))
    return path


def write_bag1(path: Path, broken: Iterable[int] = (), count: int = COUNT, chunk_bytes: int = 1) -> Path:
    """Return ``messages`` as a bag of ROS 1, in chunks of at least so many bytes."""
    with Writer1(path) as writer:
        writer.chunk_threshold = chunk_bytes
        connections: dict[str, Any] = {}
        for topic, kind, timestamp, message in messages(count, broken, TYPES1):
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=TYPES1)
            writer.write(connections[topic], timestamp, TYPES1.serialize_ros1(message, kind))
    return path


def replay(bag: Path, *extra: object, topic: str = "/camera/image_raw", name: str = "out") -> int:
    """Return ``neural-seg replay`` with the clicks beside the bag, into a folder beside it."""
    return run(arguments(bag, *extra, topic=topic, name=name))


def arguments(bag: Path, *extra: object, topic: str = "/camera/image_raw", name: str = "out") -> list[str]:
    folder = bag.parent
    fixed = ["--image-topic", topic, "--annotations", folder / "clicks.yaml", "--out", folder / name]
    return [str(argument) for argument in ("replay", bag, *fixed, *QUICK, *extra)]


def read_masks(path: Path) -> dict[str, list[tuple[int, Any]]]:
    """Return {topic: [(timestamp, message)]} of a bag of masks."""
    found: dict[str, list[tuple[int, Any]]] = {}
    with AnyReader([path]) as reader:
        for connection, timestamp, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            found.setdefault(connection.topic, []).append((timestamp, message))
    return found


def outputs_of(folder: Path) -> dict[str, bytes]:
    """Name and content of each output, but for figures of time."""
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    del found["timings.json"]
    lines = found["report.html"].split(b"\n")
    found["report.html"] = b"\n".join(line for line in lines if not line.startswith(b"<section id='timings'>"))
    return found
