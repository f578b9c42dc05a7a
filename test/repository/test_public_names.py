"""The public names of the package, which users import."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

PUBLIC = {
    "neural_seg_ros": (
        "Annotation Box Click Contours FieldConfig FitConfig Mask NeuralSegError Region Result Session SessionConfig "
        "Stroke find_contours"
    ),
    "neural_seg_ros.annotations": "Annotation Box Click Mask Region Stroke",
    "neural_seg_ros.contours": "Contours find_contours",
    "neural_seg_ros.live": "Autosave HealthConfig LiveCallbacks LiveConfig LiveResult LiveSession LiveStatus",
    "neural_seg_ros.session": "Result Session",
}


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_can_be_imported(module: str) -> None:
    package = importlib.import_module(module)
    for name in PUBLIC[module].split():
        assert hasattr(package, name)
        assert name in package.__all__


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        importlib.import_module("neural_seg_ros").nothing  # noqa: B018


def test_importing_the_package_loads_neither_torch_nor_scipy() -> None:
    code = "import sys, neural_seg_ros; print([name for name in ('torch', 'scipy', 'cv2') if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert answer.stdout.strip() == "[]"
