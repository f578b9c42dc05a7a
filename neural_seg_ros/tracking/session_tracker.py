"""The tracker of a session: learns every annotated frame that is left and answers on later frames."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neural_seg_ros.click_answer.estimate import Estimate
from neural_seg_ros.config import TrackConfig
from neural_seg_ros.images.arrays import field_shape, resize_image
from neural_seg_ros.tracking.tracker import Tracker

# Least side for dense optical flow.
LEAST_SIDE = 32


class SessionTracker:
    """A tracker that is made when there is something to track, and the frame that it is asked about.

    Another thread may ``train`` beside the one that does everything else.
    """

    def __init__(self, config: TrackConfig, device: torch.device, seed: int) -> None:
        self._config, self._device, self._seed = config, device, seed
        self._tracker: Tracker | None = None
        self._frame: NDArray[np.uint8] | None = None
        self._number = 0
        self._estimate: Estimate | None = None
        self._state: dict[str, Tensor] | None = None
        # Held while a step is made, and by whatever must not meet one; an answer may.
        self._training = Lock()

    def configure(self, config: TrackConfig) -> bool:
        """Take new options. Returns False, with nothing changed, when they are incompatible with the learned state."""
        with self._training:
            if self._tracker is not None and not self._tracker.configure(config):
                return False
        if config.size != self._config.size:
            # The frame shown last is answered anew.
            self._estimate = self._state = None
        self._config = config
        return True

    def show(self, frame: NDArray[np.uint8], number: int) -> None:
        """Take a new frame, (H, W, 3) uint8 RGB with a running number; nothing is computed before it is needed."""
        self._frame, self._number = frame, number
        self._estimate = None
        self._state = None

    def estimate(self) -> Estimate | None:
        """Return the answer to the frame shown last, at ``config.size``; None before anything was learned."""
        if self._tracker is not None and self._estimate is None:
            self._estimate = self._tracker.observe(self._small())
            self._state = None
        return self._estimate

    def learn(self, channels: NDArray[np.integer], count: int) -> None:
        """Learn the labels (H, W) of the current, annotated frame, as channels in [0, count)."""
        frame = self._small()
        size = frame.shape[1::-1]
        shares = [
            cv2.resize((channels == channel).astype(np.float32), size, interpolation=cv2.INTER_AREA)
            for channel in range(count)
        ]
        with self._training:
            if self._tracker is None:
                self._tracker = Tracker(self._config, self._device, self._seed)
            self._tracker.learn(frame, np.stack(shares).astype(np.float32))
            self._state = None

    def train(self, steps: int) -> int:
        """Make up to ``steps`` of the steps that are due; returns how many were made."""
        for made in range(steps):
            with self._training:
                if self._tracker is None or not self._tracker.train(1):
                    return made
                self._state = None
        return steps

    @property
    def has_learned(self) -> bool:
        """True if anything was learned."""
        return self._tracker is not None

    @property
    def steps_due(self) -> int:
        """The number of steps of the tracker's network that are due."""
        return 0 if self._tracker is None else self._tracker.steps_due

    @property
    def lost(self) -> tuple[int, ...]:
        """Channels that were annotated and are not in sight."""
        return () if self._tracker is None else self._tracker.lost

    def forget(self) -> None:
        """Start over on the frame shown last."""
        with self._training:
            self._tracker = self._estimate = self._state = None

    def snapshot(self) -> dict[str, Tensor]:
        """Return all state; the same object until that changes."""
        with self._training:
            if self._state is None:
                self._state = {} if self._tracker is None else self._tracker.snapshot()
                if self._estimate is not None:
                    self._state["estimate"] = torch.from_numpy(self._estimate.probabilities.copy())
                    self._state["number"] = torch.tensor(self._number)
            return self._state

    def restore(self, snapshot: Mapping[str, Tensor], number: int) -> None:
        """Return to a snapshot; the current frame keeps its answer if the snapshot has it."""
        self.forget()
        self._number = number
        state = dict(snapshot)
        estimate, answered = state.pop("estimate", None), state.pop("number", None)
        if not state:
            return
        tracker = Tracker(self._config, self._device, self._seed)
        tracker.restore(state)
        self._tracker = tracker
        if estimate is not None and answered is not None and int(answered) == number:
            frame = self._small()
            # Another size was configured since: it is answered anew.
            if estimate.shape[1:] == frame.shape[:2]:
                self._estimate = Estimate(frame, estimate.numpy().copy())

    def _small(self) -> NDArray[np.uint8]:
        assert self._frame is not None
        height, width = self._frame.shape[:2]
        return resize_image(self._frame, *field_shape(height, width, self._config.size, LEAST_SIDE))
