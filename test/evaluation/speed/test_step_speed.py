"""``neural-seg benchmark step``: engines side by side, roofline, PSNR in time, growth."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from neural_seg_ros.cli.main import run
from neural_seg_ros.evaluation.speed.roofline import Cost, Peaks, roofline, step_cost
from neural_seg_ros.evaluation.speed.step_speed import seconds_until

TINY = ["--set", "field.size=32", "--set", "field.width=8", "--set", "field.levels=2"]
ENGINES = {"eager fp32", "channels_last fp32", "engine"}


def _step(*arguments: str) -> int:
    return run(["benchmark", "step", "--steps", "2", "--device", "cpu", *TINY, *arguments])


@pytest.mark.slow
def test_engines_roofline_and_psnr_in_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    assert _step("--out", str(tmp_path), "--no-growth") == 0
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.json", "table.md", "psnr.png"}
    assert (tmp_path / "table.md").read_text().rstrip().endswith(capsys.readouterr().out.rstrip())
    figures = json.loads((tmp_path / "metrics.json").read_text())
    assert set(figures["engines"]) == set(figures["roofline"]) == ENGINES
    for row in figures["engines"].values():
        assert 0 < row["step_ms_min"] <= row["step_ms"]
        assert 0 < row["first_step"] < row["ready"]
        assert row["memory_mb"] > 50
        assert row["psnr"] == pytest.approx(figures["engines"]["eager fp32"]["psnr"], abs=1.0)
    assert figures["engines"]["eager fp32"]["speed_up"] == 1
    assert all(row["share"] > 0 for row in figures["roofline"].values())
    assert figures["threads"]["1"] > 0
    assert torch.get_num_threads() == threads
    for curve in figures["curves"].values():
        assert curve["steps"][-1] == 200
        assert curve["seconds"] == sorted(curve["seconds"])
        assert curve["psnr"][-1] > curve["psnr"][0]


@pytest.mark.slow
def test_growth(tmp_path: Path) -> None:
    assert _step("--out", str(tmp_path)) == 0
    assert (tmp_path / "growth.png").stat().st_size > 0
    growth = json.loads((tmp_path / "metrics.json").read_text())["growth"]
    assert set(growth) == {"resolution", "width", "classes", "annotations", "cameras"}
    assert all(ms > 0 for series in growth.values() for ms in series.values())
    assert growth["resolution"]["1024"] > growth["resolution"]["128"]


def test_an_unknown_device_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["benchmark", "step", "--out", str(tmp_path), "--device", "abacus"]) == 2
    assert capsys.readouterr().err.startswith("error: device: got 'abacus', accepted: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("given", [False, True], ids=["input needs no gradient", "input needs one"])
def test_cost_of_a_convolution_is_the_closed_form(given: bool) -> None:
    batch, channels, filters, side, kernel = 2, 3, 5, 7, 3
    convolution = nn.Conv2d(channels, filters, kernel, padding=1, bias=False)
    image = torch.rand(batch, channels, side, side, requires_grad=given)
    passes = 3 if given else 2
    pixels = batch * side**2
    flops = 2 * pixels * channels * filters * kernel**2
    numbers = pixels * channels + pixels * filters + channels * filters * kernel**2
    cost = step_cost(lambda: convolution(image).sum().backward())
    assert cost == Cost(passes * flops, passes * numbers)


def test_the_roofline_is_the_slower_of_computing_and_moving() -> None:
    of = partial(roofline, numbers=torch.bfloat16, step_ms=4.0)
    peaks = Peaks(flops=1e12, bandwidth=1e9)
    computing = of(Cost(flops=2 * 10**9, numbers=1000), peaks)
    assert (computing.roofline_ms, computing.share) == (2.0, 0.5)
    assert of(Cost(flops=1000, numbers=10**6), peaks).roofline_ms == 2.0


def test_seconds_until_a_psnr() -> None:
    assert seconds_until(25, [1, 2, 4], [10, 20, 30]) == 3
    assert seconds_until(25, [1, 2], [26, 27]) == 1
    assert seconds_until(25, [1, 2], [10, 20]) is None
