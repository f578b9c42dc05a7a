"""A segmenter that is killed again and again during annotations, and the annotations that survive."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

import rclpy
from conftest import Probe
from geometry_msgs.msg import Point, PointStamped
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from visualization_msgs.msg import ImageMarker

from neural_seg_ros.errors import SessionFileError
from neural_seg_ros.live.autosave.store import AutosaveFolder, AutosaveState, decode
from neural_seg_ros.ros.toolkit.conversion import from_array

pytestmark = [pytest.mark.ros, pytest.mark.slow]

KILLS = 10
HEIGHT, WIDTH = 48, 64
LOST = 0.1  # seconds of annotations that a kill may cost
PERIOD = 0.04  # seconds between annotations
RECENT = 15  # annotations before the kill, during which waits for a core count
GREETING = HEIGHT * WIDTH - 1  # the last pixel, which is clicked until a node receives it
PARAMETERS = {
    "field.size": 32,
    "field.width": 8,
    "field.levels": 2,
    "fit.first_steps": 3,
    "fit.click_steps": 3,
    "track.first_steps": 4,
    "track.size": 64,
    "live.max_age": 10.0,
}
MODULE = "neural_seg_ros.ros.segmenter.node"
# A node takes seconds to import torch. This process has imported it; for every line that it reads it forks a process
# that runs the same as ``python -m neural_seg_ros.ros.segmenter.node``.
NURSERY = f"""
import json, os, signal, sys
import {MODULE}, neural_seg_ros.session.session
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if not child:
        os._exit({MODULE}.main(json.loads(line)))
    print(child, flush=True)
"""


class Nursery:
    """A starter of processes, each of which is a node."""

    def __init__(self, arguments: list[str]) -> None:
        self._arguments = arguments
        self._mother = self._python("-c", NURSERY, stdin=subprocess.PIPE)
        assert self._line() == "ready"

    def node(self) -> int:
        """Fork off a node and return its process id."""
        self._mother.stdin.write(json.dumps(["segmenter", *self._arguments]) + "\n")
        self._mother.stdin.flush()
        return int(self._line())

    def module(self) -> subprocess.Popen[str]:
        """Start a node as users start it and return its process."""
        return self._python("-m", MODULE, *self._arguments)

    def close(self) -> None:
        self._mother.kill()
        self._mother.communicate()

    def _line(self) -> str:
        return self._mother.stdout.readline().strip()

    def _python(self, *arguments: str, stdin: Any = None) -> subprocess.Popen[str]:
        path = os.pathsep.join([str(Path(__file__).parents[3]), *sys.path])
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, *arguments], stdin=stdin, stdout=subprocess.PIPE, text=True, env=environment
        )


class User:
    """A user who annotates one pixel after the other.

    when  the time of each annotation by its number, on the monotonic clock
    """

    def __init__(self, folder: Path) -> None:
        self.when: dict[int, float] = {}
        self._folder = folder
        self._lives = 0

    def annotate(self, probe: Probe, seconds: float, process: int, *, restored: bool) -> float:
        """Annotate a node for some time, after its restore or at once; return its threads' recent waits for a core."""
        clicks = probe.node.create_publisher(PointStamped, "/segmenter/click", 100)
        markers = probe.node.create_publisher(ImageMarker, "/segmenter/annotation", 100)
        camera = probe.node.create_publisher(Image, "/image", 1)
        self._lives += 1
        header = Header()
        header.stamp.sec = self._lives

        def received() -> bool:
            """Return whether the node receives both topics; messages before that may be lost."""
            camera.publish(from_array(picture(self._lives), "rgb8", header))
            if not clicks.get_subscription_count():
                return False
            clicks.publish(click(GREETING, header))
            markers.publish(marker(GREETING - self._lives, header))
            keys = {record.get("key") for record in records(self._folder)}
            for record in records(self._folder):
                keys |= {entry["key"] for entry in record.get("add", [])}
            return GREETING - self._lives in keys

        probe.until(received, 60, "the start of a node")
        if restored:
            probe.until(lambda: all("restoring" not in record for record in records(self._folder)), 60, "its session")
        waited = [waits(process)]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            camera.publish(from_array(picture(self._lives), "rgb8", header))
            number = len(self.when)
            self.when[number] = time.monotonic()
            if number % 5:
                clicks.publish(click(number, header))
            else:
                markers.publish(marker(number, header))
            waited.append(waits(process))
            due = time.monotonic() + min(PERIOD, until - time.monotonic())
            while (left := due - time.monotonic()) > 0:
                probe.executor.spin_once(timeout_sec=left)
        return waits(process) - waited[-min(len(waited), RECENT)]


def click(number: int, header: Header) -> PointStamped:
    message = PointStamped(header=header)
    message.point = pixel(number)
    return message


