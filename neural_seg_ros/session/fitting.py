"""What a session learns: a field of the frame in view, a tracker of what was annotated, and the steps they are due."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping

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
from neural_seg_ros.session.history import State
from neural_seg_ros.torch_setup import part_of
from neural_seg_ros.tracking import SessionTracker

# More steps than are ever due, and how many are made between two looks at the world.
ALL, SLICE = 10**9, 16

Image = NDArray[np.uint8]


class Fitting:
    """A field and a tracker on one camera.

    following  the tracker
    due        steps of the field; those of the tracker are counted by itself
    """

    def __init__(
        self, config: SessionConfig, device: torch.device, make_steps: MakeSteps, outdated: Callable[[], None]
    ) -> None:
        """outdated: told when snapshots of before fit no longer, as network, size or tracker are others."""
        self._config, self._device, self._make_steps, self._outdated = config, device, make_steps, outdated
        self._engine: Engine | None = None
        self.following = self._new_following(config)
        self.due = 0

    @property
    def begun(self) -> bool:
        """Whether there was a frame."""
        return self._engine is not None

    @property
    def engine(self) -> Engine:
        """The field. Raises SessionError before the first frame."""
        if self._engine is None:
            raise SessionError("session: no frame yet, accepted: observe(image) first")
        return self._engine

    def observe(self, frame: Image, number: int) -> None:
        """A new frame (H, W, 3) uint8 RGB, with a number of its own, is what the field is fitted to (thesis 2.5.2)."""
        first = not self.begun
        if self._engine is None:
            self._engine = self._new_engine(self._config, frame)
        elif self._engine.shape != _shape(frame, self._config):
            self._engine = self._engine.resized(*_shape(frame, self._config))
            self._outdated()
        self._look(frame, number, first)

    def configure(self, config: SessionConfig, frame: Image | None, number: int) -> bool:
        """Change options; ``frame`` is the one in view. Returns whether the field begins anew.

        What was learnt stays, unless network, input or seed change. When this raises nothing has changed.
        """
        old, engine = self._config, self._engine
        afresh = (config.seed, config.label_bits) != (old.seed, old.label_bits)
        remade = engine is not None and (afresh or not engine.reconfigure(config.field))
        if remade:
            assert frame is not None
            # It may not fit into the device's memory.
            engine = self._new_engine(config, frame)
        kept = (config.answer, config.seed) == (old.answer, old.seed)
        if not kept or not self.following.configure(config.track):
            self.following = self._new_following(config)
            self._outdated()
            if frame is not None:
                self.following.show(frame, number)
        self._config, self._engine = config, engine
        if remade:
            assert frame is not None
            self._outdated()
            self._look(frame, number, first=True)
        return remade

    def forget_classes(self) -> None:
        """Start over with the classes; the fit to the frame stays."""
        self.following.forget()
        if self._engine is not None:
            self._engine.forget_classes()

    def estimate(self) -> Estimate:
        """What the field says of the frame in view."""
        image, probabilities = self.engine.fetch().wait()
        return Estimate(image.numpy(), probabilities.numpy())

    # -- steps ---------------------------------------------------------------------------------------------------------

    def steps(self, of_field: int, of_tracker: int, look: Callable[[], None]) -> Iterator[None]:
        """Make steps of the field, and up to so many of the tracker before and after the ``look`` at this frame."""
        left = yield from _in_slices(of_tracker, self.following.train)
        look()
        yield from _in_slices(left, self.following.train)
        yield from _in_slices(of_field, self._fit_field)

    def step(self, of_field: int, of_tracker: int, look: Callable[[], None]) -> None:
        """Make all of ``steps``."""
        for _ in self.steps(of_field, of_tracker, look):
            pass

    def fit_for(self, seconds: float, look: Callable[[], None]) -> int:
        """Make steps for so long; returns how many."""
        deadline = time.monotonic() + seconds
        made = 0
        while time.monotonic() < deadline:
            self.step(1, 1, look)
            made += 1
            self.engine.synchronize()
        return made

    def ask(self) -> None:
        """Steps are due for an annotation."""
        self.due = max(self.due, self._config.fit.click_steps)

    # -- states --------------------------------------------------------------------------------------------------------

    def state(self, channels: tuple[int, ...]) -> State:
        """A snapshot, with the class of each channel."""
        return State(self.engine.snapshot(), self.following.snapshot(), channels)

    def return_to(self, state: State, number: int) -> None:
        """As it was at a snapshot, on the frame in view; the steps that the fit thereby loses are due again."""
        steps = self.engine.steps
        self.engine.restore(state.engine)
        self.following.restore(state.following, number)
        self.due = max(self.due, min(steps - self.engine.steps, self._config.fit.first_steps))

    def saved(self) -> dict[str, Tensor]:
        """All that was learnt."""
        engine = {f"engine.{name}": tensor for name, tensor in self.engine.snapshot().items()}
        return engine | {f"track.{name}": tensor for name, tensor in self.following.snapshot().items()}

    def restore(self, tensors: Mapping[str, Tensor], due: int, number: int) -> None:
        """As it was when ``saved`` gave this, with so many steps due, on the frame in view."""
        self.engine.restore(part_of(tensors, "engine"))
        self.following.restore(part_of(tensors, "track"), number)
        self.due = due

    # -- inside --------------------------------------------------------------------------------------------------------

    def _look(self, frame: Image, number: int, first: bool) -> None:
        self.engine.set_target(torch.from_numpy(frame))
        self.following.show(frame, number)
        fit = self._config.fit
        self.due = max(self.due, fit.first_steps if first else fit.frame_steps)

    def _fit_field(self, steps: int) -> int:
        self.engine.step(steps)
        self.due = max(0, self.due - steps)
        return steps

    def _new_engine(self, config: SessionConfig, frame: Image) -> Engine:
        return Engine(config.field, *_shape(frame, config), self._device, config.seed, self._make_steps)

    def _new_following(self, config: SessionConfig) -> SessionTracker:
        return SessionTracker(config.track, self._device, config.seed)


def _shape(frame: Image, config: SessionConfig) -> tuple[int, int]:
    """(height, width) of the field of a frame."""
    height, width = frame.shape[:2]
    return field_shape(height, width, config.field.size, config.field.least_side)


def _in_slices(steps: int, make: Callable[[int], int]) -> Generator[None, None, int]:
    """Have steps made, SLICE at a time, until it makes no more; returns how many are left."""
    while steps and (made := make(min(SLICE, steps))):
        steps -= made
        yield
    return steps
