"""``neural-seg segment``: one image and its annotations to labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neural_seg_ros.cli import common


def segment(
    context: typer.Context,
    image: Annotated[Path, typer.Argument(help="Image file.")],
    annotations: common.Annotations,
    out: common.Out,
    preset: common.Preset = "cpu",
    answer: common.Answer = None,
    device: common.Device = "auto",
    settings: common.Settings = None,
    config: common.Config = None,
) -> None:
    """Label one image from annotations: labels.png (class ids), confidence.png (0-255) and overlay.png."""
    from neural_seg_ros.annotations.yaml_file import read_annotation_file
    from neural_seg_ros.drawing import confidence_image, overlay
    from neural_seg_ros.images.files import Frame, read_image, write_image, write_labels
    from neural_seg_ros.offline.outputs.summary import Summary, row_of
    from neural_seg_ros.offline.run import run_session
    from neural_seg_ros.session import Session

    settled = common.session_config(context, preset, answer, settings)
    entries = read_annotation_file(annotations)
    session = Session(settled, device)
    frames = [Frame(0, 0.0, read_image(image))]
    summary = Summary()
    for step in run_session(session, frames, entries):
        summary.add(row_of(step, {}))
        common.warn(summary.check_annotated(entries))
        drawn = overlay(step.frame.image, step.result.labels, step.annotations, unlabelled=settled.unlabelled)
        write_labels(out / "labels.png", step.result.labels)
        write_image(out / "confidence.png", confidence_image(step.result.confidence))
        write_image(out / "overlay.png", drawn)
    common.say(f"{out}: labels.png, confidence.png, overlay.png")
