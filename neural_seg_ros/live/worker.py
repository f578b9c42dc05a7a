"""The thread that drives a live session: its commands, and the frame that an annotation goes to."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation, check_annotation
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.errors import AnnotationError
from neural_seg_ros.live.autosave.autosave import SessionSnapshot
from neural_seg_ros.live.autosave.restore import Restored, restore
from neural_seg_ros.live.autosave.store import AutosaveState
from neural_seg_ros.live.callbacks import LiveCallbacks, LiveResult
from neural_seg_ros.live.config import LiveConfig
from neural_seg_ros.live.inbox import Frame, Inbox, nearest
from neural_seg_ros.live.statistics import Counters

if TYPE_CHECKING:
    from neural_seg_ros.session import Session
    from neural_seg_ros.session.result import Result

RgbImage = NDArray[np.uint8]

_STATUS_PERIOD = 1.0


@dataclass(frozen=True, eq=False)
class CurrentFrame:
    """The frame that masks are published for."""

    frame: Frame
    image: RgbImage


class Worker(ABC):
    """A thread that takes frames and commands from the inbox and publishes results; subclasses order the work.

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
        callbacks: LiveCallbacks,
    ) -> None:
        self.options = options
        self._make = make
        self._config = config
        self._inbox = inbox
        self._counters = counters
        self._callbacks = callbacks
        self._current: CurrentFrame | None = None
        self._unpublished = False
        self._status_at = 0.0
        # Running numbers of the annotations that ``draw`` made under each key.
        self._drawn: dict[int, list[int]] = {}
        # Annotations were made or taken back, and no mask has answered that to the end.
        self._reannotated = False
        # Arrivals of annotations, and of the frame taken last, that no mask has answered yet.
        self._answering: list[float] = []
        self._taken: float | None = None
        # The classes that the listener was told are lost.
        self._lost: tuple[int, ...] = ()

    def run(self) -> None:
        """Work until the inbox is closed."""
        while self._wait():
            try:
                self._turn()
            except Exception as error:  # the worker must outlive whatever a frame, a driver or an output does
                self._failed(error)

    @abstractmethod
    def _wait(self) -> bool:
        """Sleep until there is something to do; False when the inbox is closed."""

    @abstractmethod
    def _turn(self) -> None:
        """Execute the commands, and do what is to be done with frames."""

    @abstractmethod
    def _target(self, stamp: float | None) -> Frame | None:
        """Return the frame that an annotation with this stamp goes to; None for the current one."""

    def _failed(self, error: Exception) -> None:
        # What failed would fail again at once; it is tried again with the next frame or command.
        self._unpublished = False
        self._report(error)

    # -- commands ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start with a new session."""
        self.replace(self._make(self._config))

    def restore_autosave(
        self, state: AutosaveState, pixels: Callable[[str], RgbImage], base: Session | None
    ) -> Restored:
        """Restore the autosaved state in the new session or in that of its base; ``pixels`` reads frames.

        No frame is in view after that. Raises NeuralSegError where it cannot be.
        """
        if base is not None:
            config = self._config
            self.replace(base)
            self.configure(config)
            while len(self.session.annotations) > state.base_count:
                self.session.undo()
        restored = Restored(self.session.annotations, drawn=self._drawn)
        restore(self.session, state, pixels, self._erase, restored)
        self._current = None
        self._annotations_changed()
        return restored

    def now(self) -> SessionSnapshot:
        """Return a snapshot of the session's annotations for autosave."""
        session = self.session
        keys = {number: key for key, drawn in self._drawn.items() for number in drawn}
        return SessionSnapshot(session.annotations, session.frame_number, session.stamp, session.frame, keys)

    def replace(self, session: Session) -> SessionConfig:
        """Continue with another session; returns its configuration."""
        self.session = session
        self._config = session.config
        self._current = None
        self._answering.clear()
        self._drawn.clear()
        self._reannotated = bool(session.annotations)
        self._changed()
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
        self._answering.append(arrived)
        self._annotations_changed()

    def draw(self, key: int, annotations: Sequence[Annotation], stamp: float | None, arrived: float) -> None:
        """Replace what was drawn under a key, whole or not at all.

        Without annotations what was drawn is taken back, and the frame of the stamp is answered again.
        """
        self._check(annotations, stamp)
        if not annotations and stamp is not None:
            self.reanswer_frame(stamp, arrived)
        self._erase(key)
        if annotations:
            self.annotate(annotations, stamp, arrived)
            self._drawn[key] = [each.id for each in self.session.annotations[-len(annotations) :]]

    def reanswer_frame(self, stamp: float, arrived: float) -> bool:
        """Answer the recent frame of a stamp again, and hold it. Returns whether there is one."""
        nearest = self._nearest(stamp)
        if nearest is None or nearest.stamp != stamp:
            if nearest is not None:
                self._callbacks.notice(
                    f"annotation stamp: got {stamp:.6f}, which is not among the recent frames; none is answered again"
                )
            return False
        self._choose_frame(stamp)
        self._answering.append(arrived)
        self._annotations_changed()
        return True

    def undo(self) -> bool:
        """Undo the newest annotation; returns False without one."""
        done = self.session.undo()
        self._annotations_changed()
        return done

    def redo(self) -> bool:
        """Redo the annotation that was undone last; returns False without one."""
        done = self.session.redo()
        self._annotations_changed()
        return done

    def clear(self) -> None:
        """Forget all annotations; the fit of the image stays."""
        self.session.clear()
        self._drawn.clear()
        self._annotations_changed()

    # -- frames and results --------------------------------------------------------------------------------------------

    def _show(self, frame: Frame) -> None:
        self._observe(frame, frame.decode())

    def _observe(self, frame: Frame, image: RgbImage) -> None:
        self.session.observe(image, frame.stamp)
        self._current = CurrentFrame(frame, image)
        self._changed()

    def _fitted(self, steps: int) -> None:
        self._counters.fitted(steps)
        now = time.monotonic()
        if now - self._status_at >= _STATUS_PERIOD:
            self._status_at = now
            status = self.session.status()
            self._counters.fit_status(status.steps, status.total, status.psnr)

    def _publish_result(self, look: Callable[[], Result], goes_on: Callable[[], bool] = lambda: False) -> None:
        """Publish a result of the current frame.

        goes_on: whether, after the look, what came of the frame's annotations is not all yet
        """
        shown = self._current
        assert shown is not None
        self._unpublished = False
        answering, self._answering = self._answering, []
        taken, self._taken = self._taken, None
        result = look() if self._callbacks.wanted() else None
        reannotated, self._reannotated = self._reannotated, self._reannotated and goes_on()
        lost = self.session.lost
        self._counters.lost(lost)
        # What is lost is told to those who listen later, too.
        if result is None and lost == self._lost:
            return
        result = result or look()
        number = self.session.frame_number
        here = tuple(each.annotation for each in self.session.annotations if each.frame_number == number)
        self._callbacks.output(LiveResult(result, shown.frame.header, shown.image, here, reannotated, lost))
        self._lost = lost
        now = time.monotonic()
        self._counters.mask_out([now - arrived for arrived in answering], None if taken is None else now - taken)

    def _annotations_changed(self) -> None:
        self._reannotated = True
        self._changed()

    def _changed(self) -> None:
        self._unpublished = self._current is not None

    def _report(self, error: Exception) -> None:
        self._counters.error(f"{type(error).__name__}: {error}")
        self._callbacks.error(error)

    # -- where annotations go ------------------------------------------------------------------------------------------

    def _choose_frame(self, stamp: float | None) -> None:
        """Make the frame current that an annotation with this stamp goes to."""
        nearest = self._nearest(stamp)
        if stamp is not None and nearest is not None and nearest.stamp != stamp:
            self._callbacks.notice(
                f"annotation stamp: got {stamp:.6f}, which is not among the recent frames; "
                f"placed on the nearest, {nearest.stamp:.6f}"
            )
        target = self._target(stamp)
        if target is not None and (self._current is None or target is not self._current.frame):
            self._show(target)
        if stamp is not None and self._current is not None:
            self._inbox.asked = self._current.frame

    def _nearest(self, stamp: float | None) -> Frame | None:
        """Return the recent frame nearest to a stamp; None for the newest, as with a later stamp."""
        recent = self._inbox.recent_frames()
        if self._current is not None:
            recent.append(self._current.frame)
        return nearest(recent, stamp, self._inbox.asked)

    def _check(self, annotations: Sequence[Annotation], stamp: float | None) -> None:
        """Raise AnnotationError for an annotation that does not fit its frame, without changing the current one."""
        if not annotations:
            return
        target, shown = self._target(stamp), self._current
        if shown is not None and target in (None, shown.frame):
            image = shown.image
        elif target is not None:
            image = target.decode()
        else:
            return  # no frame yet, as the session will say
        for annotation in annotations:
            check_annotation(annotation, (image.shape[0], image.shape[1]), self._config.unlabelled)

    def _erase(self, key: int) -> None:
        """Undo back to the first annotation of a key and redo the others, which needs their frame."""
        if key not in self._drawn:
            return
        drawn = set(self._drawn[key])
        annotations = self.session.annotations
        first = next((number for number, entry in enumerate(annotations) if entry.id in drawn), len(annotations))
        others = [entry for entry in annotations[first:] if entry.id not in drawn]
        if any(entry.frame_number != self.session.frame_number for entry in others):
            raise AnnotationError(
                f"annotation id: got {key}, drawn before annotations on other frames, "
                "accepted: ids of the newest annotations"
            )
        for _ in annotations[first:]:
            self.session.undo()
        renumbered = {entry.id: self.session.annotate(entry.annotation) for entry in others}
        del self._drawn[key]
        for numbers in self._drawn.values():
            numbers[:] = [renumbered.get(number, number) for number in numbers]
        self._annotations_changed()
