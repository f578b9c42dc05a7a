"""``neural-seg evaluate``: a robot user measures sessions and classical peers against ground truth."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from neural_seg_ros.cli import common

if TYPE_CHECKING:
    from neural_seg_ros.evaluate.play import Plan, Task

R = TypeVar("R")

app = typer.Typer(no_args_is_help=True, help="Measure quality against ground truth, beside classical peers.")

Data = Annotated[Path, typer.Option(envvar="NEURAL_SEG_DATA", help="Folder of the data set, or the one above it.")]
Peers = Annotated[str, typer.Option(help="Classical methods beside ours: all | none | names with commas.")]
Answers = Annotated[str, typer.Option(help="Our own answers: all | none | field,fused.")]
Limit = Annotated[int, typer.Option(min=0, help="Use only the first images, by name; 0: all.")]
LongerSide = Annotated[int, typer.Option(min=0, help="Shrink images and truths to this for everybody; 0: as they are.")]
Clicks = Annotated[int, typer.Option(min=1, help="The most clicks the robot makes on an image.")]
Robot = Annotated[str, typer.Option(help="Where it clicks in the largest error: centre | random.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the random robot; that of sessions is --set seed=N.")]
Jobs = Annotated[int, typer.Option(min=0, help="Processes of one thread each; 0: one a CPU core.")]


@app.command()
def clicks(
    context: typer.Context,
    data: Data,
    out: common.Out,
    peers: Peers = "all",
    answers: Answers = "all",
    limit: Limit = 0,
    longer_side: LongerSide = 0,
    clicks: Clicks = 20,
    robot: Robot = "centre",
    seed: Seed = 0,
    jobs: Jobs = 0,
    preset: common.Preset = "cpu",
    device: common.Device = "auto",
    settings: common.Settings = None,
    config: common.Config = None,
) -> None:
    """Clicks one object needs (NoC@85, NoC@90, IoU per click), on images/ and masks/ as GrabCut has them."""
    from neural_seg_ros.evaluate.clicks import report_of, run_object
    from neural_seg_ros.evaluate.contestants import choose
    from neural_seg_ros.evaluate.datasets import object_items
    from neural_seg_ros.evaluate.peers import OBJECT_PEERS
    from neural_seg_ros.evaluate.play import Plan
    from neural_seg_ros.evaluate.report import write_report

    settled = common.session_config(context, preset, settings=settings)
    contestants = choose(peers, answers, OBJECT_PEERS, settled, device)
    plan = Plan(tuple(object_items(data, limit)), contestants, longer_side, clicks, robot, seed)
    out.mkdir(parents=True, exist_ok=True)
    runs = _play(plan, run_object, jobs)
    report = report_of(runs, clicks)
    write_report(out, plan, report, runs)
    typer.echo(report.table.markdown())


@app.command()
def regions(
    context: typer.Context,
    data: Data,
    out: common.Out,
    peers: Peers = "all",
    answers: Answers = "all",
    annotators: Annotated[str, typer.Option(help="Whose segments are the classes: median | all.")] = "median",
    limit: Limit = 0,
    longer_side: LongerSide = 0,
    clicks: Clicks = 9,
    robot: Robot = "centre",
    seed: Seed = 0,
    jobs: Jobs = 0,
    preset: common.Preset = "cpu",
    device: common.Device = "auto",
    settings: common.Settings = None,
    config: common.Config = None,
) -> None:
    """Clicks on many classes (mean IoU, calibration), on images/ and groundTruth/ as BSDS500 has them."""
    from neural_seg_ros.evaluate.contestants import choose
    from neural_seg_ros.evaluate.datasets import region_items
    from neural_seg_ros.evaluate.peers import REGION_PEERS
    from neural_seg_ros.evaluate.play import Plan
    from neural_seg_ros.evaluate.regions import report_of, run_regions
    from neural_seg_ros.evaluate.report import write_report

    settled = common.session_config(context, preset, settings=settings)
    contestants = choose(peers, answers, REGION_PEERS, settled, device)
    plan = Plan(tuple(region_items(data, annotators, limit)), contestants, longer_side, clicks, robot, seed)
    out.mkdir(parents=True, exist_ok=True)
    runs = _play(plan, run_regions, jobs)
    report = report_of(runs, clicks)
    write_report(out, plan, report, runs)
    typer.echo(report.table.markdown())


def _play(plan: Plan, run: Callable[[Task], R], jobs: int) -> list[R]:
    from neural_seg_ros.evaluate.processes import each

    tasks = plan.tasks()
    return list(common.progress(each(run, tasks, jobs or _cores()), "evaluate", len(tasks)))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
