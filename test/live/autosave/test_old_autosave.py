"""An autosave folder that a killed node of version 0.1.0 left."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np

from neural_seg_ros import Click, Session, SessionConfig
from neural_seg_ros.live import LiveCallbacks, LiveConfig, LiveSession, open_autosave

DATA = Path(__file__).resolve().parents[2] / "data"
CONFIG = {
    "field.size": 24, "field.width": 8, "field.levels": 2, "field.octaves": 2, "field.precision": "fp32",
    "fit.first_steps": 30, "fit.click_steps": 8, "fit.frame_steps": 2,
    "track.size": 64, "track.first_steps": 20, "track.correction_steps": 4, "track.recent": 1,
    "track.precision": "fp32",
}  # fmt: skip
SECONDS = 60


def test_autosaved_annotations_of_0_1_0_are_restored(tmp_path: Path) -> None:
    folder = tmp_path / "segmenter"
    shutil.copytree(DATA / "autosave_0.1.0", folder)
    os.utime(folder / "annotations.log")  # a checkout has any age
    errors: list[str] = []
    autosave = open_autosave(
        folder, "/image", restore="crash", max_age=300.0, megabytes=64, notice=lambda _: None,
        failed=lambda error: errors.append(str(error)),
    )  # fmt: skip
    callbacks = LiveCallbacks(
        output=lambda _: None,
        wanted=lambda: False,
        error=lambda error: errors.append(str(error)),
        notice=lambda _: None,
    )
    live = LiveSession(
        lambda config: Session(config, "cpu"),
        lambda path: Session.load(path, "cpu"),
        SessionConfig.from_dict({"answer": "fused", **CONFIG}),
        LiveConfig(),
        callbacks,
        autosave=autosave,
        enabled=False,
    )
    try:
        live.wait_ready(SECONDS)
        live.save(tmp_path / "saved").result(SECONDS)
    finally:
        live.close()
    assert not errors
    session = Session.load(tmp_path / "saved", device="cpu")
    assert len(session.annotations) == 9
    assert len({each.stamp for each in session.annotations}) == 2
    assert session.annotations[-1].annotation == Click(60, 10, 0)
    session.fit()
    labels = session.result().labels
    assert (labels != np.load(DATA / "expected_labels.npz")["autosave"]).mean() < 0.005  # the fit differs among CPUs
