"""The learning half of a session: the field of the current frame, the tracker, and the steps that are due."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from enum import Flag, auto

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neural_seg_ros.click_answer import Estimate
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.errors import SessionError
from neural_seg_ros.field.engine import Engine
from neural_seg_ros.field.steps import MakeSteps
from neural_seg_ros.images.arrays import field_shape
from neural_seg_ros.session.history import Snapshot
from neural_seg_ros.torch_setup import part_of
from neural_seg_ros.tracking import SessionTracker

# A slice: the steps after which the caller of ``in_slices`` gets control again.
SLICE_STEPS = 16

Image = NDArray[np.uint8]


class Remade(Flag):
    """The parts that a change of options remade; snapshots from before cannot be restored into them."""

    NOTHING = 0
    FIELD = auto()
    TRACKER = auto()


class Fitting:
    """The field and the tracker of one camera.

    tracker  counts its own due steps
    due      steps of the field that are due
    """

    def __init__(self, config: SessionConfig, device: torch.device, make_steps: MakeSteps) -> None:
        self._config, self._device, self._make_steps = config, device, make_steps
        self._engine: Engine | None = None
        self.tracker = self._new_tracker(config)
        self.due = 0

    @property
    def begun(self) -> bool:
        """True if a frame was observed."""
        return self._engine is not None

    @property
    def engine(self) -> Engine:
        """The field's engine. Raises SessionError before the first frame."""
        if self._engine is None:
            raise SessionError("no frame yet: call observe(image) first")
        return self._engine

    def observe(self, frame: Image, number: int) -> bool:
        """Fit the field to a new frame from now on (thesis 2.5.2).

        frame: (H, W, 3) uint8 RGB with a running number. Returns whether the field kept its size; otherwise snapshots
        from before cannot be restored.
        """
        first, same_size = not self.begun, True
        if self._engine is None:
            self._engine = self._new_engine(self._config, frame)
        elif self._engine.shape != _shape(frame, self._config):
            self._engine = self._engine.resized(*_shape(frame, self._config))
            same_size = False
        self._target(frame, number, first)
        return same_size

    def configure(self, config: SessionConfig, frame: Image | None, number: int) -> Remade:
        """Change options; ``frame`` is the current one, with its running number.

        The learned state stays, unless network, input or seed change. Nothing has changed when this raises.
        """
        old, engine = self._config, self._engine
        reseeded = (config.seed, config.label_bits) != (old.seed, old.label_bits)
        remade = Remade.NOTHING
        if engine is not None and (reseeded or not engine.reconfigure(config.field)):
            assert frame is not None
            # Raises where it does not fit into the device's memory.
            engine = self._new_engine(config, frame)
            remade |= Remade.FIELD
        if (config.answer, config.seed) != (old.answer, old.seed) or not self.tracker.configure(config.track):
            self.tracker = self._new_tracker(config)
            remade |= Remade.TRACKER
            if frame is not None:
                self.tracker.show(frame, number)
        self._config, self._engine = config, engine
        if Remade.FIELD in remade:
            assert frame is not None
            self._target(frame, number, first=True)
        return remade

    def forget_classes(self) -> None:
        """Drop the learned state of the classes; the fit to the frame stays."""
        self.tracker.forget()
        if self._engine is not None:
            self._engine.forget_classes()

    def field_estimate(self) -> Estimate:
        """Return the field's estimate of the current frame."""
        image, probabilities = self.engine.fetch().wait()
        return Estimate(image.numpy(), probabilities.numpy())

    def estimate(self) -> Estimate:
        """Return the tracker's estimate of the current frame or, before it has learned anything, the field's."""
        return self.tracker.estimate() or self.field_estimate()

    def fit_field(self, steps: int) -> int:
        """Make steps of the field; returns their number."""
        self.engine.step(steps)
        self.due = max(0, self.due - steps)
        return steps

    def annotations_changed(self) -> None:
        """Make the steps of an annotation due."""
        self.due = max(self.due, self._config.fit.click_steps)

    def snapshot(self, channels: tuple[int, ...]) -> Snapshot:
        """Return a snapshot, with the class id of each channel."""
        return Snapshot(self.engine.snapshot(), self.tracker.snapshot(), channels)

    def return_to(self, snapshot: Snapshot, number: int) -> None:
        """Restore a snapshot on the current frame; steps of the fit that are lost by this are due again."""
        steps = self.engine.steps
        self.engine.restore(snapshot.field)
        self.tracker.restore(snapshot.tracker, number)
        self.due = max(self.due, min(steps - self.engine.steps, self._config.fit.first_steps))

    def saved(self) -> dict[str, Tensor]:
        """Return all that was learned, under the keys of the session file."""
        field = {f"engine.{name}": tensor for name, tensor in self.engine.snapshot().items()}
        return field | {f"track.{name}": tensor for name, tensor in self.tracker.snapshot().items()}

    def restore(self, tensors: Mapping[str, Tensor], due: int, number: int) -> None:
        """Return to the state that ``saved`` returned, on the current frame, with ``due`` steps of the field due."""
        self.engine.restore(part_of(tensors, "engine"))
        self.tracker.restore(part_of(tensors, "track"), number)
        self.due = due

    def _target(self, frame: Image, number: int, first: bool) -> None:
        self.engine.set_target(torch.from_numpy(frame))
        self.tracker.show(frame, number)
        fit = self._config.fit
        self.due = max(self.due, fit.first_steps if first else fit.frame_steps)

    def _new_engine(self, config: SessionConfig, frame: Image) -> Engine:
        return Engine(config.field, *_shape(frame, config), self._device, config.seed, self._make_steps)

    def _new_tracker(self, config: SessionConfig) -> SessionTracker:
        return SessionTracker(config.track, self._device, config.seed)


def _shape(frame: Image, config: SessionConfig) -> tuple[int, int]:
    """Return (height, width) of the field of a frame."""
    height, width = frame.shape[:2]
    return field_shape(height, width, config.field.size, config.field.least_side)


def in_slices(steps: int, make: Callable[[int], int]) -> Generator[None, None, int]:
    """Call ``make(n)`` for at most SLICE_STEPS steps at a time, until it makes none; returns the steps left."""
    while steps and (made := make(min(SLICE_STEPS, steps))):
        steps -= made
        yield
    return steps
