"""A batch of replays: the settings that they share, and the output folder of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from neural_seg_ros.annotations.yaml_file import AnnotationFile, read_annotation_file
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.errors import SourceError
from neural_seg_ros.offline.bags.bag import Bag
from neural_seg_ros.offline.bags.frames import ImageTopic
from neural_seg_ros.offline.bags.recorded_annotations import with_recorded
from neural_seg_ros.offline.replay.replay import Progress, ReplayInput, ResumeOptions, replay_bag

T = TypeVar("T")


@dataclass(frozen=True)
class Task:
    """One topic of one bag, with its output folder."""

    bag: Path
    topic: str
    out: Path

    @property
    def name(self) -> str:
        return f"{self.bag} {self.topic}"


@dataclass(frozen=True)
class Batch:
    """The settings that all replays share; the fields are those of ImageTopic, ReplayInput and ``with_recorded``.

    annotations  an annotation file, a folder of them named as the bags, or None: only those recorded in the bags
    """

    annotations: Path | None
    annotation_topics: tuple[str, ...]
    active_class: int
    ground_truth: str | None
    start: float
    duration: float | None
    every: int
    rate: float | None
    two_pass: bool
    config: SessionConfig
    device: str
    resume_options: ResumeOptions


def plan(bags: Sequence[Path], topics: Sequence[str], out: Path) -> list[Task]:
    """Return a task for each topic of each bag; of several, each has its own folder in ``out``.

    Raises SourceError where two bags or topics would write to the same folder.
    """
    tasks = []
    for bag in bags:
        folder = out / _name(bag) if len(bags) > 1 else out
        for topic in topics:
            tasks.append(Task(bag, topic, folder / topic.strip("/").replace("/", "_") if len(topics) > 1 else folder))
    twice = [path for path, count in Counter(task.out for task in tasks).items() if count > 1]
    if twice:
        names = ", ".join(task.name for task in tasks if task.out == twice[0])
        raise SourceError(f"bags: got {names} for one folder {twice[0]}, accepted: different names")
    return tasks


def run_task(batch: Batch, task: Task, progress: Progress | None = None) -> list[str]:
    """Make one replay, shown by ``progress``. Raises SourceError, AnnotationError and ConfigError."""
    with Bag(task.bag) as bag:
        given = _annotations_of(batch, task)
        annotations = with_recorded(given, bag, task.topic, batch.annotation_topics, batch.active_class)
    images = ImageTopic(task.bag, task.topic, batch.start, batch.duration, batch.every)
    inputs = ReplayInput(
        images, annotations, batch.config, batch.device, batch.ground_truth, batch.rate, batch.two_pass
    )
    return replay_bag(inputs, task.out, progress or _silent, batch.resume_options)


def _annotations_of(batch: Batch, task: Task) -> AnnotationFile:
    path = batch.annotations
    if path is None:
        return AnnotationFile({}, ())
    return read_annotation_file(path / f"{_name(task.bag)}.yaml" if path.is_dir() else path)


def _name(bag: Path) -> str:
    return bag.stem if bag.is_file() else bag.resolve().name


def _silent(items: Iterable[T], description: str, total: int = 0) -> Iterator[T]:
    yield from items
