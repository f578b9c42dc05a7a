"""Room for large images in the shared memory of Fast DDS, for this process and those it starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Jazzy reads the first, Kilted the second.
_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
_PROFILE = Path("config", "fastdds.xml")


def use_large_images() -> None:
    """Put config/fastdds.xml into the environment, before rclpy.init, unless there is a profile or no such file."""
    prefixes = [*filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)), sys.prefix]
    folders = [Path(__file__).parents[2], *(Path(prefix, "share", "neural_seg_ros") for prefix in prefixes)]
    found = next((folder / _PROFILE for folder in folders if (folder / _PROFILE).is_file()), None)
    if found is not None and not any(name in os.environ for name in _VARIABLES):
        os.environ.update(dict.fromkeys(_VARIABLES, str(found)))
