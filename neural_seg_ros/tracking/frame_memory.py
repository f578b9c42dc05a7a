"""The frames the network is taught: those annotated, and the last ones observed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neural_seg_ros.tracking.training_samples import TrainingFrame
from neural_seg_ros.tracking.windows import Window

# Greatest number of frames: the first annotated one and the newest ones.
ANNOTATED = 6


class Memory:
    """A bounded number of frames with labels: ``annotated`` by the user, and ``recent`` ones with our own answer."""

    def __init__(self, recent: int) -> None:
        self.annotated: list[TrainingFrame] = []
        self.recent: list[TrainingFrame] = []
        self.most_recent = recent

    def learn(self, known: TrainingFrame) -> None:
        """Add or replace an annotated frame; the tracker's own answers until now are forgotten."""
        kept = [old for old in self.annotated if not np.array_equal(old.image, known.image)]
        self.annotated = [*kept, known]
        if len(self.annotated) > ANNOTATED:
            del self.annotated[1]
        self.recent = []

    def doubt(self, channel: int, which: NDArray[np.bool_], number: int) -> None:
        """Stop teaching pixels (h, w) of annotated frame ``number``: they may be of a class that came later."""
        old = self.annotated[number]
        weights = np.where(which & (old.labels != channel), np.float32(0), old.weights)
        self.annotated[number] = TrainingFrame(old.image, old.labels, weights, old.windows)

    def observe(self, known: TrainingFrame) -> None:
        """Add a frame with the tracker's own answer."""
        self.recent = [*self.recent, known][-self.most_recent :]

    def snapshot(self) -> dict[str, Tensor]:
        """Copy all frames."""
        state: dict[str, Tensor] = {}
        for kind, frames in (("annotated", self.annotated), ("recent", self.recent)):
            for number, known in enumerate(frames):
                for name, values in (("image", known.image), ("labels", known.labels), ("weights", known.weights)):
                    state[f"{kind}.{number}.{name}"] = torch.from_numpy(values.copy())
                state[f"{kind}.{number}.windows"] = windows_to_tensor(known.windows)
        return state

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """Return to the state of ``snapshot()``."""
        self.annotated, self.recent = _frames(snapshot, "annotated"), _frames(snapshot, "recent")


def windows_to_tensor(windows: Mapping[int, Window]) -> Tensor:
    """Return (N, 4) float64: channel, x, y, side."""
    rows = [[channel, window.x, window.y, window.side] for channel, window in windows.items()]
    return torch.tensor(rows, dtype=torch.float64).reshape(-1, 4)


def windows_of_tensor(tensor: Tensor) -> dict[int, Window]:
    """Read the windows of ``windows_to_tensor``."""
    return {int(channel): Window(x, y, side) for channel, x, y, side in tensor.tolist()}


def _frames(snapshot: Mapping[str, Tensor], kind: str) -> list[TrainingFrame]:
    frames: list[TrainingFrame] = []
    while (name := f"{kind}.{len(frames)}") + ".image" in snapshot:
        image, labels, weights = (snapshot[f"{name}.{part}"].numpy().copy() for part in ("image", "labels", "weights"))
        frames.append(TrainingFrame(image, labels, weights, windows_of_tensor(snapshot[f"{name}.windows"])))
    return frames
