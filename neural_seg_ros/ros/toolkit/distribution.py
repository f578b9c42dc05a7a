"""The ROS installation: a sourced distribution, or Python packages installed by pip."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

from neural_seg_ros.errors import NeuralSegError, one_line

_INSTALL = (
    "source a ROS 2 distribution (source /opt/ros/jazzy/setup.bash), or install its Python packages with "
    "pip install '.[ros]'"
)

# Variables with the path of a Fast DDS profile: Jazzy reads the first, Kilted the second.
_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
_PROFILE = Path("config", "fastdds.xml")


class RosMissingError(NeuralSegError):
    """The ROS client library, or a message package, cannot be imported."""


def require_ros() -> None:
    """Raise RosMissingError, with installation instructions, unless rclpy and the nodes' messages can be imported.

    A sourced distribution takes precedence over pip's packages: it sets PYTHONPATH, which Python searches first.
    """
    for module in ("rclpy", "sensor_msgs.msg", "geometry_msgs.msg", "visualization_msgs.msg", "diagnostic_msgs.msg"):
        reason = _import_failure(module)
        if reason is not None:
            raise RosMissingError(f"cannot import {module}, because {reason}; {_INSTALL}")


def have_vision_msgs() -> bool:
    """Return whether class names are published as ``vision_msgs/LabelInfo``; otherwise they are JSON in a String."""
    return _import_failure("vision_msgs.msg") is None


def use_large_images() -> None:
    """Set config/fastdds.xml as the Fast DDS profile of this process; call this before rclpy.init.

    A profile that the user has set stays. Without the file nothing changes.
    """
    prefixes = [*filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)), sys.prefix]
    folders = [Path(__file__).parents[3], *(Path(prefix, "share", "neural_seg_ros") for prefix in prefixes)]
    profile = next((folder / _PROFILE for folder in folders if (folder / _PROFILE).is_file()), None)
    if profile is not None and not any(name in os.environ for name in _VARIABLES):
        os.environ.update(dict.fromkeys(_VARIABLES, str(profile)))


def _import_failure(module: str) -> str | None:
    """Return the reason why a module cannot be imported, in one line; None if it can.

    An installed module may fail too, for example for want of a shared library.
    """
    try:
        importlib.import_module(module)
    except (ImportError, AttributeError) as error:
        return one_line(error)
    return None
