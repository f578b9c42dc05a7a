"""The rig of live-session tests: a fake session that counts its calls, and recorders of the callbacks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from neural_seg_ros import SessionConfig
from neural_seg_ros.errors import AnnotationError, SessionError, SessionFileError
from neural_seg_ros.live import LiveCallbacks, LiveConfig, LiveResult, LiveSession

SECONDS = 60  # until an event that comes at once unless the machine is busy
CONFIG = SessionConfig.preset(
    "cpu", answer="field", **{"fit.first_steps": 4, "fit.click_steps": 6, "fit.frame_steps": 2}
)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class PlainSession:
    """A fake Session that counts steps and fits nothing; ``gate`` lets a test hold the worker inside a fit."""

    def __init__(self, config: SessionConfig) -> None:
        self.config = config
        self.frame: Any = None
        self.stamp = 0.0
        self.frame_number = 0
        self.steps_due = 0
        self.steps = 0
        self.observed: list[float] = []
        self._annotations: list[Any] = []
        self.ids = 0
        self.gate = threading.Event()
        self.gate.set()
        self.fitting = threading.Event()
        self.fails: Exception | None = None
        self.better_available = False
        self.lost: tuple[int, ...] = ()

    def observe(self, image: Any, stamp: float) -> None:
        due = self.config.fit.first_steps if self.frame is None else self.config.fit.frame_steps
        self.frame, self.stamp = image, stamp
        self.frame_number += 1
        self.observed.append(stamp)
        self.steps_due = max(self.steps_due, due)

    def annotate(self, annotation: Any) -> int:
        if self.frame is None:
            raise SessionError("session: no frame yet")
        if annotation.x >= self.frame.shape[1]:
            raise AnnotationError("click: outside")
        self.ids += 1
        frame = {"stamp": self.stamp, "frame_number": self.frame_number, "id": self.ids}
        self._annotations.append(SimpleNamespace(annotation=annotation, **frame))
        self.steps_due = max(self.steps_due, self.config.fit.click_steps)
        return self.ids

    @property
    def scheduler(self) -> PlainSession:
        return self

    def slices(self) -> Iterator[None]:
        self.advance(self.steps_due)
        yield

    def advance(self, steps: int) -> None:
        self.fitting.set()
        assert self.gate.wait(SECONDS)
        if self.fails:
            raise self.fails
        self.steps += steps
        self.steps_due = max(0, self.steps_due - steps)

    @property
    def due(self) -> int:
        return self.steps_due

    def train(self, steps: int) -> int:
        return 0

    def synchronize(self) -> None:
        """Nothing to wait for."""

    is_prepared = True

    def prepare(self, wait: bool = False) -> None:
        """Nothing to prepare; the next preview is the better one."""
        self.better_available = False

    def result(self) -> Any:
        return self.preview()

    def preview(self) -> Any:
        count = len(self._annotations)
        return SimpleNamespace(
            stamp=self.stamp, annotations=count, steps=self.steps, better_available=self.better_available
        )

    def undo(self) -> bool:
        return bool(self._annotations and self._annotations.pop())

    def redo(self) -> bool:
        return False

    def clear(self) -> None:
        self._annotations.clear()

    def configure(self, config: SessionConfig) -> None:
        self.config = config
        self.steps_due = config.fit.first_steps

    def save(self, path: Path) -> None:
        path.write_text("saved")

    def status(self) -> Any:
        return SimpleNamespace(steps=self.steps, total=0.5, psnr=20.0)

    @property
    def annotations(self) -> tuple[Any, ...]:
        return tuple(self._annotations)


class Rig:
    """A live session, the records of its callbacks, and a way to wait for them."""

    def __init__(self, answer: str = "field", **options: Any) -> None:
        self.changed = threading.Condition()
        self.outputs: list[LiveResult] = []
        self.errors: list[Exception] = []
        self.notices: list[str] = []
        self.sessions: list[PlainSession] = []
        self.has_consumers = True
        # A test machine may stop the worker for longer than a camera would allow.
        self.live = LiveSession(
            self._make,  # type: ignore[arg-type]
            self._load,  # type: ignore[arg-type]
            replace(CONFIG, answer=answer),
            LiveConfig(**{"max_age": 5.0, **options}),
            LiveCallbacks(
                output=lambda output: self._record(self.outputs, output),
                wanted=lambda: self.has_consumers,
                error=lambda error: self._record(self.errors, error),
                notice=lambda notice: self._record(self.notices, notice),
            ),
        )
        self.live.wait_ready(SECONDS)

    @property
    def session(self) -> PlainSession:
        return self.sessions[-1]

    def frame(self, stamp: float, gray: int | None = None, size: tuple[int, int] = (48, 64)) -> None:
        value = int(stamp * 40) % 256 if gray is None else gray
        image = np.full((*size, 3), value, np.uint8)
        self.live.offer_frame(lambda: image, stamp, f"frame {stamp:g}", image.nbytes)

    def until(self, predicate: Callable[[], Any]) -> None:
        with self.changed:
            assert self.changed.wait_for(predicate, SECONDS), (self.outputs, self.errors, self.live.status())

    def until_fitted(self) -> None:
        """Wait until every step that is due was made and published."""
        self.until(lambda: self.outputs and self.outputs[-1].result.steps == self.session.steps)
        self.until(lambda: self.session.steps_due == 0 and self.outputs[-1].result.steps == self.session.steps)

    def headers(self) -> list[str]:
        return [output.header for output in self.outputs]

    def _record(self, records: list[Any], item: Any) -> None:
        with self.changed:
            records.append(item)
            self.changed.notify_all()

    def _make(self, config: SessionConfig) -> PlainSession:
        self.sessions.append(PlainSession(config))
        return self.sessions[-1]

    def _load(self, path: Path) -> PlainSession:
        if not path.exists():
            raise SessionFileError(f"{path}: missing")
        return self._make(SessionConfig.preset("thesis"))


def done(future: Future[Any]) -> Any:
    return future.result(SECONDS)
