"""``neural-seg benchmark latency``: figures of every answer, in JSON and as a table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from neural_seg_ros.cli.main import run
from neural_seg_ros.evaluation.speed import live_latency as latency

TINY = ["--set", "field.size=32", "--set", "field.width=8", "--set", "field.levels=2", "--set", "fit.first_steps=3"]
TINY += ["--set", "track.first_steps=4", "--set", "track.correction_steps=2"]
SMALL = ["--width", "64", "--height", "48", "--clicks", "2", "--frames", "2", "--device", "cpu"]


def test_latency_of_both_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency, "FOLLOWING", 1.5)
    assert run(["benchmark", "latency", "--out", str(tmp_path), *TINY, *SMALL]) == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    figures, moving = metrics["latency"], metrics["moving_camera"]
    assert set(figures) == {"fused", "field"}
    for row in figures.values():
        assert 0 < row["preview_p95"] <= row["click_p95"]
        assert row["click_p50"] <= row["click_p95"]
        assert row["resident_mb"] > 50
    for row in moving.values():
        assert 0 < row["click_p50"] <= row["click_p95"]
        assert row["masks_per_second"] > 0
        assert row["masks_following"] > 0
        assert row["contours_beside"] > 0
        assert row["masks_beside"] > 0
    assert (tmp_path / "waits.png").stat().st_size > 0
    assert (tmp_path / "table.md").read_text().rstrip().endswith(capsys.readouterr().out.rstrip())


def test_an_unknown_answer_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["benchmark", "latency", "--out", str(tmp_path), "--answers", "both"]) == 2
    assert capsys.readouterr().err.startswith("error: answer: got 'both', accepted: fused | field")
    assert not list(tmp_path.iterdir())
