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
from neural_seg_ros.live.inbox import Inbox, IncomingFrame, nearest_frame
from neural_seg_ros.live.statistics import Counters

if TYPE_CHECKING:
    from neural_seg_ros.session import Session
    from neural_seg_ros.session.result import Result

RgbImage = NDArray[np.uint8]

_STATUS_PERIOD_SECONDS = 1.0


@dataclass(frozen=True, eq=False)
class CurrentFrame:
    """The frame that masks are published for."""

    frame: IncomingFrame
    image: RgbImage


class Worker(ABC):
    """A thread that takes frames and commands from the inbox and publishes results; subclasses order the work.

    Other threads may set ``options`` only; everything else belongs to the thread that is in ``run``.
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
        # The frame that masks are published for; None until the session has observed one.
        self._current: CurrentFrame | None = None
        # The current frame has a result that was not published.
        self._needs_publishing = False
        # Annotations were made or taken back, and no final answer to that was published.
        self._reannotated = False
        # Arrival times of the annotations that no mask has answered yet.
        self._unanswered_arrivals: list[float] = []
        # Arrival time of the frame taken last, until its first mask is published.
        self._unmasked_arrival: float | None = None
        # The classes that were last published as lost.
        self._published_lost: tuple[int, ...] = ()
        # Running numbers of the annotations that ``draw`` made under each key.
        self._drawn: dict[int, list[int]] = {}
        # Time at which the status of the fit was last read.
        self._status_at = 0.0

    def run(self) -> None:
        """Work until the inbox is closed."""
        while self._wait():
            try:
                self._run_once()
            except Exception as error:  # the worker must outlive every failure of a frame, a driver or an output
                self._handle_failure(error)

    @abstractmethod
    def _wait(self) -> bool:
        """Sleep until there is work; return False when the inbox is closed."""

    @abstractmethod
    def _run_once(self) -> None:
        """Execute the pending commands, then process frames."""

    @abstractmethod
    def _target_frame(self, stamp: float | None) -> IncomingFrame | None:
        """Return the frame that an annotation with this stamp goes to; None for the current one."""

    def _handle_failure(self, error: Exception) -> None:
        # The same work would fail again at once, so it is retried with the next frame or command.
        self._needs_publishing = False
        self._report(error)

    # -- commands ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start with a new session."""
        self.replace(self._make(self._config))

    def restore_autosave(
        self, state: AutosaveState, pixels: Callable[[str], RgbImage], base: Session | None
    ) -> Restored:
        """Restore the autosaved state in the new session or in ``base``; ``pixels`` reads a frame by its name.

        Afterwards there is no current frame. Raises NeuralSegError if the base cannot be used.
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
        self._mark_reannotated()
        return restored

    def snapshot(self) -> SessionSnapshot:
        """Return a snapshot of the session's annotations for autosave."""
        session = self.session
        keys = {number: key for key, numbers in self._drawn.items() for number in numbers}
        return SessionSnapshot(session.annotations, session.frame_number, session.stamp, session.frame, keys)

    def replace(self, session: Session) -> SessionConfig:
        """Continue with another session and return its configuration."""
        self.session = session
        self._config = session.config
        self._current = None
        self._unanswered_arrivals.clear()
        self._drawn.clear()
        self._reannotated = bool(session.annotations)
        self._invalidate()
        return session.config

    def configure(self, config: SessionConfig) -> None:
        """Apply new session options."""
        self.session.configure(config)
        self._config = config
        self._invalidate()

    def annotate(self, annotations: Sequence[Annotation], stamp: float | None, arrived: float) -> None:
        """Annotate the frame of a stamp, or the newest; click latency is measured from ``arrived``."""
        self._choose_frame(stamp)
        for annotation in annotations:
            self.session.annotate(annotation)
        self._unanswered_arrivals.append(arrived)
        self._mark_reannotated()

    def draw(self, key: int, annotations: Sequence[Annotation], stamp: float | None, arrived: float) -> None:
        """Replace the drawing of a key, whole or not at all.

        Without annotations the drawing is removed, and the frame of the stamp is answered again.
        """
        self._check(annotations, stamp)
        if not annotations and stamp is not None:
            self.reanswer_frame(stamp, arrived)
        self._erase(key)
        if annotations:
            self.annotate(annotations, stamp, arrived)
            self._drawn[key] = [each.id for each in self.session.annotations[-len(annotations) :]]

    def reanswer_frame(self, stamp: float, arrived: float) -> bool:
        """Answer the recent frame of a stamp again and pin it. Returns False if there is none."""
        nearest = self._nearest_frame(stamp)
        if nearest is None or nearest.stamp != stamp:
            if nearest is not None:
                self._callbacks.notice(
                    f"annotation stamp: got {stamp:.6f}, which is not among the recent frames; "
                    "no frame is answered again"
                )
            return False
        self._choose_frame(stamp)
        self._unanswered_arrivals.append(arrived)
        self._mark_reannotated()
        return True

    def undo(self) -> bool:
        """Undo the newest annotation; return False without one."""
        done = self.session.undo()
        self._mark_reannotated()
        return done

    def redo(self) -> bool:
        """Redo the annotation that was undone last; return False without one."""
        done = self.session.redo()
        self._mark_reannotated()
        return done

    def clear(self) -> None:
        """Forget all annotations; the fit of the image stays."""
        self.session.clear()
        self._drawn.clear()
        self._mark_reannotated()

    # -- frames and results --------------------------------------------------------------------------------------------

    def _make_current(self, frame: IncomingFrame) -> None:
        self._observe(frame, frame.decode())

    def _observe(self, frame: IncomingFrame, image: RgbImage) -> None:
        self.session.observe(image, frame.stamp)
        self._current = CurrentFrame(frame, image)
        self._invalidate()

    def _count_steps(self, steps: int) -> None:
        self._counters.add_steps(steps)
        now = time.monotonic()
        if now - self._status_at >= _STATUS_PERIOD_SECONDS:
            self._status_at = now
            status = self.session.status()
            self._counters.set_fit_status(status.steps, status.total, status.psnr)

    def _publish_result(self, compute: Callable[[], Result], unfinished: Callable[[], bool] = lambda: False) -> None:
        """Publish a result of the current frame.

        compute     returns the result; not called while no consumer wants it and the lost classes stay the same
        unfinished  called after ``compute``; True if a better answer to the frame's annotations is to come
        """
        current = self._current
        assert current is not None
        self._needs_publishing = False
        annotation_arrivals, self._unanswered_arrivals = self._unanswered_arrivals, []
        frame_arrival, self._unmasked_arrival = self._unmasked_arrival, None
        result = compute() if self._callbacks.wanted() else None
        reannotated, self._reannotated = self._reannotated, self._reannotated and unfinished()
        lost = self.session.lost
        self._counters.set_lost(lost)
        # A change of the lost classes is published even if no consumer wants masks: later consumers need it too.
        if result is None and lost == self._published_lost:
            return
        result = result or compute()
        number = self.session.frame_number
        annotations = tuple(each.annotation for each in self.session.annotations if each.frame_number == number)
        self._callbacks.output(LiveResult(result, current.frame.header, current.image, annotations, reannotated, lost))
        self._published_lost = lost
        now = time.monotonic()
        self._counters.add_mask(
            [now - arrived for arrived in annotation_arrivals], None if frame_arrival is None else now - frame_arrival
        )

    def _mark_reannotated(self) -> None:
        self._reannotated = True
        self._invalidate()

    def _invalidate(self) -> None:
        """Mark the published result as stale."""
        self._needs_publishing = self._current is not None

    def _report(self, error: Exception) -> None:
        self._counters.add_error(f"{type(error).__name__}: {error}")
        self._callbacks.error(error)

    # -- the frame of an annotation ------------------------------------------------------------------------------------

    def _choose_frame(self, stamp: float | None) -> None:
        """Make the frame current that an annotation with this stamp goes to."""
        nearest = self._nearest_frame(stamp)
        if stamp is not None and nearest is not None and nearest.stamp != stamp:
            self._callbacks.notice(
                f"annotation stamp: got {stamp:.6f}, which is not among the recent frames; "
                f"used the nearest one, {nearest.stamp:.6f}"
            )
        target = self._target_frame(stamp)
        if target is not None and (self._current is None or target is not self._current.frame):
            self._make_current(target)
        if stamp is not None and self._current is not None:
            self._inbox.pinned_frame = self._current.frame

    def _nearest_frame(self, stamp: float | None) -> IncomingFrame | None:
        """Return the recent frame nearest to a stamp; None for the newest, as with a later stamp."""
        recent = self._inbox.recent_frames()
        if self._current is not None:
            recent.append(self._current.frame)
        return nearest_frame(recent, stamp, self._inbox.pinned_frame)

    def _check(self, annotations: Sequence[Annotation], stamp: float | None) -> None:
        """Raise AnnotationError for an annotation that does not fit its frame, without changing the current one."""
        if not annotations:
            return
        target, current = self._target_frame(stamp), self._current
        if current is not None and target in (None, current.frame):
            image = current.image
        elif target is not None:
            image = target.decode()
        else:
            return  # without a frame the session itself refuses the annotation
        for annotation in annotations:
            check_annotation(annotation, (image.shape[0], image.shape[1]), self._config.unlabelled)

    def _erase(self, key: int) -> None:
        """Remove the annotations of a key: undo back to the first of them and annotate the others again.

        Raises AnnotationError if one of the others is on another frame than the session's.
        """
        if key not in self._drawn:
            return
        drawn = set(self._drawn[key])
        annotations = self.session.annotations
        first = next((number for number, entry in enumerate(annotations) if entry.id in drawn), len(annotations))
        others = [entry for entry in annotations[first:] if entry.id not in drawn]
        if any(entry.frame_number != self.session.frame_number for entry in others):
            raise AnnotationError(
                f"annotation id {key}: cannot replace or remove its drawing, because later annotations are on other "
                "frames; undo those first"
            )
        for _ in annotations[first:]:
            self.session.undo()
        renumbered = {entry.id: self.session.annotate(entry.annotation) for entry in others}
        del self._drawn[key]
        for numbers in self._drawn.values():
            numbers[:] = [renumbered.get(number, number) for number in numbers]
        self._mark_reannotated()
