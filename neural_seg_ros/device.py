"""Where the field is fitted."""

from __future__ import annotations

import torch

from neural_seg_ros.errors import ConfigError


def choose_device(name: str) -> torch.device:
    """``auto`` (CUDA where torch sees it), ``cpu``, ``cuda`` or ``cuda:N``. Raises ConfigError."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        raise ConfigError(f"device: got {name!r}, accepted: auto | cpu | cuda | cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device: got {name!r}, accepted: auto | cpu | cuda | cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        seen = torch.cuda.device_count()
        raise ConfigError(f"device: got {name!r}, but torch sees {seen} CUDA devices, accepted: auto | cpu")
    return device
