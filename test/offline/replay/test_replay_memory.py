"""A replay of a long bag takes no more memory than one of a short bag."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from neural_seg_ros.annotations import Click
from neural_seg_ros.annotations.yaml_file import AnnotationFile, Entry
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.offline.bags.frames import ImageTopic
from neural_seg_ros.offline.replay.replay import ReplayInput, ResumeOptions, replay_bag

BENCHMARK = Path(__file__).resolve().parents[3] / "benchmark" / "long_bag.py"
T = TypeVar("T")


@pytest.mark.slow
def test_memory_is_flat_after_the_first_frames(tmp_path: Path) -> None:
    """The clip of ``benchmark/long_bag.py``, shortly: with an hour of it the benchmark shows the same."""
    specification = importlib.util.spec_from_file_location("long_bag", BENCHMARK)
    assert specification is not None
    assert specification.loader is not None
    long_bag = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(long_bag)
    long_bag.write_bag(tmp_path / "bag", seconds=25)
    megabytes: list[float] = []

    def progress(items: Iterable[T], description: str, total: int = 0) -> Iterator[T]:
        for item in items:
            megabytes.append(psutil.Process().memory_info().rss / 2**20)
            yield item

    clicks = (Entry(Click(470, 240, 1), frame=0), Entry(Click(9, 9, 0), frame=200))
    tiny = {"field.size": 32, "field.width": 8, "field.levels": 2, "fit.first_steps": 2, "fit.frame_steps": 1}
    inputs = ReplayInput(
        ImageTopic(tmp_path / "bag", long_bag.TOPIC),
        AnnotationFile({}, clicks),
        SessionConfig.preset("cpu", answer="field", **tiny),
        device="cpu",
        two_pass=True,
    )
    replay_bag(inputs, tmp_path / "out", progress, ResumeOptions(checkpoint=1.0))
    frames = 250
    assert len(megabytes) == frames + 99 + frames, (
        "forwards, back from frame 200 to 101, and while the files are written"
    )
    assert max(megabytes) - megabytes[60] < long_bag.LIMIT
