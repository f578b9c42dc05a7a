"""An evaluation on disk: ``metrics.json``, ``table.md``, ``curves.png``, ``sheet.png``, each whole or absent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from neural_seg_ros.annotations import Click
from neural_seg_ros.draw import contact_sheet, overlay
from neural_seg_ros.evaluate.datasets import Item
from neural_seg_ros.evaluate.nearest import Labels
from neural_seg_ros.evaluate.play import Plan
from neural_seg_ros.evaluate.table import Table
from neural_seg_ros.files import whole_file, write_text
from neural_seg_ros.image import field_shape, resize_image
from neural_seg_ros.video import RgbImage, write_image

PICTURE_SIDE = 240
SHEET_ROWS = 40


class Run(Protocol):
    """What a report shows of one labeller on one image: its last labels, the clicks behind them, how good they are."""

    @property
    def labeller(self) -> str: ...
    @property
    def labels(self) -> Labels: ...
    @property
    def clicks(self) -> tuple[Click, ...]: ...
    @property
    def quality(self) -> float: ...


@dataclass(frozen=True)
class Curves:
    """A quantity per labeller after ``first``, ``first`` + 1, ... robot clicks."""

    quantity: str
    values: Mapping[str, Sequence[float]]
    first: int


@dataclass(frozen=True)
class Report:
    """What was found: the figures of every labeller, the table and the curves made of them."""

    title: str
    figures: Mapping[str, Mapping[str, Any]]
    table: Table
    curves: Curves


def write_report(folder: Path, plan: Plan, report: Report, runs: Sequence[Run]) -> None:
    """Write all files into ``folder``; ``runs`` in the order of ``plan.tasks()``."""
    metrics = {**_protocol(plan), "labellers": report.figures}
    write_text(folder / "metrics.json", json.dumps(metrics, indent=1) + "\n")
    write_text(folder / "table.md", f"# {report.title}\n\n{_sentence(plan)}\n\n{report.table.markdown()}")
    _write_plot(folder / "curves.png", report.title, report.curves)
    _write_sheet(folder / "sheet.png", plan, runs)


def _protocol(plan: Plan) -> dict[str, Any]:
    """Everything needed to run it again on the same data."""
    sessions = [contestant.config for contestant in plan.contestants if contestant.config is not None]
    protocol = {"images": len(plan.items), "longer_side": plan.longer_side, "clicks": plan.clicks}
    config = {name: value for name, value in sessions[0].to_dict().items() if name != "answer"} if sessions else None
    return {**protocol, "robot": plan.robot, "seed": plan.seed, "threads": 1, "session": config}


def _sentence(plan: Plan) -> str:
    size = f"longer side {plan.longer_side} px" if plan.longer_side else "full resolution"
    robot = "the centre of" if plan.robot == "centre" else f"a random point (seed {plan.seed}) in"
    return (
        f"{len(plan.items)} images, {size}, at most {plan.clicks} robot clicks, each at {robot} the largest error; "
        "one thread a labeller."
    )


def _write_plot(path: Path, title: str, curves: Curves) -> None:
    figure = Figure(figsize=(6.4, 4.0), dpi=120, layout="constrained")
    axes = figure.add_subplot(title=title, xlabel="robot clicks", ylabel=curves.quantity, ylim=(0, 1))
    for name, values in curves.values.items():
        axes.plot(range(curves.first, curves.first + len(values)), values, marker=".", label=name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    with whole_file(path) as temporary:
        figure.savefig(temporary)


def _write_sheet(path: Path, plan: Plan, runs: Sequence[Run]) -> None:
    """A row per item: the image, its truth (ignored pixels plain), each labeller's last answer with its clicks."""
    number = len(plan.contestants)
    rows = [runs[start : start + number] for start in range(0, len(runs), number)][:SHEET_ROWS]
    pictures: list[RgbImage] = []
    captions: list[str] = []
    for item, row in zip(plan.items, rows, strict=False):
        pictures += _pictures(item, plan.longer_side, row)
        captions += [item.name, "truth", *(f"{run.labeller} {run.quality:.3f}" for run in row)]
    write_image(path, contact_sheet(pictures, 2 + number, captions))


def _pictures(item: Item, longer_side: int, row: Sequence[Run]) -> list[RgbImage]:
    """(H, W, 3) uint8 RGB pictures of one item."""
    sample = item.load(longer_side)
    height, width = sample.truth.shape
    height, width = field_shape(height, width, PICTURE_SIDE, least=1)
    answers = [overlay(sample.image, run.labels, run.clicks) for run in row]
    full_size = [sample.image, overlay(sample.image, sample.truth), *answers]
    return [resize_image(picture, height, width) for picture in full_size]
