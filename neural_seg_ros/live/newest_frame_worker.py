"""The worker for a live camera: the newest frame, its mask as soon as possible, and the fit beside."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.live.autosave.restore import Restored
from neural_seg_ros.live.autosave.store import AutosaveState
from neural_seg_ros.live.background import Trainer
from neural_seg_ros.live.inbox import Frame
from neural_seg_ros.live.step_budget import Budget
from neural_seg_ros.live.worker import CurrentFrame, RgbImage, Worker

if TYPE_CHECKING:
    from neural_seg_ros.session import Session
    from neural_seg_ros.session.result import Result

_THUMBNAIL = (32, 24)
# A command waits no longer than this for the fit, in seconds.
_INTERRUPTIBLE = 0.02


class NewestFrameWorker(Worker):
    """A worker that publishes the newest frame's result, fits the field in slices, and trains the tracker beside.

    With ``answer: fused`` the result is there before the fit, and only a better answer to annotations replaces it. With
    ``answer: field`` it follows every slice, and an annotated frame is held until its steps are made, so that the field
    learns the annotated pixels before they are forgotten with the frame.
    """

    # The thumbnail of the frame that was fitted for the one in view.
    _fitted_thumbnail: NDArray[np.float32] | None = None
    _result: Result | None = None
    # The result given last was a preview, and a better one is to come.
    _previewed = False
    _published_at = 0.0
    # Steps to make for an annotation before the next frame may be taken.
    _hold_steps = 0
    # Due steps are left alone: there is no frame, or nothing new since the fit failed.
    _resting = True

    @cached_property
    def _budget(self) -> Budget:
        return Budget()

    @cached_property
    def _trainer(self) -> Trainer:
        return Trainer(self._train, self._report)

    def run(self) -> None:
        """Work until the inbox is closed."""
        try:
            super().run()
        finally:
            # Not made only to be closed.
            if "_trainer" in vars(self):
                self._trainer.close()

    def replace(self, session: Session) -> SessionConfig:
        """Go on with another session, on the frame in view; gives its configuration."""
        config = super().replace(session)
        self._show_newest()
        return config

    def restore_autosave(
        self, state: AutosaveState, pixels: Callable[[str], RgbImage], base: Session | None
    ) -> Restored:
        """Go on from what autosave kept, on the frame in view."""
        restored = super().restore_autosave(state, pixels, base)
        self._show_newest()
        return restored

    def annotate(self, annotations: Sequence[Annotation], stamp: float | None, arrived: float) -> None:
        """Annotate the frame of a stamp, or the newest, and hold it until it is answered."""
        super().annotate(annotations, stamp, arrived)
        self._hold_steps = self._config.fit.click_steps

    def reanswer_frame(self, stamp: float, arrived: float) -> bool:
        """Answer the recent frame of a stamp again, and hold it until that is done. Returns whether there is one."""
        found = super().reanswer_frame(stamp, arrived)
        if found:
            self._hold_steps = self._config.fit.click_steps
        return found

    def _wait(self) -> bool:
        return self._inbox.wait(for_frame=not self._holds(), busy=self._steps_due() > 0, pause=self._until_publish())

    def _turn(self) -> None:
        self._budget.begin()
        if self._inbox.depth:
            self._trainer.rest()
        self._inbox.run_commands()
        if not self._holds():
            self._take_frame()
        if self._inbox.enabled:
            if self._fused:
                self._publish()
            self._fit_slice()
            self._publish()
            self._prepare()
        if self._inbox.enabled and not self._holds() and self._budget.has_spare_time(self.options.fit_budget):
            self._trainer.go()
        else:
            self._trainer.rest()

    def _failed(self, error: Exception) -> None:
        self._resting = True
        super()._failed(error)

    @property
    def _fused(self) -> bool:
        return self._config.answers_at_once

    def _holds(self) -> bool:
        if self._fused:
            # What failed must not hold the camera up.
            return not self._resting and (bool(self._answering) or self._previewed)
        return min(self._hold_steps, self._steps_due()) > 0

    def _steps_due(self) -> int:
        return 0 if self._resting else self.session.scheduler.due

    def _train(self) -> int:
        made = self.session.scheduler.train(1)
        if made:
            self._counters.fitted(made)
        return made

    def _until_publish(self) -> float | None:
        return self._published_at + self.options.publish_period - time.monotonic() if self._unpublished else None

    def _take_frame(self) -> None:
        frame = self._inbox.take_frame()
        if frame is None:
            return
        age = frame.age
        if age > self.options.max_age:
            self._counters.frame_stale()
            return
        self._taken = frame.arrived
        self._counters.frame_taken(age)
        image = frame.decode()
        thumbnail = _thumbnail(image)
        if not self._steps_due() and self._is_still(image, thumbnail):
            self._current = CurrentFrame(frame, image)
            self._unpublished = True
        else:
            self._observe(frame, image)
            self._fitted_thumbnail = thumbnail

    def _is_still(self, image: RgbImage, thumbnail: NDArray[np.float32]) -> bool:
        """Return whether an image shows the fitted scene; the largest block decides, so no small object is missed."""
        shown, fitted, threshold = self._current, self._fitted_thumbnail, self.options.still_threshold
        if shown is None or fitted is None or shown.image.shape != image.shape or threshold == 0:
            return False
        return float(np.abs(thumbnail - fitted).max()) <= threshold

    def _show_newest(self) -> None:
        # A camera that stopped, or sent one picture only, must not leave the session without a frame.
        recent = self._inbox.recent_frames()
        if recent:
            try:
                self._show(recent[-1])
            except Exception as error:  # the frame's fault: the session is there, and takes the next one
                self._report(error)

    def _show(self, frame: Frame) -> None:
        super()._show(frame)
        assert self._current is not None
        self._fitted_thumbnail = _thumbnail(self._current.image)

    def _fit_slice(self) -> None:
        due = self._steps_due()
        if not due:
            return
        steps, made = self._budget.steps(self.options.fit_budget, due), 0
        while made < steps and not (made and self._inbox.depth):
            some = min(steps - made, max(1, self._budget.within(_INTERRUPTIBLE)))
            with self._budget.fitting(some):
                self.session.scheduler.advance(some)
                self.session.scheduler.synchronize()
            made += some
        if not made:
            return
        self._hold_steps = max(0, self._hold_steps - made)
        if not self._fused:
            self._changed()
        self._fitted(made)

    def _publish(self) -> None:
        until = self._until_publish()
        if self._current is None or until is None or (until > 0 and not self._answering):
            return
        self._published_at = time.monotonic()
        self._publish_result(self._look, goes_on=self._holds)

    def _look(self) -> Result:
        if self._result is None:
            with self._budget.answering():
                self._result = self.session.scheduler.preview()
            self._previewed = self.session.scheduler.better_available
        return self._result

    def _prepare(self) -> None:
        """Prepare the full answer after a preview or, when idle, the answer to the next annotation."""
        if self._current is None:
            return
        idle = not self._steps_due()
        if self._previewed:
            self.session.prepare(wait=idle)
            if self.session.scheduler.is_prepared:
                self._result, self._unpublished = None, True
        elif idle:
            self.session.prepare()

    def _changed(self) -> None:
        super()._changed()
        self._result, self._previewed = None, False
        self._resting = self._current is None

    def _target(self, stamp: float | None) -> Frame | None:
        nearest = self._nearest(stamp)
        # While a frame is held it is the one the user sees.
        if nearest is None and not self._holds():
            recent = self._inbox.recent_frames()
            return recent[-1] if recent else None
        return nearest

    def _choose_frame(self, stamp: float | None) -> None:
        if self._nearest(stamp) is None and not self._holds():
            self._take_frame()
            if self._current is not None:
                return
        super()._choose_frame(stamp)


def _thumbnail(image: RgbImage) -> NDArray[np.float32]:
    """Compute (24, 32, 3) float32 block means of an (H, W, 3) uint8 image."""
    return np.asarray(cv2.resize(image, _THUMBNAIL, interpolation=cv2.INTER_AREA), np.float32)
