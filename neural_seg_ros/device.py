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
    except RuntimeError:
        raise ConfigError(f"device: got {name!r}, accepted: auto | cpu | cuda | cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device: got {name!r}, but torch sees no CUDA device, accepted: auto | cpu")
    return device
