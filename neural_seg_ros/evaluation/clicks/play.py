"""One game of the robot user and a labeler on one sample, measured after every click."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from neural_seg_ros.annotations import Annotation, Click
from neural_seg_ros.errors import ConfigError
from neural_seg_ros.evaluation.clicks.calibration import Calibration, calibration_of
from neural_seg_ros.evaluation.contestants import Contestant
from neural_seg_ros.evaluation.datasets import Item, Sample
from neural_seg_ros.evaluation.labelers import Labeler, Labeling
from neural_seg_ros.images.arrays import Labels

ROBOTS = ("centre", "random")


@dataclass(frozen=True)
class Game:
    """The rules of a game: first annotations, robot, measures; functions at module level, so that it pickles.

    start       name of the first annotations
    first       annotations before the robot's first click; may be empty
    following   the user's next annotation from labels, truth, the clicks so far and, of a random one, a generator
    measure     figures of labels by name, the figure of merit first
    marks       the numbers of robot clicks that are shown
    show_first  whether the contact sheet shows the first answer, not the last
    """

    start: str
    first: Callable[[Sample], tuple[Annotation, ...]]
    following: Callable[[Labels, Labels, Sequence[Click], np.random.Generator | None], Annotation | None]
    measure: Callable[[Labels, Sample], dict[str, float]]
    marks: tuple[int, ...]
    show_first: bool = False


@dataclass(frozen=True)
class Task:
    """One game of one labeler on one image.

    longer_side  images and truths are shrunk to it, 0: as they are
    clicks       the most that the robot makes
    seed         None: the robot clicks the center of an error; else it clicks at random inside it
    """

    item: Item
    contestant: Contestant[Labeler]
    game: Game
    longer_side: int
    clicks: int
    seed: int | None


@dataclass(frozen=True)
class Plan:
    """Every contestant plays every game on every item.

    longer_side  images and truths are shrunk to it for everybody, 0: as they are
    clicks       the most that the robot makes
    robot        ``centre`` of an error, or a ``random`` point inside it
    seed         of the random robot
    batch        images of one size that are played side by side, their fits together (``answer: field`` alone)
    """

    items: tuple[Item, ...]
    contestants: tuple[Contestant[Labeler], ...]
    games: tuple[Game, ...]
    longer_side: int = 0
    clicks: int = 20
    robot: str = "centre"
    seed: int = 0
    batch: int = 1

    def __post_init__(self) -> None:
        if self.batch > 1 and not any(map(fits, self.contestants)):
            raise ConfigError(f"--batch: got {self.batch}, accepted: 1 without `field` among --answers")
        if self.robot not in ROBOTS:
            raise ConfigError(f"robot: got {self.robot!r}, accepted: {' | '.join(ROBOTS)}")

    def tasks(self) -> list[Task]:
        """Yield tasks item by item, game by game; all games on an item have random robots of the same seed."""
        seeds = np.random.SeedSequence(self.seed).generate_state(len(self.items)).tolist()
        return [
            Task(item, contestant, game, self.longer_side, self.clicks, seed if self.robot == "random" else None)
            for item, seed in zip(self.items, seeds, strict=True)
            for game in self.games
            for contestant in self.contestants
        ]


@dataclass(frozen=True)
class Answer:
    """The labeling after some annotations; ``calibration`` is None without a confidence."""

    drawn: tuple[Annotation, ...]
    labels: Labels
    calibration: Calibration | None


@dataclass(frozen=True)
class Run:
    """One game, measured after its first annotations, if any, and after every click of the robot.

    before         robot clicks before the first measure: 0 when something is drawn first, else 1
    start_seconds  to prepare for the image
    seconds        of every move
    figures        {name: value after every move}, the figure of merit first
    answers        {robot clicks: answer} at the marks that were reached, and the last
    """

    labeler: str
    image: str
    start: str
    before: int
    start_seconds: float
    seconds: tuple[float, ...]
    figures: Mapping[str, tuple[float, ...]]
    answers: Mapping[int, Answer]

    @property
    def merits(self) -> tuple[float, ...]:
        """The figure of merit after every move."""
        return next(iter(self.figures.values()))

    def merit(self, clicks: int) -> float:
        """Return the figure of merit after ``clicks`` robot clicks; a run that ended early keeps its last."""
        return self.merits[min(clicks - self.before, len(self.merits) - 1)]

    def answer(self, clicks: int) -> Answer:
        """Return the answer after ``clicks`` robot clicks, a mark or the most; the last of a run that ended early."""
        return self.answers[max(number for number in self.answers if number <= clicks)]


def fits(contestant: Contestant[Labeler]) -> bool:
    """Return whether a contestant is a session that fits its field between clicks."""
    return contestant.config is not None and not contestant.config.answers_at_once


def play(task: Task) -> Run:
    """Play a game with a new labeler of its contestant."""
    return play_with(task.contestant.build(), task)


def play_with(labeler: Labeler, task: Task) -> Run:
    """Play up to ``task.clicks`` clicks of the robot, fewer when nothing is wrong any more."""
    sample = task.item.load(task.longer_side)
    began = time.perf_counter()
    labeler.start(sample.image)
    start_seconds = time.perf_counter() - began
    first = task.game.first(sample)
    before = 0 if first else 1
    seconds: list[float] = []
    figures: list[dict[str, float]] = []
    answers: dict[int, Answer] = {}
    for clicks, move in enumerate(_moves(task, sample, labeler, first), start=before):
        seconds.append(move.seconds)
        calibration = calibration_of(move.labeling, sample.truth)
        figures.append(task.game.measure(move.labeling.labels, sample))
        if calibration is not None:
            figures[-1]["ece"] = calibration.expected_error()
        if clicks - 1 not in task.game.marks:
            answers.pop(clicks - 1, None)
        answers[clicks] = Answer(move.drawn, move.labeling.labels, calibration)
    return Run(
        task.contestant.name,
        sample.name,
        task.game.start,
        before,
        start_seconds,
        tuple(seconds),
        {name: tuple(figure[name] for figure in figures) for name in figures[0]},
        answers,
    )


@dataclass(frozen=True)
class _Move:
    drawn: tuple[Annotation, ...]
    labeling: Labeling
    seconds: float


def _moves(task: Task, sample: Sample, labeler: Labeler, first: tuple[Annotation, ...]) -> Iterator[_Move]:
    """Yield the first annotations, if any, then the robot's clicks one by one, each with the labeling after it."""
    generator = None if task.seed is None else np.random.default_rng(task.seed)
    labels: Labels = np.zeros(sample.truth.shape, np.uint8)
    drawn = first
    for number in range(0 if first else 1, task.clicks + 1):
        if number > 0:
            clicks = [annotation for annotation in drawn if isinstance(annotation, Click)]
            annotation = task.game.following(labels, sample.truth, clicks, generator)
            if annotation is None:
                return
            drawn = (*drawn, annotation)
        began = time.perf_counter()
        labeling = labeler.label(drawn)
        yield _Move(drawn, labeling, time.perf_counter() - began)
        labels = labeling.labels


