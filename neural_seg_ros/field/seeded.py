"""The same calls, the same numbers: seeds, and algorithms that add in one order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_GENERATOR = threading.Lock()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """What torch draws inside is of this seed. torch has one generator, and sessions have many threads."""
    with _GENERATOR, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def only_deterministic(device: torch.device) -> None:
    """Have cuDNN choose no algorithm on this device that adds in any order."""
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True
