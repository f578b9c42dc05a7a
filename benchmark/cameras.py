"""Several cameras in one process over DDS: masks a second of each, the longest wait for one, and who is slowed by whom.

    python benchmark/cameras.py --seconds 30 --out cameras

Every scenario plays a clip as so many cameras, each in a process of its own, into fresh segmenters:

same      all cameras alike
clicked   the first is clicked every two seconds from then on
larger    the first has images of twice the width and height
separate  all alike, and a process for each segmenter, for comparison
alone     one camera

Writes ``cameras.json`` and ``cameras.md``. Exits with 1 when alike cameras differ by more than 20 %.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point
from nodes import node, parse
from rclpy.node import Node
from sensor_msgs.msg import Image
from visualization_msgs.msg import ImageMarker

from neural_seg_ros.annotations.ros_messages import stamp_of
from neural_seg_ros.files import write_text
from neural_seg_ros.ros.toolkit import qos
from neural_seg_ros.ros.toolkit.distribution import use_large_images

WIDTH, HEIGHT, RATE = 640, 480, 15.0
# Class and place, as shares of width and height.
CLICKS = ((1, 0.5, 0.5), (0, 0.03, 0.04))
CLICK_PERIOD = 2.0
START_SECONDS = 180.0
SETTLE_SECONDS = 5.0
# How much slower than the fastest of alike cameras one may be.
APART = 0.2
Processes = Sequence[subprocess.Popen[bytes]]
SCENARIOS = ("same", "clicked", "larger", "separate", "alone")


@dataclass
class Heard:
    """Masks of one camera.

    arrivals  monotonic seconds, one for each labeled frame
    status    the newest diagnostics
    """

    width: int = WIDTH
    height: int = HEIGHT
    arrivals: list[float] = field(default_factory=list)
    status: dict[str, str] = field(default_factory=dict)
    stamp: float = 0.0


class Listener(Node):
    """Hears the masks of all cameras, and clicks."""

    def __init__(self, cameras: dict[str, Heard]) -> None:
        super().__init__("listener")
        self.cameras = cameras
        self._clicks = {}
        for name, heard in cameras.items():
            self._clicks[name] = self.create_publisher(ImageMarker, f"/{name}/segmenter/annotation", 10)
            self.create_subscription(Image, f"/{name}/segmenter/mask", lambda m, h=heard: _on_mask(h, m), qos.OUTPUT)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def click(self, name: str, number: int) -> None:
        """Click on the newest frame: the object, background, and so on in turns."""
        heard = self.cameras[name]
        class_id, x, y = CLICKS[number % len(CLICKS)]
        message = ImageMarker(ns=str(class_id), id=number, type=ImageMarker.POINTS)
        message.points = [Point(x=x * heard.width + number, y=y * heard.height + number)]
        self._clicks[name].publish(message)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            for name, heard in self.cameras.items():
                if status.name == f"/{name}/segmenter: segmentation":
                    heard.status = {entry.key: entry.value for entry in status.values}


def _on_mask(heard: Heard, message: Image) -> None:
    stamp = stamp_of(message.header) or 0.0
    if stamp != heard.stamp:
        heard.stamp = stamp
        heard.arrivals.append(time.monotonic())


def main() -> int:
    """Run the scenarios and report them."""
    options = _options()
    os.environ["ROS_DOMAIN_ID"] = str(options.domain)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    use_large_images()
    rclpy.init()
    try:
        found = {scenario: _figures(scenario, options) for scenario in options.scenarios}
    finally:
        rclpy.try_shutdown()
    table = _table(found)
    run = {"seconds": options.seconds, "cameras": options.cameras, "preset": options.preset}
    run |= {"video": Path(options.video).name, "cores": len(os.sched_getaffinity(0))}
    write_text(options.out / "cameras.json", json.dumps({**run, "scenarios": found}, indent=2) + "\n")
    write_text(options.out / "cameras.md", table)
    print(table)
    ratio = found["same"]["slowest / fastest"] if "same" in found else 1.0
    if ratio < 1 - APART:
        print(f"slowest / fastest: got {ratio}, accepted: at least {1 - APART}", file=sys.stderr)
    return int(ratio < 1 - APART)


def _figures(scenario: str, options: argparse.Namespace) -> dict[str, Any]:
    """Summarize the measurements of a scenario."""
    count = 1 if scenario == "alone" else options.cameras
    cameras = {f"camera_{number}": Heard() for number in range(count)}
    first = next(iter(cameras))
    if scenario == "larger":
        cameras[first] = Heard(2 * WIDTH, 2 * HEIGHT)
    listener = Listener(cameras)
    try:
        with contextlib.ExitStack() as stack:
            segmenters = [stack.enter_context(each) for each in _segmenters(scenario, list(cameras), options.preset)]
            players = [stack.enter_context(each) for each in _players(cameras, options)]
            clicked = first if scenario == "clicked" else None
            cores = _play(listener, segmenters, players, options.seconds, clicked)
    finally:
        listener.destroy_node()
    rates = {name: round(len(heard.arrivals) / options.seconds, 2) for name, heard in cameras.items()}
    memory = [float(heard.status["memory [MB]"]) for heard in cameras.values()]
    return {
        "masks [Hz]": list(rates.values()),
        "slowest / fastest": round(min(rates.values()) / max(max(rates.values()), 1e-9), 3),
        "longest wait [s]": [round(_longest_wait(heard.arrivals), 2) for heard in cameras.values()],
        "frames in [Hz]": [float(heard.status["input rate [Hz]"]) for heard in cameras.values()],
        "steps [1/s]": [float(heard.status["fit rate [steps/s]"]) for heard in cameras.values()],
        "click p50 [ms]": [float(heard.status["click latency p50 [ms]"] or "nan") for heard in cameras.values()],
        "cores used": round(cores, 2),
        "memory [MB]": round(sum(memory) if scenario == "separate" else memory[0]),
    }


def _segmenters(
    scenario: str, cameras: Sequence[str], preset: str
) -> Iterator[contextlib.AbstractContextManager[subprocess.Popen[bytes]]]:
    common = ["-r", "image:=image_raw", "-p", f"preset:={preset}"]
    if scenario == "separate":
        for name in cameras:
            yield node("segmenter", [*common, "-r", f"__ns:=/{name}"])
    else:
        yield node("multi_segmenter", [*common, "-p", f"cameras:=[{', '.join(cameras)}]"])


def _players(
    cameras: dict[str, Heard], options: argparse.Namespace
) -> Iterator[contextlib.AbstractContextManager[subprocess.Popen[bytes]]]:
    for name, heard in cameras.items():
        size = ["-p", f"width:={heard.width}", "-p", f"height:={heard.height}"]
        yield node("camera", ["-r", f"__ns:=/{name}", "-p", f"video:={options.video}", "-p", f"rate:={RATE}", *size])


def _play(listener: Listener, segmenters: Processes, players: Processes, seconds: float, clicked: str | None) -> float:
    """Hear all cameras for so many seconds, after two clicks on each; ``clicked`` is clicked on.

    Returns how many cores the segmenters used: on a machine shared with others it is not all of them.
    """
    cameras, processes = listener.cameras.values(), [*segmenters, *players]
    deadline = time.monotonic() + START_SECONDS
    while not all(heard.arrivals for heard in cameras):
        if time.monotonic() > deadline:
            raise SystemExit(f"no masks of all cameras within {START_SECONDS:g} s")
        _spin(listener, processes)
    for number in range(len(CLICKS)):
        for name in listener.cameras:
            listener.click(name, number)
    # A frame that is clicked is held until its answer is there; what counts is how the following ones are served.
    clicked_at, deadline = time.time(), time.monotonic() + START_SECONDS
    while not all(heard.stamp > clicked_at for heard in cameras) and time.monotonic() < deadline:
        _spin(listener, processes)
    settled = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < settled:
        _spin(listener, processes)
    for heard in cameras:
        heard.arrivals.clear()
    used, began = _cpu_seconds(segmenters), time.monotonic()
    number, due = len(CLICKS), began
    while time.monotonic() < began + seconds:
        _spin(listener, processes)
        if clicked is not None and time.monotonic() >= due:
            listener.click(clicked, number)
            number, due = number + 1, due + CLICK_PERIOD
    return (_cpu_seconds(segmenters) - used) / seconds


def _cpu_seconds(processes: Processes) -> float:
    return sum(sum(psutil.Process(process.pid).cpu_times()[:2]) for process in processes)


def _spin(listener: Listener, processes: Processes) -> None:
    rclpy.spin_once(listener, timeout_sec=0.1)
    for process in processes:
        if process.poll() is not None:
            raise SystemExit(f"a node ended with {process.returncode}")


def _longest_wait(arrivals: Sequence[float]) -> float:
    return max((later - sooner for sooner, later in itertools.pairwise(arrivals)), default=float("inf"))


def _table(found: dict[str, dict[str, object]]) -> str:
    columns = list(next(iter(found.values())))
    lines = [f"| scenario | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
    for scenario, figures in found.items():
        cells = (" / ".join(map(str, value)) if isinstance(value, list) else str(value) for value in figures.values())
        lines.append(f"| {scenario} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--out", type=Path, default=Path("cameras"))
    parser.add_argument("--cameras", type=int, default=2)
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    return parse(parser, domain=92)


if __name__ == "__main__":
    sys.exit(main())
