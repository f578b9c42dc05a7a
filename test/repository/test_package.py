"""The package as colcon, rosdep and pip see it: its files agree with each other and with the code."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAME = "neural_seg_ros"
# Imported as, installed by pip as, known to rosdep as (None where it has no key).
DEPENDENCIES = {
    "PIL": ("pillow", "python3-pil"),
    "cv2": ("opencv-python-headless", "python3-opencv"),
    "higra": ("higra", None),
    "jinja2": ("jinja2", "python3-jinja2"),
    "joblib": ("joblib", "python3-joblib"),
    "numpy": ("numpy", "python3-numpy"),
    "psutil": ("psutil", "python3-psutil"),
    "rich": ("rich", None),
    "rosbags": ("rosbags", None),
    "safetensors": ("safetensors", None),
    "scipy": ("scipy", "python3-scipy"),
    "skimage": ("scikit-image", "python3-skimage"),
    "torch": ("torch", "python3-torch"),
    "typer": ("typer", None),
    "yaml": ("pyyaml", "python3-yaml"),
}
# Imported where it is asked for alone, and the extra of setup.py that installs it.
OPTIONAL = {"distributed": "dask", "matplotlib": "evaluation"}
# Part of the package of another name.
ROS_MODULES = {"tf2_ros", "cv_bridge", "interactive_markers", "rclpy", "launch", "launch_ros"}
# Modules that a package of another name has; ``tf2_ros`` is the one with the executables.
ROS_PACKAGES = {"tf2_ros": "tf2_ros_py"}


@pytest.fixture(scope="module")
def manifest() -> ET.Element:
    return ET.parse(ROOT / "package.xml").getroot()


@pytest.fixture(scope="module")
def setup_arguments() -> dict[str, object]:
    """Return the keyword arguments of ``setup()`` that are literals, and the lists of strings among its constants."""
    tree = ast.parse((ROOT / "setup.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setup"]
    literals = {}
    for keyword in calls[0].keywords:
        try:
            literals[str(keyword.arg)] = ast.literal_eval(keyword.value)
        except ValueError:
            continue
    return literals


@pytest.fixture(scope="module")
def imported() -> set[str]:
    """Top-level modules that the package and its launch files import, without Python's own."""
    names: set[str] = set()
    for path in (*(ROOT / NAME).rglob("*.py"), *(ROOT / "launch").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return names - sys.stdlib_module_names - {NAME}


def is_ros(module: str) -> bool:
    return module in ROS_MODULES or module.endswith(("_msgs", "_srvs", "_interfaces"))


def test_manifest_names_a_package_for_colcon(manifest: ET.Element) -> None:
    assert manifest.get("format") == "3"
    assert manifest.findtext("name") == NAME
    assert manifest.findtext("export/build_type") == "ament_python"
    assert manifest.findtext("license") == "Apache-2.0"
    assert (ROOT / "resource" / NAME).is_file()
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_version_is_the_same_everywhere(manifest: ET.Element) -> None:
    version = re.search(r'^VERSION = "(.+)"$', (ROOT / "setup.py").read_text(), re.MULTILINE)
    assert version is not None
    assert manifest.findtext("version") == version[1]


def test_every_import_is_declared(manifest: ET.Element, setup_arguments: dict[str, object], imported: set[str]) -> None:
    declared = {element.text for element in manifest if element.tag.endswith("depend")}
    assert {ROS_PACKAGES.get(module, module) for module in imported if is_ros(module)} <= declared
    others = {module for module in imported if not is_ros(module)} - OPTIONAL.keys()
    assert others <= set(DEPENDENCIES), "name it in DEPENDENCIES, setup.py, package.xml and constraints.txt"
    keys = {key for _, key in map(DEPENDENCIES.get, others) if key is not None}  # type: ignore[misc]
    assert keys <= declared
    requirements = setup_arguments["install_requires"]
    assert isinstance(requirements, list)
    installed = {re.split(r"[<>=]", requirement)[0] for requirement in requirements}
    assert {DEPENDENCIES[module][0] for module in others} <= installed
    extras = setup_arguments["extras_require"]
    assert isinstance(extras, dict)
    for module, extra in OPTIONAL.items():
        assert module in {re.split(r"[<>=]", requirement)[0] for requirement in extras[extra]}


def test_every_requirement_is_pinned(setup_arguments: dict[str, object]) -> None:
    pinned = set(re.findall(r"^([a-z0-9-]+)==\d", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    extras, requirements = setup_arguments["extras_require"], setup_arguments["install_requires"]
    assert isinstance(extras, dict)
    assert isinstance(requirements, list)
    wanted = [*requirements, *(name for names in extras.values() for name in names)]
    assert {re.split(r"[<>=]", requirement)[0] for requirement in wanted} <= pinned


def test_only_ros_imports_rclpy() -> None:
    elsewhere = [path for path in (ROOT / NAME).rglob("*.py") if "ros" not in path.parent.parts]
    assert not [path for path in elsewhere if re.search(r"^\s*(import|from) rclpy\b", path.read_text(), re.MULTILINE)]


EXECUTABLES = ["camera", "canvas", "detections", "labelled_cloud", "multi_segmenter", "neural-seg", "segmenter"]


@pytest.mark.parametrize("executable", EXECUTABLES)
def test_executables_are_installed_and_lead_to_a_function(executable: str) -> None:
    try:
        distribution = importlib.metadata.distribution(NAME)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{NAME} is not installed: make venv")
    entry = next(point for point in distribution.entry_points if point.name == executable)
    if executable != "neural-seg":
        pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)
    assert callable(entry.load())
    assert Path(sys.executable).with_name(executable).is_file()


# Says what each variable was when NumPy, whose libraries read them, began to be loaded.
WATCH = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy":
            print(os.environ.get("OMP_WAIT_POLICY"), os.environ.get("OPENBLAS_THREAD_TIMEOUT"))
sys.meta_path.insert(0, Watch())
import neural_seg_ros
"""


@pytest.mark.parametrize(("given", "read"), [({}, "PASSIVE 14"), ({"OPENBLAS_THREAD_TIMEOUT": "20"}, "PASSIVE 20")])
def test_how_threads_wait_is_said_before_numpy_is_loaded(given: dict[str, str], read: str) -> None:
    ours = ("OMP_WAIT_POLICY", "OPENBLAS_THREAD_TIMEOUT")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    command = [sys.executable, "-c", WATCH]
    done = subprocess.run(command, env={**environment, **given}, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == read, done.stderr
