"""``neural-seg benchmark``: how long a user waits, and the memory it takes."""

from __future__ import annotations

import dataclasses
import json
import platform
from pathlib import Path
from typing import Annotated

import typer

from neural_seg_ros.cli import common

app = typer.Typer(no_args_is_help=True, help="Measure speed and memory.")


@app.callback()
def _benchmark() -> None:
    """Keeps ``latency`` a sub-command while it is the only one."""


@app.command()
def latency(
    context: typer.Context,
    out: common.Out,
    image: Annotated[
        Path | None, typer.Option(help="What the camera sees.", show_default="a cup of coffee, from scikit-image")
    ] = None,
    width: Annotated[int, typer.Option(min=8, help="Frame width in pixels.")] = 640,
    height: Annotated[int, typer.Option(min=8, help="Frame height in pixels.")] = 480,
    clicks: Annotated[int, typer.Option(min=1, help="Clicks after the first.")] = 20,
    frames: Annotated[int, typer.Option(min=1, help="Frames after the first.")] = 20,
    answers: Annotated[str, typer.Option(help="Answers to measure: field,fused or one of them.")] = "fused,field",
    preset: common.Preset = "cpu",
    device: common.Device = "auto",
    settings: common.Settings = None,
    config: common.Config = None,
) -> None:
    """Cold start, click to mask (p50, p95), frame to mask, step time and memory: metrics.json and table.md."""
    import skimage.data
    import torch

    from neural_seg_ros.evaluate.latency import Latency, measure_latency
    from neural_seg_ros.evaluate.table import Table
    from neural_seg_ros.files import write_text
    from neural_seg_ros.image import resize_image
    from neural_seg_ros.video import read_image

    picture = resize_image(skimage.data.coffee() if image is None else read_image(image), height, width)
    figures: dict[str, Latency] = {}
    for answer in common.progress(answers.split(","), "measuring"):
        settled = common.session_config(context, preset, answer, settings)
        figures[answer] = measure_latency(settled, device, picture, clicks, frames)
    where = f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}, device {device}"
    setting = f"{width}x{height}, preset {preset}, {clicks} clicks, {frames} frames; {where}"
    names = [field.name for field in dataclasses.fields(Latency)]
    rows = tuple((answer, *(f"{getattr(row, name):.3g}" for name in names)) for answer, row in figures.items())
    table = Table(("answer", *names), rows)
    metrics = {"setting": setting, "latency": {answer: dataclasses.asdict(row) for answer, row in figures.items()}}
    write_text(out / "metrics.json", json.dumps(metrics, indent=1) + "\n")
    write_text(out / "table.md", f"{setting}\n\n{table.markdown()}")
    typer.echo(table.markdown())
