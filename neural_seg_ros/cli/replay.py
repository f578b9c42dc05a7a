"""``neural-seg replay``: the images of a rosbag through a session, without a running ROS graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neural_seg_ros.cli import common


def replay(
    context: typer.Context,
    bag: Annotated[Path, typer.Argument(help="Bag folder, .mcap, .db3 or ROS 1 .bag file.")],
    image_topic: Annotated[str, typer.Option(help="Topic of raw or compressed images.")],
    annotations: common.Annotations,
    out: common.Out,
    ground_truth: Annotated[
        str | None, typer.Option(metavar="DIR|TOPIC", help="Folder of label images by frame index, or a mono8 topic.")
    ] = None,
    preset: common.Preset = "cpu",
    answer: common.Answer = None,
    device: common.Device = "auto",
    settings: common.Settings = None,
    config: common.Config = None,
) -> None:
    """Label every image of a bag: masks.mcap, overlay.mp4, frames.csv, metrics.json and report.html."""
    from neural_seg_ros.annotation_file import read_annotation_file
    from neural_seg_ros.replay.replay import ReplayInput, replay_bag

    settled = common.session_config(context, preset, answer, settings)
    inputs = ReplayInput(bag, image_topic, read_annotation_file(annotations), ground_truth)
    notes = replay_bag(inputs, settled, device, out, common.progress)
    for note in notes:
        common.say(note)
