"""``neural-seg replay``: the images of rosbags through sessions, without a running ROS graph."""

from __future__ import annotations

import functools
import uuid
from pathlib import Path
from typing import Annotated

import typer

from neural_seg_ros.cli import common


def replay(
    context: typer.Context,
    bags: Annotated[list[Path], typer.Argument(metavar="BAG...", help="Bag folders, .mcap, .db3 or ROS 1 .bag files.")],
    image_topic: Annotated[
        list[str], typer.Option(help="Topic of raw or compressed images. Repeat it for several cameras.")
    ],
    out: common.Out,
    annotations: Annotated[
        Path | None,
        typer.Option(help="YAML file of classes and annotations, or a folder of them, named as the bags: my_bag.yaml."),
    ] = None,
    annotation_topic: Annotated[
        list[str] | None,
        typer.Option(help="Annotations recorded in the bag. Can be repeated.", show_default="the segmenter's"),
    ] = None,
    active_class: Annotated[int, typer.Option(min=0, help="Class of recorded annotations that name none.")] = 1,
    ground_truth: Annotated[
        str | None, typer.Option(metavar="DIR|TOPIC", help="Folder of label images by frame index, or a mono8 topic.")
    ] = None,
    start: Annotated[float, typer.Option(min=0, help="Seconds of the bag to leave out.")] = 0.0,
    duration: Annotated[float | None, typer.Option(min=0, help="Seconds to label.", show_default="to the end")] = None,
    every: Annotated[int, typer.Option(min=1, help="Label one frame of so many, and the annotated ones.")] = 1,
    rate: Annotated[
        float | None,
        typer.Option(
            min=1e-3,
            help="Play the bag at so many times real time and drop the frames that the fit cannot keep up with, as a "
            "live node does.",
            show_default="every frame is labelled",
        ),
    ] = None,
    two_pass: Annotated[
        bool, typer.Option("--two-pass", help="Annotations in mid-stream also label the frames before them.")
    ] = False,
    checkpoint: Annotated[float, typer.Option(min=0, help="Seconds from one checkpoint to the next.")] = 30.0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run into --out was.")] = False,
    from_frame: Annotated[
        int | None,
        typer.Option(
            "--from",
            metavar="FRAME",
            min=0,
            help="Label from the last checkpoint before FRAME on again: annotations differ from there on.",
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Replays at a time on this machine.")] = 1,
    backend: common.Backend = "local",
    scheduler: common.Scheduler = None,
    retries: common.Retries = 1,
    preset: common.Preset = "cpu",
    answer: common.Answer = None,
    device: common.Device = "auto",
    settings: common.Settings = None,
    config: common.Config = None,
) -> int:
    """Label the images of bags: masks.mcap, overlay.mp4, frames.csv, metrics.json, timings.json and report.html.

    Several bags, and several topics of a bag, get a folder each. With --resume and --from the outputs are, but for
    figures of time, those of an uninterrupted run; the state for it is in the folder .replay beside the outputs.
    The exit status is 1 where one of many replays failed.
    """
    from neural_seg_ros.jobs import local_backend, run_jobs
    from neural_seg_ros.offline.replay.batch import Batch, Task, plan, run_task
    from neural_seg_ros.offline.replay.replay import ResumeOptions

    settled = common.session_config(context, preset, answer, settings)
    batch = Batch(
        annotations=annotations,
        annotation_topics=tuple(annotation_topic or ()),
        active_class=active_class,
        ground_truth=ground_truth,
        start=start,
        duration=duration,
        every=every,
        rate=rate,
        two_pass=two_pass,
        config=settled,
        device=device,
        resume_options=ResumeOptions(checkpoint, resume, from_frame, started=uuid.uuid4().hex),
    )
    tasks = plan(bags, image_topic, out)
    where = common.backend_of(backend, scheduler, local_backend(min(jobs, len(tasks))))
    if len(tasks) == 1 and backend == "local":
        for line in run_task(batch, tasks[0], common.progress):
            common.say(line)
        return 0
    failed: set[Task] = set()
    for outcome in run_jobs(functools.partial(run_task, batch), tasks, where, retries):
        (failed.discard if outcome.error is None else failed.add)(outcome.job)
        for line in outcome.value or ():
            common.say(line)
        if outcome.error is not None:
            common.say(f"failed: {outcome.job.name}: {outcome.error}")
    if failed:
        common.say(f"error: {len(failed)} of {len(tasks)} replays failed: {', '.join(sorted(t.name for t in failed))}")
    return 1 if failed else 0
