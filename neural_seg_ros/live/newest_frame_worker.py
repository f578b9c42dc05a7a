"""The worker for a live camera: the newest frame, its mask as soon as possible, and the fit beside."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.live.autosave.restore import Restored
from neural_seg_ros.live.autosave.store import AutosaveState
from neural_seg_ros.live.background import Trainer
from neural_seg_ros.live.inbox import IncomingFrame
from neural_seg_ros.live.step_budget import StepBudget
from neural_seg_ros.live.worker import CurrentFrame, RgbImage, Worker

if TYPE_CHECKING:
    from neural_seg_ros.session import Session
    from neural_seg_ros.session.result import Result

# Width and height in pixels of the thumbnails by which a still scene is recognized.
_THUMBNAIL_SIZE = (32, 24)
# The longest time that a command waits for the fit.
_MAX_COMMAND_WAIT_SECONDS = 0.02


class NewestFrameWorker(Worker):
    """A worker that publishes the newest frame's result, fits the field in slices, and trains the tracker beside.

    With ``answer: fused`` the result is published before the fit; only a better answer to annotations replaces it.
    With ``answer: field`` a result follows every slice. An annotated frame is then held until its steps are made, so
    that the field learns the annotated pixels before the next frame replaces them.
    """

    def __init__(self, *arguments: Any) -> None:
        """Take the arguments of ``Worker``."""
        super().__init__(*arguments)
        # The time that remains for the fit in each iteration.
        self._budget = StepBudget()
        # The thread that trains the tracker, made by the first iteration: it changes the thread count of its maker.
        self._trainer: Trainer | None = None
        # The thumbnail of the frame that was fitted for the current one.
        self._fitted_thumbnail: NDArray[np.float32] | None = None
        # The result of the current frame; None while stale.
        self._cached_result: Result | None = None
        # The result computed last was a preview, and a better one is to come.
        self._better_pending = False
        # Time at which a result was last published.
        self._published_at = 0.0
        # Steps to make for an annotation before the next frame may be taken; unused with ``answer: fused``.
        self._hold_steps = 0
        # Due steps wait: there is no frame, or the fit failed and nothing has changed since.
        self._fit_paused = True

    def run(self) -> None:
        """Work until the inbox is closed."""
        try:
            super().run()
        finally:
            if self._trainer is not None:
                self._trainer.close()

    def replace(self, session: Session) -> SessionConfig:
        """Continue with another session, on the newest frame; return its configuration."""
        config = super().replace(session)
        self._make_newest_current()
        return config

    def restore_autosave(
        self, state: AutosaveState, pixels: Callable[[str], RgbImage], base: Session | None
    ) -> Restored:
        """Restore the autosaved state and continue on the newest frame."""
        restored = super().restore_autosave(state, pixels, base)
        self._make_newest_current()
        return restored

    def annotate(self, annotations: Sequence[Annotation], stamp: float | None, arrived: float) -> None:
        """Annotate the frame of a stamp, or the newest, and hold it until it is answered."""
        super().annotate(annotations, stamp, arrived)
        self._hold_steps = self._config.fit.click_steps

    def reanswer_frame(self, stamp: float, arrived: float) -> bool:
        """Answer the recent frame of a stamp again and hold it until then. Returns False if there is none."""
        found = super().reanswer_frame(stamp, arrived)
        if found:
            self._hold_steps = self._config.fit.click_steps
        return found

    def _wait(self) -> bool:
        return self._inbox.wait(
            for_frame=not self._holds_frame(), busy=self._steps_due() > 0, pause=self._seconds_until_publish()
        )

    def _run_once(self) -> None:
        self._budget.begin()
        trainer = self._trainer = self._trainer or Trainer(self._train, self._report)
        if self._inbox.command_count:
            trainer.pause()
        self._inbox.run_commands()
        if not self._holds_frame():
            self._take_frame()
        if self._inbox.enabled:
            if self._config.answers_at_once:
                self._publish()
            self._fit_slice()
            self._publish()
            self._prepare()
        if self._inbox.enabled and not self._holds_frame() and self._budget.has_spare_time(self.options.fit_budget):
            trainer.resume()
        else:
            trainer.pause()

    def _handle_failure(self, error: Exception) -> None:
        self._fit_paused = True
        super()._handle_failure(error)

    def _holds_frame(self) -> bool:
        """Return whether the current frame must be answered before the next one is taken."""
        if self._config.answers_at_once:
            # A failed fit must not block the camera.
            return not self._fit_paused and (bool(self._unanswered_arrivals) or self._better_pending)
        return min(self._hold_steps, self._steps_due()) > 0

    def _steps_due(self) -> int:
        return 0 if self._fit_paused else self.session.scheduler.due

    def _train(self) -> int:
        made = self.session.scheduler.train(1)
        if made:
            self._counters.add_steps(made)
        return made

    def _seconds_until_publish(self) -> float | None:
        """Return the seconds until a result may be published; None without one to publish."""
        if not self._needs_publishing:
            return None
        return self._published_at + self.options.publish_period - time.monotonic()

    def _take_frame(self) -> None:
        frame = self._inbox.take_frame()
        if frame is None:
            return
        age = frame.age
        if age > self.options.max_age:
            self._counters.add_stale_frame()
            return
        self._unmasked_arrival = frame.arrived
        self._counters.add_taken_frame(age)
        image = frame.decode()
        thumbnail = _thumbnail(image)
        if not self._steps_due() and self._is_still(image, thumbnail):
            self._current = CurrentFrame(frame, image)
            self._needs_publishing = True
        else:
            self._observe(frame, image)
            self._fitted_thumbnail = thumbnail

    def _is_still(self, image: RgbImage, thumbnail: NDArray[np.float32]) -> bool:
        """Return whether an image shows the fitted scene; the largest block decides, so no small object is missed."""
        current, fitted, threshold = self._current, self._fitted_thumbnail, self.options.still_threshold
        if current is None or fitted is None or current.image.shape != image.shape or threshold == 0:
            return False
        return float(np.abs(thumbnail - fitted).max()) <= threshold

    def _make_newest_current(self) -> None:
        # A camera that stopped, or sent one image only, must not leave the session without a frame.
        recent = self._inbox.recent_frames()
        if recent:
            try:
                self._make_current(recent[-1])
            except Exception as error:  # a frame that cannot be decoded; the session can take the next one
                self._report(error)

    def _make_current(self, frame: IncomingFrame) -> None:
        super()._make_current(frame)
        assert self._current is not None
        self._fitted_thumbnail = _thumbnail(self._current.image)

    def _fit_slice(self) -> None:
        """Make as many due steps as the budget allows; a command ends the slice early."""
        due = self._steps_due()
        if not due:
            return
        steps, made = self._budget.affordable_steps(self.options.fit_budget, due), 0
        while made < steps and not (made and self._inbox.command_count):
            some = min(steps - made, max(1, self._budget.steps_within(_MAX_COMMAND_WAIT_SECONDS)))
            with self._budget.time_steps(some):
                self.session.scheduler.advance(some)
                self.session.scheduler.synchronize()
            made += some
        if not made:
            return
        self._hold_steps = max(0, self._hold_steps - made)
        if not self._config.answers_at_once:
            self._invalidate()
        self._count_steps(made)

    def _publish(self) -> None:
        """Publish the current result if its period has passed, or at once if it answers an annotation."""
        until = self._seconds_until_publish()
        if self._current is None or until is None or (until > 0 and not self._unanswered_arrivals):
            return
        self._published_at = time.monotonic()
        self._publish_result(self._compute_result, unfinished=self._holds_frame)

    def _compute_result(self) -> Result:
        if self._cached_result is None:
            with self._budget.time_answer():
                self._cached_result = self.session.scheduler.preview()
            self._better_pending = self.session.scheduler.better_available
        return self._cached_result

    def _prepare(self) -> None:
        """Prepare the full answer after a preview or, when idle, the answer to the next annotation."""
        if self._current is None:
            return
        idle = not self._steps_due()
        if self._better_pending:
            self.session.prepare(wait=idle)
            if self.session.scheduler.is_prepared:
                self._cached_result, self._needs_publishing = None, True
        elif idle:
            self.session.prepare()

    def _invalidate(self) -> None:
        super()._invalidate()
        self._cached_result, self._better_pending = None, False
        self._fit_paused = self._current is None

    def _target_frame(self, stamp: float | None) -> IncomingFrame | None:
        nearest = self._nearest_frame(stamp)
        # While a frame is held, it is the one that the user sees.
        if nearest is None and not self._holds_frame():
            recent = self._inbox.recent_frames()
            return recent[-1] if recent else None
        return nearest

    def _choose_frame(self, stamp: float | None) -> None:
        if self._nearest_frame(stamp) is None and not self._holds_frame():
            self._take_frame()
            if self._current is not None:
                return
        super()._choose_frame(stamp)


def _thumbnail(image: RgbImage) -> NDArray[np.float32]:
    """Compute (24, 32, 3) float32 block means of an (H, W, 3) uint8 image."""
    return np.asarray(cv2.resize(image, _THUMBNAIL_SIZE, interpolation=cv2.INTER_AREA), np.float32)