def groups_of(plan: Plan) -> list[tuple[int, ...]]:
    """Group the numbers of ``plan.tasks()``, each once, into those played together.

    Those of one contestant that fits, one game and images of one size are, up to ``plan.batch`` of them.
    """
    if plan.batch == 1:
        return [(number,) for number in range(len(plan.tasks()))]
    shapes = {item.name: item.load(plan.longer_side).image.shape for item in plan.items}
    groups: list[tuple[int, ...]] = []
    alike: dict[object, list[int]] = {}
    for number, task in enumerate(plan.tasks()):
        if fits(task.contestant):
            key = task.contestant.name, task.game.start, shapes[task.item.name]
            alike.setdefault(key, []).append(number)
        else:
            groups.append((number,))
    for numbers in alike.values():
        groups += [tuple(numbers[first : first + plan.batch]) for first in range(0, len(numbers), plan.batch)]
    return groups


def play_together(tasks: Sequence[Task]) -> list[Run]:
    """Play a game each, in order: several in threads that make the steps of their fits in lock-step."""
    if len(tasks) == 1:
        return [play(tasks[0])]
    # Peers alone need no torch.
    from neural_seg_ros.evaluation.labelers import SessionLabeler
    from neural_seg_ros.field.batcher import Batcher

    batcher = Batcher(wait_for=len(tasks))

    def play_one(task: Task) -> Run:
        config, device = task.contestant.config, task.contestant.device
        assert config is not None
        assert device is not None
        try:
            return play_with(SessionLabeler(config, device, batcher.join), task)
        finally:
            batcher.leave()

    with ThreadPoolExecutor(len(tasks)) as threads:
        return list(threads.map(play_one, tasks))
