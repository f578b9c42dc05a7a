"""Set-up of torch: precision, device, random seed, deterministic algorithms, and the keys of snapshots."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from neural_seg_ros.errors import ConfigError


def compute_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Choose float32 or bfloat16 for ``fp32``, ``bf16``, or ``auto``: bfloat16 where the device computes it natively.

    Weights, moments, losses and the statistics of normalization are float32 in any case.
    """
    if precision == "auto":
        precision = "bf16" if native_bfloat16(device) else "fp32"
    return torch.bfloat16 if precision == "bf16" else torch.float32


def computing(code: Tensor) -> torch.autocast:
    """Return the context in which a network computes in the dtype of its ``code``."""
    # With the cache, captured steps would use the weights of the step before.
    return torch.autocast(code.device.type, torch.bfloat16, code.dtype == torch.bfloat16, cache_enabled=False)


def native_bfloat16(device: torch.device) -> bool:
    """Return whether bfloat16 is faster than float32: AMX or AVX512-BF16, or CUDA compute capability 8."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # Not a public interface; a torch without it computes in float32.
    checks = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return any(check is not None and check() for check in checks)


def choose_device(name: str) -> torch.device:
    """Choose ``auto`` (CUDA where torch sees it), ``cpu``, ``cuda`` or ``cuda:N``. Raises ConfigError."""
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


_GENERATOR = threading.Lock()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generator inside this context; a lock serializes the threads that use it."""
    with _GENERATOR, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def only_deterministic(device: torch.device) -> None:
    """Restrict cuDNN on this device to algorithms that add in a fixed order."""
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True


def part_of(snapshot: Mapping[str, Tensor], owner: str) -> dict[str, Tensor]:
    """Select the entries named ``owner.NAME``, as ``NAME``."""
    prefix = f"{owner}."
    return {name.removeprefix(prefix): tensor for name, tensor in snapshot.items() if name.startswith(prefix)}
