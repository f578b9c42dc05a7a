"""A camera at 30 Hz into the segmenter for minutes, in three processes over DDS: memory, age of input, callbacks, rate.

    python benchmark/soak.py --seconds 300 --out soak

Writes ``soak.json`` and ``soak.md``. Exits with 1 when a limit is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PointStamped
from nodes import STOP_SECONDS, node, parse
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from neural_seg_ros.annotations.ros_messages import stamp_of
from neural_seg_ros.files import write_text
from neural_seg_ros.ros.toolkit import qos
from neural_seg_ros.ros.toolkit.distribution import use_large_images

WIDTH, HEIGHT = 640, 480
WARM_UP = 60.0
SEGMENTER = "/segmenter: segmentation"
CLICKS = ((1, 320.0, 240.0), (0, 20.0, 20.0))  # class, x, y
LIMITS = {
    "memory max [MB]": 1500.0,
    "memory growth [MB]": 50.0,
    "input age max [ms]": 100.0,
    "image callback p99 [ms]": 5.0,
}
START_SECONDS = 120.0


class Listener(Node):
    """Clicks twice, then keeps every diagnostic of the segmenter with the time it came.

    ages  seconds from a camera frame's stamp to the arrival of its first mask; all processes share the host's clock
    """

    def __init__(self) -> None:
        super().__init__("soak")
        self.samples: list[tuple[float, dict[str, str]]] = []
        self.masks = 0
        self.ages: list[float] = []
        self._stamp = 0.0
        self._clicks = self.create_publisher(PointStamped, "/segmenter/click", 10)
        self._set = self.create_client(SetParameters, "/segmenter/set_parameters")
        self.create_subscription(Image, "/segmenter/mask", self._on_mask, qos.OUTPUT)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def click(self, class_id: int, x: float, y: float) -> None:
        """Click as a user does: choose the class, then the pixel."""
        parameter = Parameter("active_class", value=class_id).to_parameter_msg()
        request = SetParameters.Request(parameters=[parameter])
        rclpy.spin_until_future_complete(self, self._set.call_async(request), timeout_sec=STOP_SECONDS)
        message = PointStamped()
        message.point.x, message.point.y = x, y
        self._clicks.publish(message)

    def _on_mask(self, message: Image) -> None:
        self.masks += 1
        stamp = stamp_of(message.header) or 0.0
        if stamp != self._stamp:
            self._stamp = stamp
            self.ages.append(time.time() - stamp)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == SEGMENTER:
                self.samples.append((time.monotonic(), {entry.key: entry.value for entry in status.values}))


def main() -> int:
    """Run the soak and report it."""
    options = _options()
    os.environ["ROS_DOMAIN_ID"] = str(options.domain)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    use_large_images()
    segmenter = ["-r", "image:=image_raw", "-p", f"preset:={options.preset}"]
    camera = ["-p", f"video:={options.video}", "-p", "rate:=30.0", "-p", f"width:={WIDTH}", "-p", f"height:={HEIGHT}"]
    rclpy.init()
    listener = Listener()
    try:
        with node("segmenter", segmenter) as first, node("camera", camera) as second:
            figures = _soak(listener, options.seconds, (first, second))
    finally:
        listener.destroy_node()
        rclpy.try_shutdown()
    broken = [name for name, limit in LIMITS.items() if not _within(figures[name], limit)]
    run = {"preset": options.preset, "video": Path(options.video).name}
    write_text(
        options.out / "soak.json", json.dumps({**figures, **run, "limits": LIMITS, "broken": broken}, indent=2) + "\n"
    )
    write_text(options.out / "soak.md", _table(figures))
    print(_table(figures))
    for name in broken:
        print(f"{name}: got {figures[name]}, accepted: at most {LIMITS[name]}", file=sys.stderr)
    return 1 if broken else 0


def _soak(listener: Listener, seconds: float, processes: Sequence[subprocess.Popen[bytes]]) -> dict[str, float | None]:
    """Figures of a run of ``seconds`` from the first mask on; None for what the segmenter does not know."""
    deadline = time.monotonic() + START_SECONDS
    while not listener.masks:
        if time.monotonic() > deadline:
            raise SystemExit(f"no mask within {START_SECONDS:g} s")
        _spin(listener, processes)
    for click in CLICKS:
        listener.click(*click)
    listener.ages.clear()
    began, masks = time.monotonic(), listener.masks
    while time.monotonic() < began + seconds:
        _spin(listener, processes)
    if not listener.ages:
        raise SystemExit("no mask after the clicks")
    warm = min(WARM_UP, seconds / 2)
    memory = np.array([float(values["memory [MB]"]) for at, values in listener.samples if at >= began + warm])
    last = listener.samples[-1][1]
    figures: dict[str, float | None] = {
        "seconds": seconds,
        "memory after warm-up [MB]": float(memory[0]),
        "memory max [MB]": float(memory.max()),
        "memory growth [MB]": round(float(memory.max() - memory[0]), 1),
        "masks received [Hz]": round((listener.masks - masks) / seconds, 2),
        "frame stamp to mask arrival p50 [ms]": round(1e3 * float(np.percentile(listener.ages, 50)), 1),
        "frame stamp to mask arrival p95 [ms]": round(1e3 * float(np.percentile(listener.ages, 95)), 1),
    }
    for name in (
        "input age max [ms]",
        "image callback p50 [ms]",
        "image callback p99 [ms]",
        "input rate [Hz]",
        "fit rate [steps/s]",
        "click latency p50 [ms]",
        "click latency p95 [ms]",
        "mask latency p50 [ms]",
        "mask latency p95 [ms]",
        "PSNR [dB]",
        "frames in",
        "frames processed",
        "frames dropped",
        "frames stale",
        "errors",
    ):
        figures[name] = float(last[name]) if last[name] else None
    return figures


def _spin(listener: Listener, processes: Sequence[subprocess.Popen[bytes]]) -> None:
    rclpy.spin_once(listener, timeout_sec=1.0)
    for process in processes:
        if process.poll() is not None:
            raise SystemExit(f"a node ended with {process.returncode}")


def _within(figure: float | None, limit: float) -> bool:
    return figure is not None and figure <= limit


def _table(figures: dict[str, float | None]) -> str:
    rows = [f"| {name} | {value} | {LIMITS.get(name, '')} |" for name, value in figures.items()]
    return "\n".join(["| figure | measured | at most |", "|---|---|---|", *rows]) + "\n"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--out", type=Path, default=Path("soak"))
    return parse(parser, domain=91)


if __name__ == "__main__":
    sys.exit(main())
