"""``neural-seg benchmark``: how long a user waits, how fast the fit is, and the memory they take."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neural_seg_ros.cli import common

if TYPE_CHECKING:
    import torch

    from neural_seg_ros.evaluation.speed.step_speed import StepSpeed
    from neural_seg_ros.evaluation.table import Table

app = typer.Typer(no_args_is_help=True, help="Measure speed and memory.")


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
    """Measure cold start, click to mask (p50, p95, still and moving camera), frame to mask, step time, memory."""
    import skimage.data

    from neural_seg_ros.evaluation.plots import new_figure
    from neural_seg_ros.evaluation.speed.latency import Latency, measure_latency
    from neural_seg_ros.evaluation.speed.live_latency import LiveLatency, measure_live_latency
    from neural_seg_ros.images.arrays import resize_image
    from neural_seg_ros.images.files import read_image
    from neural_seg_ros.torch_setup import choose_device

    new_figure()  # fails before the measurement, not after it
    picture = resize_image(skimage.data.coffee() if image is None else read_image(image), height, width)
    still: dict[str, Latency] = {}
    moving: dict[str, LiveLatency] = {}
    for answer in common.progress(answers.split(","), "measuring"):
        settled = common.session_config(context, preset, answer, settings)
        still[answer] = measure_latency(settled, device, picture, clicks, frames)
        moving[answer] = measure_live_latency(settled, device, picture, clicks)
    setting = f"{width}x{height}, preset {preset}, {clicks} clicks, {frames} frames; {_machine(choose_device(device))}"
    metrics = {
        "latency": {answer: dataclasses.asdict(row) for answer, row in still.items()},
        "moving_camera": {answer: dataclasses.asdict(row) for answer, row in moving.items()},
    }
    tables = {"": _table("answer", metrics["latency"]), "Moving camera": _table("answer", metrics["moving_camera"])}
    _write(out, setting, metrics, tables)
    _plot_waits(out / "waits.png", metrics["latency"], metrics["moving_camera"])


@app.command()
def step(
    context: typer.Context,
    out: common.Out,
    steps: Annotated[int, typer.Option(min=1, help="Steps in every turn of an engine; there are five turns.")] = 10,
    growth: Annotated[
        bool, typer.Option(help="Also measure how a step grows with pixels, filters, classes, annotations, cameras.")
    ] = True,
    preset: common.Preset = "cpu",
    device: common.Device = "auto",
    settings: common.Settings = None,
    config: common.Config = None,
) -> None:
    """Measure a step of the fit: engines side by side, roofline, PSNR in time, growth: JSON, table and plots."""
    import skimage.data

    from neural_seg_ros.evaluation.plots import new_figure
    from neural_seg_ros.evaluation.speed.step_speed import WANTED_PSNR, measure_step_speed
    from neural_seg_ros.torch_setup import choose_device

    new_figure()  # fails before the measurement, not after it
    field = common.session_config(context, preset, settings=settings).field
    place = choose_device(device)
    speed = measure_step_speed(field, skimage.data.coffee(), place, steps, growth)
    setting = (
        f"The middle square of a cup of coffee (scikit-image) at {field.size} px, one click, preset {preset}, "
        f"{field.width} filters, {field.levels} levels; five turns of {steps} steps; {_machine(place)}"
    )
    metrics = {**dataclasses.asdict(speed), "field": dataclasses.asdict(field)}
    _write(out, setting, metrics, _step_tables(speed, WANTED_PSNR))
    _plot_psnr(out / "psnr.png", speed, WANTED_PSNR)
    if growth:
        _plot_growth(out / "growth.png", speed.growth)


def _machine(device: torch.device) -> str:
    import platform

    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return f"torch {torch.__version__}, {torch.get_num_threads()} threads, {name}, device {device}"


def _table(first: str, rows: Mapping[str, Mapping[str, Any]]) -> Table:
    """Make a row each of ``{first: {column: figure or text}}``, all with the same columns."""
    from neural_seg_ros.evaluation.table import Table

    columns = list(next(iter(rows.values())))
    return Table((first, *columns), tuple((name, *map(_text, row.values())) for name, row in rows.items()))


def _text(figure: float | str | None) -> str:
    if figure is None or isinstance(figure, str):
        return figure or "-"
    return f"{figure:.3g}" if abs(figure) < 100 else f"{figure:.0f}"


def _write(out: Path, setting: str, metrics: Mapping[str, Any], tables: Mapping[str, Table]) -> None:
    """Write metrics.json and table.md; prints the ``{heading: table}``, of which "" is none."""
    from neural_seg_ros.files import write_text

    text = "\n".join((f"## {heading}\n\n" if heading else "") + table.markdown() for heading, table in tables.items())
    write_text(out / "metrics.json", json.dumps({"setting": setting, **metrics}, indent=1) + "\n")
    write_text(out / "table.md", f"{setting}\n\n{text}")
    typer.echo(text)


def _step_tables(speed: StepSpeed, wanted: float) -> dict[str, Table]:
    """Make ``{heading: table}`` of the measurements."""
    from neural_seg_ros.evaluation.table import Table

    tables = {
        "Engines": _table("engine", {name: dataclasses.asdict(row) for name, row in speed.engines.items()}),
        "Roofline": _table("engine", {name: dataclasses.asdict(row) for name, row in speed.roofline.items()}),
    }
    curves: dict[str, dict[str, Any]] = {}
    for name, curve in speed.curves.items():
        points = zip(curve.steps, curve.psnr, curve.seconds, strict=True)
        curves[name] = {str(steps): f"{psnr:.1f} ({_text(seconds)} s)" for steps, psnr, seconds in points}
        curves[name][f"s to {wanted:g} dB"] = curve.wanted_seconds
    tables["PSNR in dB after so many steps"] = _table("engine", curves)
    if speed.threads:
        tables["Threads"] = _table("threads", {str(count): {"step_ms": ms} for count, ms in speed.threads.items()})
    if speed.growth:
        rows = [
            (what, str(size), _text(ms), _text(ms / next(iter(series.values()))))
            for what, series in speed.growth.items()
            for size, ms in series.items()
        ]
        tables["Growth"] = Table(("what grows", "to", "step_ms", "times the first"), tuple(rows))
    return tables


def _plot_waits(path: Path, still: Mapping[str, Any], moving: Mapping[str, Any]) -> None:
    """Plot latencies in seconds, a group of bars for each, a bar for each answer."""
    from neural_seg_ros.evaluation.plots import new_figure, write_figure

    waits = {
        "first mask": (still, "cold_start"),
        "click p50": (still, "click_p50"),
        "click p95": (still, "click_p95"),
        "preview p95": (still, "preview_p95"),
        "frame p50": (still, "frame_p50"),
        "frame p95": (still, "frame_p95"),
        "click p50,\nmoving": (moving, "click_p50"),
        "click p95,\nmoving": (moving, "click_p95"),
    }
    figure = new_figure(7.2)
    axes = figure.add_subplot(title="How long a user waits", ylabel="seconds", yscale="log")
    width = 0.8 / len(still)
    for number, answer in enumerate(still):
        at = [place + (number - (len(still) - 1) / 2) * width for place in range(len(waits))]
        axes.bar(at, [of[answer][name] for of, name in waits.values()], width, label=answer)
    axes.set_xticks(range(len(waits)), list(waits), fontsize=7)
    axes.grid(alpha=0.3, axis="y")
    axes.legend()
    write_figure(path, figure)


def _plot_psnr(path: Path, speed: StepSpeed, wanted: float) -> None:
    from neural_seg_ros.evaluation.plots import new_figure, write_figure

    figure = new_figure()
    axes = figure.add_subplot(title="PSNR in time", xlabel="seconds", ylabel="PSNR (dB)", xscale="log")
    for name, curve in speed.curves.items():
        axes.plot(curve.seconds, curve.psnr, marker=".", label=name)
    axes.axhline(wanted, color="grey", linestyle="--", label=f"{wanted:g} dB")
    axes.grid(alpha=0.3)
    axes.legend()
    write_figure(path, figure)


def _plot_growth(path: Path, growth: Mapping[str, Mapping[int, float]]) -> None:
    from neural_seg_ros.evaluation.plots import new_figure, write_figure

    figure = new_figure(3.0 * len(growth), 3.0)
    for axes, (what, series) in zip(figure.subplots(1, len(growth), sharey=True), growth.items(), strict=True):
        axes.set(xlabel=what, xscale="log", yscale="log")
        axes.plot(list(series), list(series.values()), marker=".", label="measured")
        if what == "resolution":
            first, ms = next(iter(series.items()))
            linear = [ms * (side / first) ** 2 for side in series]
            axes.plot(list(series), linear, color="grey", linestyle="--", label="as the pixels")
            axes.legend(fontsize=7)
        axes.set_xticks(list(series), [str(size) for size in series])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("ms a step")
    write_figure(path, figure)
