"""Memory does not grow with resets and other resolutions."""

from __future__ import annotations

import os
import weakref
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch

from neural_seg_ros import Click, Session, SessionConfig
from neural_seg_ros.field.engine import Engine

RESETS = 100
# What the allocator may keep for later. A session that stayed would take 2 MiB and more.
SPARE = 20 * 2**20
SIZES = ((48, 64), (60, 60), (64, 48), (40, 72), (33, 90))


def _config(answer: str) -> SessionConfig:
    config = SessionConfig.preset("cpu")
    field = replace(config.field, size=40, width=40, levels=3)
    return replace(config, answer=answer, field=field, track=replace(config.track, size=64, first_steps=1))


def _use(device: str, answer: str, resets: int) -> list[weakref.ref[Engine]]:
    """Make sessions; each sees frames of two resolutions, the second without its annotations."""
    engines = []
    config = _config(answer)
    for number in range(resets):
        session = Session(config, device)
        for turn in (0, 1):
            height, width = SIZES[(number + turn) % len(SIZES)]
            frame = np.full((height, width, 3), 60 + number, np.uint8)
            frame[:, width // 2 :] = 200
            session.observe(frame, float(turn))
            session.annotate(Click(3, height // 2, turn))
            session.fit(steps=1)
            session.result()
            engines.append(weakref.ref(session._fitting.engine))
        session.clear()
    return engines


@pytest.mark.parametrize(
    ("answer", "resets"), [("field", RESETS), pytest.param("fused", RESETS // 4, marks=pytest.mark.slow)]
)
def test_resets_and_other_resolutions_leave_nothing(answer: str, resets: int) -> None:
    process = psutil.Process(os.getpid())
    _use("cpu", answer, 5)
    before = process.memory_info().rss
    engines = _use("cpu", answer, resets)
    assert process.memory_info().rss - before < SPARE
    assert sum(engine() is not None for engine in engines) == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("answer", ["field", "fused"])
def test_a_hundred_resets_leave_nothing_on_the_device(answer: str) -> None:
    _use("cuda", answer, 5)
    torch.cuda.synchronize()
    before = torch.cuda.memory_reserved()
    _use("cuda", answer, RESETS)
    torch.cuda.synchronize()
    assert torch.cuda.memory_reserved() - before < SPARE
