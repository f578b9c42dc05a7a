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
    from neural_seg_ros.annotations.yaml_file import read_annotation_file
    from neural_seg_ros.drawing import overlay
    from neural_seg_ros.images.files import VideoWriter, open_frames, open_label_folder
    from neural_seg_ros.metrics import class_figures
    from neural_seg_ros.offline.bags.ground_truth import open_truth_folder
    from neural_seg_ros.offline.outputs.summary import Summary, row_of, write_metrics
    from neural_seg_ros.offline.run import run_session
    from neural_seg_ros.session import Session

    settled = common.session_config(context, preset, answer, settings)
    entries = read_annotation_file(annotations)
    frames = open_frames(source)
    truth = None if ground_truth is None else open_truth_folder(ground_truth, frames)
    session = Session(settled, device)
    summary = Summary()
    with open_label_folder(out / "labels") as write_labels, VideoWriter(out / "overlay.mp4", frames.fps) as video:
        for step in common.progress(run_session(session, frames, entries), "track", frames.count):
            # Before the first annotation there is nothing to judge: no class has been named yet.
            true = truth.labels_of(step.frame) if truth is not None and session.annotations else None
            labels, index = step.result.labels, step.frame.index
            figures = {} if true is None else class_figures(labels, true, session.classes, index)
            summary.add(row_of(step, figures))
            write_labels(labels)
            video.write(overlay(step.frame.image, labels, step.annotations, unlabelled=settled.unlabelled))
        common.warn(summary.check_annotated(entries))
    metrics = summary.metrics(entries, settled, str(session.device), session.status())
    write_metrics(out / "metrics.json", metrics | summary.timings())
    common.say(f"{out}: {summary.line()}")
