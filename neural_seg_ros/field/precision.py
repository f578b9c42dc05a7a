"""In which numbers a field is computed."""

from __future__ import annotations

import torch
from torch import Tensor


def compute_dtype(precision: str, device: torch.device) -> torch.dtype:
    """float32 or bfloat16 for ``fp32``, ``bf16``, or ``auto``: bfloat16 where the device computes it natively.

    Weights, moments, losses and the statistics of normalisation are float32 in any case.
    """
    if precision == "auto":
        precision = "bf16" if native_bfloat16(device) else "fp32"
    return torch.bfloat16 if precision == "bf16" else torch.float32


def computing(code: Tensor) -> torch.autocast:
    """The context in which a network computes in the numbers of its ``code``."""
    # The cache would keep weights of one step for the next when steps are captured.
    return torch.autocast(code.device.type, torch.bfloat16, code.dtype == torch.bfloat16, cache_enabled=False)


def native_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32: AMX or AVX512-BF16 on a CPU, compute capability 8 on CUDA."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # Not a public interface; a torch without it computes in float32.
    checks = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return any(check is not None and check() for check in checks)
