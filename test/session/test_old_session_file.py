"""A session file that version 0.1.0 wrote."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np

from neural_seg_ros import Session

DATA = Path(__file__).resolve().parents[1] / "data"


def test_a_session_of_0_1_0_loads_with_its_labels(tmp_path: Path) -> None:
    path = tmp_path / "session.safetensors"
    path.write_bytes(lzma.decompress((DATA / "session_0.1.0.safetensors.xz").read_bytes()))
    session = Session.load(path, device="cpu")
    assert [type(each.annotation).__name__ for each in session.annotations] == [
        "Click", "Click", "Stroke", "Region", "Mask", "Box",
    ]  # fmt: skip
    np.testing.assert_array_equal(session.result().labels, np.load(DATA / "expected_labels.npz")["session"])
