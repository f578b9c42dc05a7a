"""Resident memory of ``neural-seg replay`` on a long bag: a short clip over and over, 640x480 at 10 Hz.

    python benchmark/long_bag.py --seconds 3600 --out long_bag

Writes the bag (JPEG, about 2 GB an hour), replays it in a process of its own and writes ``memory.json`` and
``memory.md``. Options after ``--`` go to the replay. Exits with 1 when the limit is broken.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import psutil
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from neural_seg_ros.files import write_text

WIDTH, HEIGHT, RATE = 640, 480, 10
LOOP = 50  # frames of the clip
LIMIT = 50.0  # megabytes that the memory may grow after the warm-up
IMAGE = "sensor_msgs/msg/CompressedImage"
TOPIC = "/camera/image_raw/compressed"
TYPES = get_typestore(Stores.ROS2_JAZZY)


def clip() -> list[bytes]:
    """Return a disc that goes round over a fixed texture, there and back again, as JPEG."""
    texture = np.random.default_rng(0).integers(0, 120, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    still = cv2.resize(texture, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    frames = []
    for number in range(LOOP):
        angle = 2 * np.pi * number / LOOP
        center = round(WIDTH / 2 + 150 * np.cos(angle)), round(HEIGHT / 2 + 100 * np.sin(angle))
        image = cv2.circle(still.copy(), center, 70, (40, 60, 230), cv2.FILLED)
        frames.append(cv2.imencode(".jpg", image)[1].tobytes())
    return frames


def write_bag(path: Path, seconds: float) -> None:
    """Return the clip over and over."""
    types, frames = TYPES.types, [np.frombuffer(frame, np.uint8) for frame in clip()]
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(TOPIC, IMAGE, typestore=TYPES)
        for number in range(round(seconds * RATE)):
            stamp = 10**18 + number * 10**9 // RATE
            time_ = types["builtin_interfaces/msg/Time"](sec=stamp // 10**9, nanosec=stamp % 10**9)
            header = types["std_msgs/msg/Header"](stamp=time_, frame_id="camera")
            message = types[IMAGE](header=header, format="jpeg", data=frames[number % LOOP])
            writer.write(connection, stamp, TYPES.serialize_cdr(message, IMAGE))


def replay(bag: Path, out: Path, options: Sequence[str], period: float) -> list[tuple[float, float]]:
    """Return (seconds since the start, resident megabytes) all the while."""
    x, y = WIDTH // 2 + 150, HEIGHT // 2
    text = f"annotations:\n  - {{frame: 0, class: 1, click: [{x}, {y}]}}\n  - {{frame: 0, class: 0, click: [9, 9]}}\n"
    write_text(out / "clicks.yaml", text)
    code = "from neural_seg_ros.cli.main import main; main()"
    fixed = ["--image-topic", TOPIC, "--annotations", str(out / "clicks.yaml"), "--out", str(out / "replay")]
    process = subprocess.Popen([sys.executable, "-c", code, "replay", bag, *fixed, *options])
    began, samples, watched = time.monotonic(), [], psutil.Process(process.pid)
    while process.poll() is None:
        try:
            samples.append((time.monotonic() - began, watched.memory_info().rss / 2**20))
        except psutil.NoSuchProcess:
            break
        try:
            process.wait(period)
        except subprocess.TimeoutExpired:
            continue
    if process.wait():
        raise SystemExit(f"error: the replay ended with {process.returncode}")
    return samples


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the bag, replay it, compare the memory with its limit; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=3600.0, help="length of the bag")
    parser.add_argument("--warm-up", type=float, default=60.0, help="seconds of the run that are not judged")
    parser.add_argument("--out", type=Path, default=Path("long_bag"))
    parser.add_argument("options", nargs="*", help="options of neural-seg replay, after --")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    bag = given.out / f"bag_{given.seconds:g}"
    if not bag.exists():
        write_bag(bag, given.seconds)
    samples = replay(bag, given.out, given.options, period=0.5)
    judged = [megabytes for seconds, megabytes in samples if seconds >= given.warm_up]
    if not judged:
        took = f"{samples[-1][0]:.0f} s that it took"
        raise SystemExit(f"error: warm-up: got {given.warm_up:g} s, accepted: less than the {took}")
    growth = max(judged) - judged[0]
    figures = {
        "frames": round(given.seconds * RATE),
        "seconds": samples[-1][0],
        "megabytes at the end of the warm-up": judged[0],
        "megabytes at most": max(judged),
        "growth in megabytes": growth,
        "limit in megabytes": LIMIT,
    }
    write_text(given.out / "memory.json", json.dumps({**figures, "samples": samples}) + "\n")
    table = "".join(f"| {name} | {value:.0f} |\n" for name, value in figures.items())
    write_text(given.out / "memory.md", f"| | |\n|---|---|\n{table}")
    print(table, end="")
    return int(growth > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
