"""The robot user and a labeller play on one sample: what is measured after every click."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from neural_seg_ros.annotations import Click
from neural_seg_ros.errors import ConfigError
from neural_seg_ros.evaluate.contestants import Contestant
from neural_seg_ros.evaluate.datasets import Item, Sample
from neural_seg_ros.evaluate.labeller import Labeller, Labelling
from neural_seg_ros.evaluate.nearest import Labels

ROBOTS = ("centre", "random")
NextClick = Callable[[Labels, Labels, Sequence[Click], np.random.Generator | None], Click | None]


@dataclass(frozen=True)
class Task:
    """One labeller on one image.

    longer_side  images and truths are shrunk to it, 0: as they are
    clicks       the most that the robot makes
    seed         None: the robot clicks the centre of an error; else it clicks at random inside it
    """

    item: Item
    contestant: Contestant
    longer_side: int
    clicks: int
    seed: int | None


@dataclass(frozen=True)
class Plan:
    """Every contestant on every item.

    longer_side  images and truths are shrunk to it for everybody, 0: as they are
    clicks       the most that the robot makes, at least 1
    robot        ``centre`` of an error, or a ``random`` point inside it
    seed         of the random robot
    """

    items: tuple[Item, ...]
    contestants: tuple[Contestant, ...]
    longer_side: int = 0
    clicks: int = 20
    robot: str = "centre"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.robot not in ROBOTS:
            raise ConfigError(f"robot: got {self.robot!r}, accepted: {' | '.join(ROBOTS)}")

    def tasks(self) -> list[Task]:
        """Item by item; contestants on one item meet random robots of the same seed."""
        seeds = np.random.SeedSequence(self.seed).generate_state(len(self.items)).tolist()
        return [
            Task(item, contestant, self.longer_side, self.clicks, seed if self.robot == "random" else None)
            for item, seed in zip(self.items, seeds, strict=True)
            for contestant in self.contestants
        ]


@dataclass(frozen=True)
class Move:
    """What the labeller answered to the clicks so far, and the seconds it took."""

    labelling: Labelling
    seconds: float


@dataclass(frozen=True)
class Game:
    """A task as it is played: the sample, seconds before the first click, the clicks so far, the moves to come."""

    sample: Sample
    start_seconds: float
    clicks: list[Click]
    moves: Iterator[Move]


def play(task: Task, first: Callable[[Sample], tuple[Click, ...]], following: NextClick) -> Game:
    """Start a game: the clicks of ``first``, if any, are one move; then up to ``task.clicks`` of the robot, one a move.

    It ends early when nothing is wrong.
    """
    sample = task.item.load(task.longer_side)
    labeller = task.contestant.build()
    began = time.perf_counter()
    labeller.start(sample.image)
    start_seconds = time.perf_counter() - began
    clicks = list(first(sample))
    return Game(sample, start_seconds, clicks, _moves(task, sample, labeller, clicks, following))


def _moves(task: Task, sample: Sample, labeller: Labeller, clicks: list[Click], following: NextClick) -> Iterator[Move]:
    generator = None if task.seed is None else np.random.default_rng(task.seed)
    labels = np.zeros(sample.truth.shape, np.uint8)
    if clicks:
        move = _timed(labeller, clicks)
        labels = move.labelling.labels
        yield move
    for _ in range(task.clicks):
        click = following(labels, sample.truth, clicks, generator)
        if click is None:
            return
        clicks.append(click)
        move = _timed(labeller, clicks)
        labels = move.labelling.labels
        yield move


def _timed(labeller: Labeller, clicks: Sequence[Click]) -> Move:
    began = time.perf_counter()
    labelling = labeller.label(clicks)
    return Move(labelling, time.perf_counter() - began)
