"""``neural-seg track``: a video or a folder of images, and annotations on some frames, to labels of every frame."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neural_seg_ros.cli import common


def track(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="FRAMES_OR_VIDEO", help="Video file or folder of images.")],
    annotations: common.Annotations,
    out: common.Out,
    ground_truth: Annotated[
        Path | None, typer.Option(help="Folder of label images, named as the frames or by frame index.")
    ] = None,
    preset: common.Preset = "cpu",
    answer: common.Answer = None,
    device: common.Device = "auto",
    settings: common.Settings = None,
    config: common.Config = None,
) -> None:
    """Label every frame from annotations on some: labels/00000.png ..., overlay.mp4 and metrics.json."""
    from neural_seg_ros.annotation_file import read_annotation_file
    from neural_seg_ros.draw import overlay
    from neural_seg_ros.replay.label_folder import open_label_folder
    from neural_seg_ros.replay.run import run_session
    from neural_seg_ros.replay.summary import Summary, write_metrics
    from neural_seg_ros.replay.truth import open_truth_folder
    from neural_seg_ros.session import Session
    from neural_seg_ros.video import VideoWriter, open_frames

    settled = common.session_config(context, preset, answer, settings)
    entries = read_annotation_file(annotations)
    frames = open_frames(source)
    truth = None if ground_truth is None else open_truth_folder(ground_truth, frames)
    session = Session(settled, device)
    summary = Summary()
    with open_label_folder(out / "labels") as write_labels, VideoWriter(out / "overlay.mp4", frames.fps) as video:
        for step in common.progress(run_session(session, frames, entries, truth), "track", frames.count):
            summary.add(step)
            write_labels(step.result.labels)
            drawn = overlay(step.frame.image, step.result.labels, step.annotations, unlabelled=settled.unlabelled)
            video.write(drawn)
        common.warn(summary.check_annotated(entries))
    write_metrics(out / "metrics.json", summary.metrics(session, entries))
    common.say(f"{out}: {summary.line()}")
