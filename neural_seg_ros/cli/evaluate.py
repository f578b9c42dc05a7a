"""``neural-seg evaluate``: a robot user measures sessions and classical peers against ground truth."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from neural_seg_ros.cli import common
from neural_seg_ros.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from neural_seg_ros.evaluation.clicks.game_report import Report
    from neural_seg_ros.evaluation.clicks.play import Plan, Run
    from neural_seg_ros.evaluation.datasets import Item
    from neural_seg_ros.evaluation.tracking.play import Run as TrackingRun

T = TypeVar("T")

_SOME_FAILED = 1  # exit status when some sequences failed and the rest is reported

app = typer.Typer(no_args_is_help=True, help="Measure quality against ground truth, beside classical peers.")

Data = Annotated[Path, typer.Option(envvar="NEURAL_SEG_DATA", help="Folder of the data set, or the one above it.")]
Peers = Annotated[str, typer.Option(help="Classical methods beside ours: all | none | names with commas.")]
Answers = Annotated[str, typer.Option(help="Our own answers: all | none | field,fused.")]
Limit = Annotated[int, typer.Option(min=0, help="Use only the first images, by name; 0: all.")]
LongerSide = Annotated[int, typer.Option(min=0, help="Shrink images and truths to this for everybody; 0: as they are.")]
Clicks = Annotated[int, typer.Option(min=1, help="The most clicks the robot makes on an image.")]
FirstClicks = Annotated[int, typer.Option(min=0, help="The most clicks the robot makes on an image after the start.")]
Objects = Annotated[
    str,
    typer.Option(help="grabcut: images/ and masks/ | hard: of bsds500/ and davis/ below --data | video: of davis/."),
]
Robot = Annotated[str, typer.Option(help="Where it clicks in the largest error: centre | random.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the random robot; that of sessions is --set seed=N.")]
Jobs = Annotated[int, typer.Option(min=0, help="Processes of one thread each; 0: one a CPU core.")]
Batch = Annotated[int, typer.Option(min=1, help="Images of one size that a process fits together (answer field).")]


@app.command()
def clicks(
    context: typer.Context,
    data: Data,
    out: common.Out,
    objects: Objects = "grabcut",
    peers: Peers = "all",
    answers: Answers = "all",
    limit: Limit = 0,
    longer_side: LongerSide = 0,
    clicks: Clicks = 20,
    robot: Robot = "centre",
    seed: Seed = 0,
    jobs: Jobs = 0,
    batch: Batch = 1,
    preset: common.Preset = "cpu",
    device: common.Device = "auto",
    settings: common.Settings = None,
    config: common.Config = None,
) -> None:
    """Measure the clicks one object needs (NoC@85, NoC@90, IoU per click), calibration, risk against coverage."""
    from neural_seg_ros.evaluation.clicks.games import FROM_CLICKS
    from neural_seg_ros.evaluation.clicks.games import clicks_report as report_of
    from neural_seg_ros.evaluation.clicks.peers import OBJECT_PEERS
    from neural_seg_ros.evaluation.clicks.play import Plan
    from neural_seg_ros.evaluation.contestants import choose

    settled = common.session_config(context, preset, settings=settings)
    contestants = choose(peers, answers, OBJECT_PEERS, settled, device)
    items = _objects(data, objects, limit)
    _evaluate(out, Plan(items, contestants, (FROM_CLICKS,), longer_side, clicks, robot, seed, batch), report_of, jobs)


@app.command()
def boxes(
    context: typer.Context,
    data: Data,
    out: common.Out,
    objects: Objects = "grabcut",
    peers: Peers = "all",
    answers: Answers = "all",
    limit: Limit = 0,
    longer_side: LongerSide = 0,
    clicks: Clicks = 8,
    robot: Robot = "centre",
    seed: Seed = 0,
    jobs: Jobs = 0,
    batch: Batch = 1,
    preset: common.Preset = "cpu",
    device: common.Device = "auto",
    settings: common.Settings = None,
    config: common.Config = None,
) -> None:
    """Measure one object from a bounding box (boxes/, else the object's own + 5 %), beside the same from clicks."""
    from neural_seg_ros.evaluation.clicks.games import BOX_GAMES as GAMES
    from neural_seg_ros.evaluation.clicks.games import boxes_report as report_of
    from neural_seg_ros.evaluation.clicks.peers import BOX_PEERS
    from neural_seg_ros.evaluation.clicks.play import Plan
    from neural_seg_ros.evaluation.contestants import choose

    settled = common.session_config(context, preset, settings=settings)
    contestants = choose(peers, answers, BOX_PEERS, settled, device)
    items = _objects(data, objects, limit)
    _evaluate(out, Plan(items, contestants, GAMES, longer_side, clicks, robot, seed, batch), report_of, jobs)


@app.command()
def drawing(
    context: typer.Context,
    data: Data,
    out: common.Out,
    objects: Objects = "grabcut",
    peers: Peers = "grabcut,random_walker",
    answers: Answers = "fused",
    limit: Limit = 0,
    longer_side: LongerSide = 480,
    marks: Annotated[int, typer.Option(min=1, help="Annotations of the person on an image.")] = 10,
    seed: Seed = 0,
    jobs: Jobs = 0,
    preset: common.Preset = "cpu",
    device: common.Device = "auto",
    settings: common.Settings = None,
    config: common.Config = None,
) -> None:
    """Measure masks of one object drawn in the forms that people use, and how often a correct mark lowers the IoU."""
    from neural_seg_ros.evaluation.clicks.drawing_game import GAMES, drawing_report
    from neural_seg_ros.evaluation.clicks.peers import OBJECT_PEERS
    from neural_seg_ros.evaluation.clicks.play import Plan
    from neural_seg_ros.evaluation.contestants import choose

    settled = common.session_config(context, preset, settings=settings)
    contestants = choose(peers, answers, OBJECT_PEERS, settled, device)
    items = _objects(data, objects, limit)
    _evaluate(out, Plan(items, contestants, GAMES, longer_side, marks, "random", seed), drawing_report, jobs)


@app.command()
def regions(
    context: typer.Context,
    data: Data,
    out: common.Out,
    start: Annotated[str, typer.Option(help="What comes first, on every segment: clicks | strokes.")] = "clicks",
    peers: Peers = "all",
    answers: Answers = "all",
    annotators: Annotated[str, typer.Option(help="Whose segments are the classes: median | all.")] = "median",
    limit: Limit = 0,
    longer_side: LongerSide = 0,
    clicks: FirstClicks = 9,
    robot: Robot = "centre",
    seed: Seed = 0,
    jobs: Jobs = 0,
    batch: Batch = 1,
    preset: common.Preset = "cpu",
    device: common.Device = "auto",
    settings: common.Settings = None,
    config: common.Config = None,
) -> None:
    """Measure clicks on many classes (mean IoU, calibration), on images/ and groundTruth/ as in BSDS500."""
    from neural_seg_ros.evaluation.clicks.games import regions_game
    from neural_seg_ros.evaluation.clicks.games import regions_report as report_of
    from neural_seg_ros.evaluation.clicks.peers import REGION_PEERS
    from neural_seg_ros.evaluation.clicks.play import Plan
    from neural_seg_ros.evaluation.contestants import choose
    from neural_seg_ros.evaluation.datasets import region_items

    # Every pixel of these images is in a segment.
    settled = replace(common.session_config(context, preset, settings=settings), rest="none")
    contestants = choose(peers, answers, REGION_PEERS, settled, device)
    items, games = tuple(region_items(data, annotators, limit)), (regions_game(start),)
    _evaluate(out, Plan(items, contestants, games, longer_side, clicks, robot, seed, batch), report_of, jobs)


@app.command()
def tracking(
    context: typer.Context,
    data: Data,
    out: common.Out,
    start: Annotated[
        str, typer.Option(help="What is drawn on the first frame: mask | clicks, three an object.")
    ] = "mask",
    peers: Peers = "all",
    answers: Answers = "all",
    limit: Annotated[int, typer.Option(min=0, help="Use only the first sequences, by name; 0: all.")] = 0,
    frames: Annotated[int, typer.Option(min=0, help="Use only the first frames of each sequence; 0: all.")] = 0,
    longer_side: LongerSide = 0,
    occlude: Annotated[int, typer.Option(min=0, help="Hide the objects on so many frames; 0: never.")] = 0,
    jobs: Jobs = 0,
    backend: common.Backend = "local",
    scheduler: common.Scheduler = None,
    retries: common.Retries = 1,
    preset: common.Preset = "cpu",
    device: common.Device = "auto",
    settings: common.Settings = None,
    config: common.Config = None,
) -> None:
    """Measure tracking of the first frame's objects (J, F, recall, decay of DAVIS), in JPEGImages/ and Annotations/."""
    from neural_seg_ros.evaluation.plots import new_figure
    from neural_seg_ros.evaluation.tracking.contestants import choose
    from neural_seg_ros.evaluation.tracking.peers import missing_peers
    from neural_seg_ros.evaluation.tracking.play import Failure, Plan, attempts
    from neural_seg_ros.evaluation.tracking.report import report_of, write_report
    from neural_seg_ros.evaluation.tracking.sequences import sequence_items
    from neural_seg_ros.jobs import local_backend

    if missing_peers():
        common.say(f"peers that this OpenCV does not have: {', '.join(missing_peers())}")
    settled = common.session_config(context, preset, settings=settings)
    contestants = choose(peers, answers, start, settled, device)
    plan = Plan(tuple(sequence_items(data, limit, frames)), contestants, start, longer_side, occlude)
    tasks = plan.tasks()
    where = common.backend_of(backend, scheduler, local_backend(min(jobs or _cores(), len(tasks)), threads=1))
    new_figure()  # fails before the evaluation, not after it
    out.mkdir(parents=True, exist_ok=True)
    last: dict[tuple[str, str], TrackingRun | Failure] = {}
    for outcome in common.progress(attempts(tasks, where, retries), "evaluate", len(tasks)):
        last[outcome.tracker, outcome.sequence] = outcome
        if isinstance(outcome, Failure):
            common.say(f"failed: {outcome}")
    report = report_of(plan, [last[task.contestant.name, task.item.name] for task in tasks])
    if not report.runs:
        raise SourceError(f"{data}: every sequence failed")
    write_report(out, plan, report)
    typer.echo(report.tables[0].markdown())
    if report.failures:
        common.say(f"error: {len(report.failures)} of {len(tasks)} failed")
        raise typer.Exit(_SOME_FAILED)


@app.command()
def contours(
    data: Data,
    out: common.Out,
    methods: Annotated[str, typer.Option(help="Our own detectors: all | none | names with commas.")] = "all",
    peers: Peers = "all",
    limit: Limit = 0,
    longer_side: LongerSide = 0,
    thresholds: Annotated[int, typer.Option(min=1, help="How many strengths contours are cut at.")] = 99,
    jobs: Jobs = 0,
    config: common.Config = None,
) -> None:
    """Measure contours and segments (ODS, OIS, AP, R50, covering, PRI, VI) in the layout of BSDS500."""
    from neural_seg_ros.evaluation.contours.detection import Plan, detect
    from neural_seg_ros.evaluation.contours.detectors import choose
    from neural_seg_ros.evaluation.contours.images import contour_items
    from neural_seg_ros.evaluation.contours.report import report_of, write_report
    from neural_seg_ros.jobs import each

    plan = Plan(tuple(contour_items(data, limit)), choose(peers, methods), longer_side, thresholds)
    tasks = plan.tasks()
    runs = _outcomes(out, each(detect, tasks, jobs or _cores()), len(tasks))
    report = report_of(runs)
    write_report(out, plan, report, runs)
    typer.echo(report.table.markdown())


def _objects(data: Path, objects: str, limit: int) -> tuple[Item, ...]:
    from neural_seg_ros.evaluation.datasets import object_items
    from neural_seg_ros.evaluation.hard_objects import hard_items, video_items

    readers: dict[str, Callable[[Path, int], Sequence[Item]]] = {
        "grabcut": object_items,
        "hard": hard_items,
        "video": video_items,
    }
    if objects not in readers:
        raise ConfigError(f"--objects: got {objects!r}, accepted: {' | '.join(readers)}")
    return tuple(readers[objects](data, limit))


def _evaluate(out: Path, plan: Plan, report_of: Callable[[Plan, Sequence[Run]], Report], jobs: int) -> None:
    """Play, report, and show the first table."""
    from neural_seg_ros.evaluation.clicks.game_report import write_report
    from neural_seg_ros.evaluation.clicks.play import groups_of, play_together
    from neural_seg_ros.jobs import each

    tasks, groups = plan.tasks(), groups_of(plan)
    played = each(play_together, [[tasks[number] for number in group] for group in groups], jobs or _cores())
    made = _outcomes(out, chain.from_iterable(played), len(tasks))
    by_number = dict(zip(chain.from_iterable(groups), made, strict=True))
    runs = [by_number[number] for number in range(len(tasks))]
    report = report_of(plan, runs)
    write_report(out, plan, report, runs)
    typer.echo(report.tables[0].markdown())


def _outcomes(out: Path, outcomes: Iterable[T], total: int) -> list[T]:
    """Return all outcomes with a bar, after it is sure that they can be plotted and written."""
    from neural_seg_ros.evaluation.plots import new_figure

    new_figure()
    out.mkdir(parents=True, exist_ok=True)
    return list(common.progress(outcomes, "evaluate", total))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
