"""The figures of the fit on a GPU, and the tests that need one, in under ten minutes.

    python benchmark/gpu.py --out gpu

Runs the tests that are skipped without CUDA, ``neural-seg benchmark step`` of the thesis network with its growth and of
preset ``gpu``, and ``neural-seg benchmark latency``, each in a process of its own with a limit of time. After each of
them ``gpu.json`` has all that is known so far: the figures beside what is aimed at, and how each part ended. The parts
leave their own metrics.json, table.md and plots beside it. Exits with 1 when a part failed or a figure is missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neural_seg_ros.files import write_text

ROOT = Path(__file__).resolve().parents[1]
# Files with tests that are skipped without CUDA.
TESTS = ("field/test_steps.py", "field/test_batcher.py", "field/test_transfer.py", "field/test_growth.py")
PROGRAM = ("-c", "from neural_seg_ros.cli.main import main; main()", "benchmark")
CAMERAS = 16


@dataclass(frozen=True)
class Figure:
    """A measured figure (None: not reached), and its aim, an upper or a lower bound."""

    name: str
    measured: float | None
    aimed: float
    at_least: bool
    kept: bool


def parts(device: str, options: Sequence[str]) -> dict[str, tuple[float, list[str]]]:
    """``{name: (seconds it may take, arguments of python)}``; ``options`` are of the measuring parts."""
    common = ["--device", device, *options]
    tests = [str(ROOT / "test" / name) for name in TESTS]
    return {
        "tests": (150.0, ["-m", "pytest", "-q", "-rs", *tests]),
        "thesis": (120.0, [*PROGRAM, "step", "--preset", "thesis", *common]),
        "gpu": (80.0, [*PROGRAM, "step", "--preset", "gpu", "--no-growth", *common]),
        "latency": (250.0, [*PROGRAM, "latency", "--preset", "gpu", *common]),
    }


def figures(step: Mapping[str, Any] | None, latency: Mapping[str, Any] | None) -> list[Figure]:
    """List the figures that the metrics.json of ``step`` (thesis network, with growth) and ``latency`` give."""
    found = []

    def add(name: str, measured: float | None, at_most: float = 0.0, at_least: float = 0.0) -> None:
        aimed = at_least or at_most
        kept = measured is not None and (measured >= aimed if at_least else measured <= aimed)
        found.append(Figure(name, measured, aimed, bool(at_least), kept))

    if step is not None:
        engine, growth = step["engines"]["engine"], step["growth"]
        add("step of the thesis network at 256 px, ms", engine["step_ms"], at_most=0.5)
        add("times eager float32", engine["speed_up"], at_least=8.0)
        least = CAMERAS * step["roofline"]["engine"]["roofline_ms"]
        add("16 images batched, share of the roofline", least / growth["cameras"][str(CAMERAS)], at_least=0.4)
        add("cold start to 25 dB, capture included, s", step["curves"]["engine"]["wanted_seconds"], at_most=1.0)
        pixels, marks = growth["resolution"], growth["annotations"]
        add("128 to 1024 px: times the time, for 64 times the pixels", pixels["1024"] / pixels["128"], at_most=64.0)
        add("1 to 10,000 annotations: times the time", marks["10000"] / marks["1"], at_most=1.05)
    for answer, row in (latency or {"moving_camera": {}})["moving_camera"].items():
        add(f"click to mask at 640x480, {answer}, p95, s", row["click_p95"], at_most=0.05)
        # The camera gives 30 frames a second; one in a hundred may be between two looks of the clock.
        add(f"masks a second while fitting, {answer}", row["masks_following"], at_least=29.7)
    return found


def run(arguments: Sequence[str], limit: float) -> dict[str, Any]:
    """Return how a part ended: its exit status, None when the time was up, seconds, and the last lines it wrote."""
    began = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=limit,
            check=False,
        )
        status, text = done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        status, text = None, late.stdout.decode(errors="replace") if isinstance(late.stdout, bytes) else ""
    return {"status": status, "seconds": time.monotonic() - began, "last_lines": text.splitlines()[-30:]}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it with command-line arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu"))
    parser.add_argument("--device", default="cuda", help="cuda | cuda:N; cpu tries the program itself")
    parser.add_argument("options", nargs="*", help="options of the measuring commands, after --")
    given = parser.parse_args(arguments)
    out = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    ended: dict[str, dict[str, Any]] = {}
    judged: list[Figure] = []
    for name, (limit, of_python) in parts(given.device, given.options).items():
        place = [] if name == "tests" else ["--out", str(out / name)]
        print(f"{name}: at most {limit:.0f} s", flush=True)
        ended[name] = run([*of_python, *place], limit)
        print("\n".join(ended[name]["last_lines"]), flush=True)
        judged = figures(_metrics(out / "thesis", ended), _metrics(out / "latency", ended))
        report = {"device": given.device, "figures": [asdict(figure) for figure in judged], "parts": ended}
        write_text(out / "gpu.json", json.dumps(report, indent=1) + "\n")
    for figure in judged:
        bound = "at least" if figure.at_least else "at most"
        measured = "not reached" if figure.measured is None else f"{figure.measured:.3g}"
        print(f"{'kept  ' if figure.kept else 'missed'} {figure.name}: {measured} ({bound} {figure.aimed:g})")
    failed = any(part["status"] != 0 for part in ended.values())
    return int(failed or not all(figure.kept for figure in judged))


def _metrics(folder: Path, ended: Mapping[str, Mapping[str, Any]]) -> Any:
    """Return the measurements of a part; None when it has not run to its end."""
    if ended.get(folder.name, {}).get("status") != 0:
        return None
    return json.loads((folder / "metrics.json").read_text())


if __name__ == "__main__":
    sys.exit(main())
