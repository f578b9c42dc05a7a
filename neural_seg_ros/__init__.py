"""Label a live robot camera from the pixels alone: a convolutional neural field, refitted to every frame."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

# By default the threads of OpenMP and of OpenBLAS wait for each other in busy loops: beside a camera driver on the same
# cores that makes a step of the fit several times slower, and beside contours both (docs/lab/latency.md). Read
# when torch, or NumPy and SciPy, are first imported, so this must come before them; a value that the user has set wins.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Two to that power of processor cycles, not 2^26 or more: some microseconds.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "14")

from neural_seg_ros.annotations import Annotation, Box, Click, Mask, Region, Stroke
from neural_seg_ros.config import FieldConfig, FitConfig, SessionConfig
from neural_seg_ros.errors import NeuralSegError

if TYPE_CHECKING:
    from neural_seg_ros.contours import Contours, find_contours
    from neural_seg_ros.session import Result, Session

__version__ = "0.2.0"

__all__ = [
    "Annotation",
    "Box",
    "Click",
    "Contours",
    "FieldConfig",
    "FitConfig",
    "Mask",
    "NeuralSegError",
    "Region",
    "Result",
    "Session",
    "SessionConfig",
    "Stroke",
    "find_contours",
]


# Imported on first use: these need torch or SciPy, while annotations and options must stay light to import.
_LAZY = {
    "Contours": "neural_seg_ros.contours",
    "Result": "neural_seg_ros.session",
    "Session": "neural_seg_ros.session",
    "find_contours": "neural_seg_ros.contours",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
