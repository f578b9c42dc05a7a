"""The worker for lock-step: every frame in order, none dropped, one mask each, as in a replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neural_seg_ros.annotations import Annotation
from neural_seg_ros.annotations.yaml_file import STAMP_TOLERANCE
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.live.inbox import Inbox, IncomingFrame
from neural_seg_ros.live.worker import RgbImage, Worker

if TYPE_CHECKING:
    from neural_seg_ros.session import Session


class LockStepInbox(Inbox):
    """An inbox whose slot waits for the worker; its ring holds the frames that the worker took."""

    def put_frame(self, frame: IncomingFrame) -> bool | None:
        """Wait until the worker has taken the frame before, then fill the slot.

        Returns False, as no frame is replaced; None while disabled or closed, and if that happens during the wait.
        """
        with self._wake:
            self._wake.wait_for(lambda: self._slot is None or not self._enabled or self._closed)
            if not self._enabled or self._closed:
                return None
            self._slot = frame
            self._wake.notify_all()
        return False

    def take_frame(self) -> IncomingFrame | None:
        """Take the next frame, once."""
        with self._wake:
            frame, self._slot = self._slot, None
            if frame is not None:
                self._add_to_ring(frame)
                self._wake.notify_all()
        return frame


@dataclass(frozen=True)
class _PendingAnnotations:
    """Annotations on a frame that has not arrived yet.

    key     of the drawing that they are, None for ``annotate``
    stamp   seconds, None for the next frame
    arrived seconds on the monotonic clock
    """

    key: int | None
    annotations: tuple[Annotation, ...]
    stamp: float | None
    arrived: float


class LockStepWorker(Worker):
    """A worker that observes, annotates, makes the due steps and publishes each frame, as ``run_session`` does.

    As in ``AnnotationFile``, an annotation with a stamp belongs to the first frame at or after it, and is pending until
    that frame arrives. An annotation on a past frame has that frame answered again before the stream continues. Results
    are computed even if no consumer wants them: the number of consumers must not change later results.
    """

    def __init__(self, *arguments: Any) -> None:
        """Take the arguments of ``Worker``."""
        super().__init__(*arguments)
        # Annotations whose frame has not arrived yet, in the order in which they were made.
        self._pending: tuple[_PendingAnnotations, ...] = ()
        # The frame of this session that arrived last.
        self._newest: IncomingFrame | None = None
        # The highest stamp of all frames of this session, in seconds.
        self._highest_stamp = 0.0

    def replace(self, session: Session) -> SessionConfig:
        """Continue with another session, from the next frame on; return its configuration."""
        self._newest = None
        self._inbox.forget_frames()
        self._set_pending(())
        return super().replace(session)

    def annotate(self, annotations: Sequence[Annotation], stamp: float | None, arrived: float) -> None:
        """Annotate the frame of a stamp, now or when it arrives; without a stamp the newest."""
        if self._is_future(stamp):
            self._set_pending((*self._pending, _PendingAnnotations(None, tuple(annotations), stamp, arrived)))
        else:
            super().annotate(annotations, stamp, arrived)

    def draw(self, key: int, annotations: Sequence[Annotation], stamp: float | None, arrived: float) -> None:
        """Replace the drawing of a key, pending or not."""
        others = tuple(pending for pending in self._pending if pending.key != key)
        if annotations and self._is_future(stamp):
            self._erase(key)
            self._set_pending((*others, _PendingAnnotations(key, tuple(annotations), stamp, arrived)))
        else:
            super().draw(key, annotations, None if self._is_future(stamp) else stamp, arrived)
            self._set_pending(others)

    def clear(self) -> None:
        """Forget all annotations, pending ones too; the fit of the image stays."""
        self._set_pending(())
        super().clear()

    def _wait(self) -> bool:
        return self._inbox.wait(for_frame=True, busy=self._needs_publishing, pause=None)

    def _run_once(self) -> None:
        self._inbox.run_commands()
        if self._inbox.enabled:
            self._answer()
            self._take_frame()
            self._answer()

    def _take_frame(self) -> None:
        frame = self._inbox.take_frame()
        if frame is None:
            return
        self._counters.add_taken_frame(frame.age)
        self._make_current(frame)
        self._unmasked_arrival = frame.arrived
        self._highest_stamp = frame.stamp if self._newest is None else max(self._highest_stamp, frame.stamp)
        self._newest = frame
        pending = self._pending
        self._set_pending(tuple(each for each in pending if self._is_after_all(each.stamp)))
        for each in pending:
            if not self._is_after_all(each.stamp):
                self._apply(each)

    def _apply(self, pending: _PendingAnnotations) -> None:
        try:
            if pending.key is None:
                self.annotate(pending.annotations, None, pending.arrived)
            else:
                self.draw(pending.key, pending.annotations, None, pending.arrived)
        except Exception as error:  # their Future is done already; the frame's other annotations still count
            self._report(error)

    def _observe(self, frame: IncomingFrame, image: RgbImage) -> None:
        # Annotations on several past frames may be pending at once; each of these frames gets its own answer.
        self._answer()
        super()._observe(frame, image)

    def _answer(self) -> None:
        """Make the due steps and publish the result, unless the current frame's result is published already."""
        if self._needs_publishing and self._inbox.enabled:
            due = self.session.steps_due
            for _ in self.session.scheduler.slices():
                if self._inbox.closed:
                    return
            self._count_steps(due)
            result = self.session.result()
            self._publish_result(lambda: result)

    def _target_frame(self, stamp: float | None) -> IncomingFrame | None:
        return self._nearest_frame(stamp) or self._newest

    def _is_future(self, stamp: float | None) -> bool:
        """Return whether the frame of a stamp has not arrived yet."""
        return self._newest is None or self._is_after_all(stamp)

    def _is_after_all(self, stamp: float | None) -> bool:
        """Return whether a stamp is later than those of all frames so far."""
        return stamp is not None and stamp - STAMP_TOLERANCE > self._highest_stamp

    def _set_pending(self, pending: tuple[_PendingAnnotations, ...]) -> None:
        self._pending = pending
        self._counters.set_waiting(len(pending))
