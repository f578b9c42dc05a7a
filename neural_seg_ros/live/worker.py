"""The one thread that drives the Session of a live session."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation, check_annotation
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.errors import AnnotationError
from neural_seg_ros.live.budget import Budget
from neural_seg_ros.live.config import LiveConfig
from neural_seg_ros.live.inbox import Frame, Inbox
from neural_seg_ros.live.listener import Listener, Output
from neural_seg_ros.live.status import Counters

if TYPE_CHECKING:
    from neural_seg_ros.result import Result
    from neural_seg_ros.session import Session

RgbImage = NDArray[np.uint8]

_THUMBNAIL = (32, 24)
_STATUS_PERIOD = 1.0
# A command waits no longer than this for the fit, in seconds.
_INTERRUPTIBLE = 0.02


@dataclass(frozen=True, eq=False)
class _Shown:
    """The frame that masks are published for, and the thumbnail of the frame that was fitted for it."""

    frame: Frame
    image: RgbImage
    fitted: NDArray[np.float32]


class Worker:
    """Takes frames and commands from the inbox, fits in slices, and gives a result after each.

    Only ``options`` may be set from another thread; all else belongs to the thread that is in ``run``.
    """

    session: Session

    def __init__(
        self,
        make: Callable[[SessionConfig], Session],
        config: SessionConfig,
        options: LiveConfig,
        inbox: Inbox,
        counters: Counters,
        listener: Listener,
    ) -> None:
        self.options = options
        self._make = make
        self._config = config
        self._inbox = inbox
        self._counters = counters
        self._listener = listener
        self._budget = Budget()
        self._shown: _Shown | None = None
        self._result: Result | None = None
        self._unpublished = False
        self._published_at = 0.0
        self._status_at = 0.0
        # Steps to make for an annotation before the next frame may be taken.
        self._hold_steps = 0
        # Due steps are left alone: there is no frame, or nothing new since the fit failed.
        self._resting = True
        # What ``draw`` put under each key.
        self._drawn: dict[int, list[Annotation]] = {}
        # Annotations were made or taken back, and no mask has answered that to the end.
        self._reannotated = False
        # Arrivals of annotations, and of the frame taken last, that no mask has answered yet.
        self._answering: list[float] = []
        self._taken: float | None = None

    def run(self) -> None:
        """Work until the inbox is closed."""
        while self._inbox.wait(for_frame=not self._holds(), busy=self._steps_due() > 0, pause=self._until_publish()):
            try:
                self._budget.begin()
                self._inbox.run_commands()
                if not self._holds():
                    self._take_frame()
                if self._inbox.enabled:
                    if self._answering and self._config.answer == "fused":
                        # The region graph has the answer to an annotation at once; the fit comes after it.
                        self._publish()
                    self._fit_slice()
                    self._publish()
                    self._prepare()
            except Exception as error:  # the worker must outlive whatever a frame, a driver or an output does
                # What failed would fail again at once; it is tried again with the next frame or command.
                self._resting, self._unpublished = True, False
                self._report(error)

    # -- commands ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin with a new session."""
        self.replace(self._make(self._config))

    def replace(self, session: Session) -> SessionConfig:
        """Go on with another session, on the frame in view; gives its configuration."""
        self.session = session
        self._config = session.config
        self._shown = None
        self._answering.clear()
        self._drawn.clear()
        self._reannotated = bool(session.annotations)
        self._changed()
        # A camera that stopped, or sent one picture only, must not leave the new session without a frame.
        recent = self._inbox.recent_frames()
        if recent:
            try:
                self._show(recent[-1])
            except Exception as error:  # the frame's fault: the session is there, and takes the next one
                self._report(error)
        return session.config

    def configure(self, config: SessionConfig) -> None:
        """Apply new session options."""
        self.session.configure(config)
        self._config = config
        self._changed()

    def annotate(self, annotations: Sequence[Annotation], stamp: float | None, arrived: float) -> None:
        """Annotate the frame of a stamp, or the newest; ``arrived`` starts the clock of the answer."""
        self._choose_frame(stamp)
        for annotation in annotations:
            self.session.annotate(annotation)
        self._hold_steps = self._config.fit.click_steps
        self._answering.append(arrived)
        self._annotations_changed()

    def draw(self, key: int, annotations: Sequence[Annotation], stamp: float | None, arrived: float) -> None:
        """Replace what was drawn under a key, whole or not at all."""
        self._check(annotations, stamp)
        self._erase(key)
        if annotations:
            self.annotate(annotations, stamp, arrived)
            self._drawn[key] = list(annotations)

    def undo(self) -> bool:
        """Take back the last annotation; False when there is none."""
        done = self.session.undo()
        self._annotations_changed()
        return done

    def redo(self) -> bool:
        """Make again what was undone last; False when there is nothing."""
        done = self.session.redo()
        self._annotations_changed()
        return done

    def clear(self) -> None:
        """Forget all annotations; the fit of the image stays."""
        self.session.clear()
        self._drawn.clear()
        self._annotations_changed()

    # -- frames, fit, results ------------------------------------------------------------------------------------------

    def _holds(self) -> bool:
        return min(self._hold_steps, self._steps_due()) > 0

    def _steps_due(self) -> int:
        return 0 if self._resting else self.session.steps_due

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
        shown = self._shown
        if shown and not self._steps_due() and _is_still(shown, image, thumbnail, self.options.still_threshold):
            self._shown = _Shown(frame, image, shown.fitted)
            self._unpublished = True
        else:
            self._observe(frame, image, thumbnail)

    def _show(self, frame: Frame) -> None:
        image = frame.decode()
        self._observe(frame, image, _thumbnail(image))

    def _observe(self, frame: Frame, image: RgbImage, thumbnail: NDArray[np.float32]) -> None:
        self.session.observe(image, frame.stamp)
        self._shown = _Shown(frame, image, thumbnail)
        self._changed()

    def _fit_slice(self) -> None:
        due = self._steps_due()
        if not due:
            return
        steps, made = self._budget.steps(self.options.fit_budget, due), 0
        while made < steps and not (made and self._inbox.depth):
            some = min(steps - made, self._budget.within(_INTERRUPTIBLE))
            with self._budget.fitting(some):
                self.session.advance(some)
                self.session.synchronise()
            made += some
        self._hold_steps = max(0, self._hold_steps - made)
        self._counters.fitted(made)
        self._changed()
        now = time.monotonic()
        if now - self._status_at >= _STATUS_PERIOD:
            self._status_at = now
            status = self.session.status()
            self._counters.fit_status(status.steps, status.total, status.psnr)

    def _publish(self) -> None:
        shown, until = self._shown, self._until_publish()
        if shown is None or until is None or (until > 0 and not self._answering):
            return
        self._unpublished = False
        self._published_at = time.monotonic()
        answering, self._answering = self._answering, []
        taken, self._taken = self._taken, None
        reannotated, self._reannotated = self._reannotated, self._reannotated and self._holds()
        if not self._listener.wanted():
            return
        if self._result is None:
            with self._budget.answering():
                self._result = self.session.preview()
        number = self.session.frame_number
        here = tuple(placed.annotation for placed in self.session.annotations if placed.frame_number == number)
        self._listener.output(Output(self._result, shown.frame.token, shown.image, here, reannotated))
        now = time.monotonic()
        self._counters.mask_out([now - arrived for arrived in answering], None if taken is None else now - taken)

    def _prepare(self) -> None:
        """Begin what a better answer than the preview waits for or, with nothing else to do, the next annotation."""
        idle = not self.session.steps_due
        if self._shown is None or not (idle or self.session.improves):
            return
        improves = idle and self.session.improves
        self.session.prepare(wait=improves)
        if improves:
            self._result, self._unpublished = None, True

    def _annotations_changed(self) -> None:
        self._reannotated = True
        self._changed()

    def _changed(self) -> None:
        self._result = None
        self._unpublished = self._shown is not None
        self._resting = self._shown is None

    def _report(self, error: Exception) -> None:
        self._counters.error(f"{type(error).__name__}: {error}")
        self._listener.error(error)

    # -- where annotations go ------------------------------------------------------------------------------------------

    def _choose_frame(self, stamp: float | None) -> None:
        nearest = self._nearest(stamp)
        if stamp is not None and nearest is not None:
            if nearest.stamp != stamp:
                self._listener.notice(
                    f"annotation stamp: got {stamp:.6f}, which is not among the recent frames; "
                    f"placed on the nearest, {nearest.stamp:.6f}"
                )
            if self._shown is None or nearest is not self._shown.frame:
                self._show(nearest)
        elif not self._holds():
            # While a frame is held it is the one the user sees.
            self._take_frame()
            recent = self._inbox.recent_frames()
            if self._shown is None and recent:
                self._show(recent[-1])

    def _nearest(self, stamp: float | None) -> Frame | None:
        """The recent frame nearest to a stamp; None where the newest is meant, as by a stamp of after it."""
        recent = self._inbox.recent_frames()
        if self._shown is not None:
            recent.append(self._shown.frame)
        if stamp is None or not recent or stamp > max(frame.stamp for frame in recent):
            return None
        # The newest of equals, as stamps come again when a bag is looped.
        return min(reversed(recent), key=lambda frame: abs(frame.stamp - stamp))

    def _check(self, annotations: Sequence[Annotation], stamp: float | None) -> None:
        """Raise AnnotationError for one that does not fit the frame it would go to, which stays as it is."""
        if not annotations:
            return
        target, shown, recent = self._nearest(stamp), self._shown, self._inbox.recent_frames()
        if target is None and recent and not self._holds():
            target = recent[-1]
        if shown is not None and target in (None, shown.frame):
            image = shown.image
        elif target is not None:
            image = target.decode()
        else:
            return  # no frame yet, as the session will say
        for annotation in annotations:
            check_annotation(annotation, (image.shape[0], image.shape[1]), self._config.unlabelled)

    def _erase(self, key: int) -> None:
        """Undo back to the first annotation of a key and make the others again, which needs their frame."""
        drawn = {id(annotation) for annotation in self._drawn.get(key, ())}
        placed = self.session.annotations
        first = next((number for number, entry in enumerate(placed) if id(entry.annotation) in drawn), len(placed))
        others = [entry for entry in placed[first:] if id(entry.annotation) not in drawn]
        if any(entry.frame_number != self.session.frame_number for entry in others):
            raise AnnotationError(
                f"annotation id: got {key}, drawn before annotations on other frames, "
                "accepted: ids of the newest annotations"
            )
        for _ in placed[first:]:
            self.session.undo()
        for entry in others:
            self.session.annotate(entry.annotation)
        self._drawn.pop(key, None)
        self._annotations_changed()


def _thumbnail(image: RgbImage) -> NDArray[np.float32]:
    """(24, 32, 3) float32 block means of an (H, W, 3) uint8 image."""
    return np.asarray(cv2.resize(image, _THUMBNAIL, interpolation=cv2.INTER_AREA), np.float32)


def _is_still(shown: _Shown, image: RgbImage, thumbnail: NDArray[np.float32], threshold: float) -> bool:
    """Whether an image shows the fitted scene. The largest block counts: a small moving object must not be missed."""
    same_size = shown.image.shape == image.shape
    return same_size and threshold > 0 and float(np.abs(thumbnail - shown.fitted).max()) <= threshold