def marker(number: int, header: Header) -> ImageMarker:
    return ImageMarker(header=header, ns="2", id=number, type=ImageMarker.POINTS, points=[pixel(number)])


def pixel(number: int) -> Point:
    return Point(x=float(number % WIDTH), y=float(number // WIDTH))


def read(folder: Path) -> AutosaveState:
    """Read the log of a running node."""
    state = AutosaveState()
    for record in records(folder)[1:]:
        state.apply(record)
    return state


def records(folder: Path) -> list[dict[str, Any]]:
    """Return the records in the log of a running node."""
    try:
        return decode((folder / "annotations.log").read_bytes())
    except (FileNotFoundError, SessionFileError):
        return []


def waits(process: int) -> float:
    """Return the seconds that all threads of a process have waited for a core so far."""
    seconds = 0.0
    for path in Path(f"/proc/{process}/task").glob("*/schedstat"):
        with suppress(OSError):
            seconds += int(path.read_text().split()[1]) / 1e9
    return seconds


def picture(seed: int) -> Any:
    """Return (H, W, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)


@contextmanager
def fresh_probe(domain: int) -> Iterator[Probe]:
    """Return a probe that has not discovered the killed nodes; one that has waits 20 s for them."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    probe = Probe(context)
    try:
        yield probe
    finally:
        probe.close()
        context.shutdown()


def saved_annotations(folder: Path) -> list[int]:
    """Return the numbers of the annotations on disk, pending ones included."""
    store = AutosaveFolder(folder)
    state, source = store.read()
    for name in state.pixels:
        store.read_pixels(name)
    store.close()
    assert source == "/image"
    return numbers_of(state)


def numbers_of(state: AutosaveState) -> list[int]:
    """Return the numbers of annotations, without greetings."""
    shapes = [entry.shape for entry in state.annotations] + [
        s for command in state.pending.values() for s in command.shapes
    ]
    return [number for number in (int(shape.x + WIDTH * shape.y) for shape in shapes) if number < GREETING - KILLS - 1]


def kill(process: int) -> None:
    """Send SIGKILL and wait until the process is gone."""
    os.kill(process, signal.SIGKILL)
    while Path(f"/proc/{process}").exists():
        time.sleep(0.001)


def test_kills_lose_at_most_100_ms_of_annotations(ros_domain: int, tmp_path: Path) -> None:
    draw = random.Random(0)
    parameters = {**PARAMETERS, "session_directory": str(tmp_path)}
    arguments = ["--ros-args", *(item for name, value in parameters.items() for item in ("-p", f"{name}:={value}"))]
    folder = tmp_path / "autosave" / "segmenter"
    nursery, user = Nursery(arguments), User(folder)
    survived: set[int] = set()
    try:
        for life in range(KILLS):
            process = nursery.node()
            new = len(user.when)
            with fresh_probe(ros_domain) as probe:
                # Most are killed during their restore.
                restored = life % 5 == 4
                waited = user.annotate(probe, draw.uniform(0.1, 0.8), process, restored=restored)
                killed = time.monotonic()
                kill(process)
            numbers = saved_annotations(folder)
            assert len(set(numbers)) == len(numbers), "none twice"
            assert survived <= set(numbers), "what was there stays"
            survived = set(numbers)
            ages = [killed - user.when[number] for number in range(new, len(user.when)) if number not in survived]
            lost = max(ages, default=0.0)
            print(f"life {life}: lost {1000 * lost:.0f} ms, waited {1000 * waited:.0f} ms, has {len(survived)}")
            # The time that the node waited for a core on a busy machine does not count.
            assert lost <= LOST + waited, ages
        check_last(nursery, ros_domain, folder, survived)
    finally:
        nursery.close()


def check_last(nursery: Nursery, domain: int, folder: Path, survived: set[int]) -> None:
    """Check that a node started as users start it has all annotations, each once, on their frames."""
    process = nursery.module()
    try:
        with fresh_probe(domain) as probe:
            masks = probe.listen(Image, "/segmenter/mask")
            camera = probe.node.create_publisher(Image, "/image", 1)
            state = read(folder)
            shape, frame = state.annotations[0].shape, state.annotations[0].frame

            def labeled() -> bool:
                header = Header()
                header.stamp.sec = int(frame.stamp)
                camera.publish(from_array(picture(header.stamp.sec), "rgb8", header))
                return any(255 not in mask.data for mask in masks)

            probe.until(labeled, 60, "a mask of the first annotated frame")
            mask = next(mask for mask in masks if 255 not in mask.data)
            assert mask.data[int(shape.x + WIDTH * shape.y)] == shape.class_id
            assert sorted(numbers_of(read(folder))) == sorted(survived)
            restored_state, count = read(folder), 0
            assert not restored_state.pending
            while probe.call(Trigger, "/segmenter/undo").success:
                count += 1
            assert count == len(restored_state.annotations)
    finally:
        process.kill()
        process.communicate()
