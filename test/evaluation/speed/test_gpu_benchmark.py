"""``benchmark/gpu.py``: what it makes of the metrics of its parts. It has never been run on a GPU."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]
STEP = {
    "engines": {"engine": {"step_ms": 0.4, "speed_up": 9.0}},
    "roofline": {"engine": {"roofline_ms": 0.1}},
    "curves": {"engine": {"wanted_seconds": None}},
    "growth": {
        "cameras": {"16": 3.2},
        "resolution": {"128": 0.2, "1024": 10.0},
        "annotations": {"1": 1.0, "10000": 1.2},
    },
}
LATENCY = {"moving_camera": {"fused": {"click_p95": 0.04, "masks_following": 29.9}}}


@pytest.fixture
def gpu() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu", ROOT / "benchmark" / "gpu.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu"] = module
    spec.loader.exec_module(module)
    return module


def test_figures_are_held_against_what_is_aimed_at(gpu: ModuleType) -> None:
    kept = {figure.name.split(",")[0]: figure.kept for figure in gpu.figures(STEP, LATENCY)}
    missed = {name for name, of in kept.items() if not of}
    assert missed == {"cold start to 25 dB", "1 to 10"}
    assert len(kept) == 8
    batched = next(figure for figure in gpu.figures(STEP, None) if "batched" in figure.name)
    assert batched.measured == pytest.approx(0.5)
    assert gpu.figures(None, None) == []


def test_its_parts_fit_into_ten_minutes_and_their_tests_exist(gpu: ModuleType) -> None:
    parts = gpu.parts("cuda", ["--set", "seed=1"])
    assert sum(limit for limit, _ in parts.values()) <= 600
    files = set((ROOT / "test").rglob("test_*.py")) - {Path(__file__).resolve()}
    with_cuda = {str(path.relative_to(ROOT / "test")) for path in files if "no CUDA device" in path.read_text()}
    assert with_cuda == set(gpu.TESTS)


def test_a_part_that_takes_too_long_or_fails_is_told(gpu: ModuleType) -> None:
    assert gpu.run(["-c", "import time; time.sleep(60)"], 0.5)["status"] is None
    failed = gpu.run(["-c", "raise SystemExit(3)"], 30.0)
    assert failed["status"] == 3
