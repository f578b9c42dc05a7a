"""Imports point downwards only (docs/architecture.md)."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "neural_seg_ros"
# From the top down; a module may import from its own layer and from those below.
LAYERS = (
    ("cli",),
    ("ros", "evaluation"),
    ("live", "offline"),
    ("session",),
    ("tracking", "contours"),
    ("click_answer", "field", "drawing"),
    ("regions", "annotations"),
    ("config", "metrics"),
    ("images", "torch_setup"),
    ("options", "files", "jobs"),
    ("errors",),
)
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def layer_of(module: str) -> str:
    """Return ``session`` of ``neural_seg_ros.session.session``, ``ros`` of ``neural_seg_ros.ros.camera``."""
    return module.split(".")[1]


def layer_of_path(path: Path) -> str:
    """Return ``session`` of ``neural_seg_ros/session/history.py``."""
    return layer_of("neural_seg_ros." + path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", "."))


def imported(path: Path) -> set[str]:
    """Return the modules of this package that a file imports, wherever in it, but for types alone."""
    tree = ast.parse(path.read_text())
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("neural_seg_ros."):
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards(path: Path) -> None:
    own = layer_of_path(path)
    for module in imported(path):
        other = layer_of(module)
        allowed = other == own or RANK[other] > RANK[own]
        assert allowed, f"{own} imports {module}"


# Libraries, and the places that may import them.
CONFINED = {
    # The last four set the number of its threads, or name a device.
    "torch": (
        "field",
        "tracking",
        "contours/thesis",
        "session",
        "evaluation",
        "torch_setup.py",
        "cli/benchmark.py",
        "live/background.py",
        "offline/replay/replay.py",
        "ros/segmenter/multi_segmenter.py",
    ),
    "rclpy": ("ros",),
    "matplotlib": ("evaluation/plots.py",),
}


@pytest.mark.parametrize("library", CONFINED)
def test_only_some_places_import(library: str) -> None:
    pattern = re.compile(rf"^\s*(import|from) {library}\b", re.MULTILINE)
    users = [path.relative_to(PACKAGE).as_posix() for path in MODULES if pattern.search(path.read_text())]
    assert [user for user in users if not user.startswith(CONFINED[library])] == []


def test_nothing_in_production_imports_the_evaluation() -> None:
    production = [path for path in MODULES if layer_of_path(path) not in ("evaluation", "cli")]
    assert [path for path in production if any(".evaluation" in module for module in imported(path))] == []


def test_describing_a_session_needs_no_torch() -> None:
    code = "import sys, neural_seg_ros; neural_seg_ros.SessionConfig(); print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert answer.stdout.strip() == "False"


def test_a_session_imports_all_that_it_needs_before_it_begins() -> None:
    """Imports at run time hold up all threads of a node that already listens."""
    code = """
import sys
import numpy as np
from neural_seg_ros import Click, SessionConfig
from neural_seg_ros.session import Session

before, session, image = set(sys.modules), Session(SessionConfig()), np.zeros((32, 48, 3), np.uint8)
for _ in range(2):
    session.observe(image)
    session.annotate(Click(3, 3, 1))
    session.result()
print(len(set(sys.modules) - before))
"""
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    # Before torch's compiler was imported with the session, it and sympy were 879.
    assert int(answer.stdout) < 20
