"""The worker for lock-step: every frame in order, none dropped, one mask each, as in a replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neural_seg_ros.annotations import Annotation
from neural_seg_ros.annotations.yaml_file import STAMP_TOLERANCE
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.live.inbox import Frame, Inbox
from neural_seg_ros.live.worker import RgbImage, Worker

if TYPE_CHECKING:
    from neural_seg_ros.session import Session


class LockStepInbox(Inbox):
    """An inbox of one frame that waits for the worker; the frames it took are the recent ones."""

    def put_frame(self, frame: Frame) -> bool | None:
        """Wait until the worker has taken the frame before, and hand this one over.

        Returns False, as none is replaced; None while disabled, and if it is disabled or closed meanwhile.
        """
        with self._wake:
            self._wake.wait_for(lambda: self._slot is None or not self._enabled or self._closed)
            if not self._enabled or self._closed:
                return None
            self._slot = frame
            self._wake.notify_all()
        return False

    def take_frame(self) -> Frame | None:
        """Take the next frame, once."""
        with self._wake:
            frame, self._slot = self._slot, None
            if frame is not None:
                self._keep(frame)
                self._wake.notify_all()
        return frame


@dataclass(frozen=True)
class _Waiting:
    """Annotations whose frame is yet to come.

    key    under which they were drawn, or None
    stamp  seconds, None for the next frame
    """

    key: int | None
    annotations: tuple[Annotation, ...]
    stamp: float | None
    arrived: float


class LockStepWorker(Worker):
    """A worker that observes, annotates, makes the due steps and publishes each frame, as ``run_session`` does.

    An annotation with a stamp belongs to the first frame at or after it, as in ``AnnotationFile``, and waits for that.
    One that comes when its frame has gone by has that frame answered again, before the stream goes on. Results are
    computed though nobody wants them: who listens must not change what comes later.
    """

    _waiting: tuple[_Waiting, ...] = ()
    # The newest frame of this session, and the highest stamp of all its frames.
    _newest: Frame | None = None
    _latest = 0.0

    def replace(self, session: Session) -> SessionConfig:
        """Begin with the next frame, as if none had been before; gives the session's configuration."""
        self._newest = None
        self._inbox.forget_frames()
        self._keep_waiting(())
        return super().replace(session)

    def annotate(self, annotations: Sequence[Annotation], stamp: float | None, arrived: float) -> None:
        """Annotate the frame of a stamp, now or when it comes; without a stamp the newest."""
        if self._is_to_come(stamp):
            self._keep_waiting((*self._waiting, _Waiting(None, tuple(annotations), stamp, arrived)))
        else:
            super().annotate(annotations, stamp, arrived)

    def draw(self, key: int, annotations: Sequence[Annotation], stamp: float | None, arrived: float) -> None:
        """Replace what was drawn under a key, and what waits to be."""
        others = tuple(waiting for waiting in self._waiting if waiting.key != key)
        if annotations and self._is_to_come(stamp):
            self._erase(key)
            self._keep_waiting((*others, _Waiting(key, tuple(annotations), stamp, arrived)))
        else:
            super().draw(key, annotations, None if self._is_to_come(stamp) else stamp, arrived)
            self._keep_waiting(others)

    def clear(self) -> None:
        """Forget all annotations, those that wait too; the fit of the image stays."""
        self._keep_waiting(())
        super().clear()

    def _wait(self) -> bool:
        return self._inbox.wait(for_frame=True, busy=self._unpublished, pause=None)

    def _turn(self) -> None:
        self._inbox.run_commands()
        if self._inbox.enabled:
            self._answer()
            self._take_frame()
            self._answer()

    def _take_frame(self) -> None:
        frame = self._inbox.take_frame()
        if frame is None:
            return
        self._counters.frame_taken(frame.age)
        self._show(frame)
        self._taken = frame.arrived
        self._latest = frame.stamp if self._newest is None else max(self._latest, frame.stamp)
        self._newest = frame
        waiting = self._waiting
        self._keep_waiting(tuple(each for each in waiting if self._is_after(each.stamp)))
        for each in waiting:
            if not self._is_after(each.stamp):
                self._place(each)

    def _place(self, waiting: _Waiting) -> None:
        try:
            if waiting.key is None:
                self.annotate(waiting.annotations, None, waiting.arrived)
            else:
                self.draw(waiting.key, waiting.annotations, None, waiting.arrived)
        except Exception as error:  # its Future has long been settled; the frame's other annotations count
            self._report(error)

    def _observe(self, frame: Frame, image: RgbImage) -> None:
        # Annotations on several past frames may come at once: each of these frames has its answer.
        self._answer()
        super()._observe(frame, image)

    def _answer(self) -> None:
        """Make the steps that are due and give the result, where the frame in view has none yet."""
        if self._unpublished and self._inbox.enabled:
            before = self.session.steps_due
            for _ in self.session.scheduler.slices():
                if self._inbox.closed:
                    return
            self._fitted(before)
            result = self.session.result()
            self._publish_result(lambda: result)

    def _target(self, stamp: float | None) -> Frame | None:
        return self._nearest(stamp) or self._newest

    def _is_to_come(self, stamp: float | None) -> bool:
        return self._newest is None or self._is_after(stamp)

    def _is_after(self, stamp: float | None) -> bool:
        """Return whether a stamp belongs to a later frame than those received."""
        return stamp is not None and stamp - STAMP_TOLERANCE > self._latest

    def _keep_waiting(self, waiting: tuple[_Waiting, ...]) -> None:
        self._waiting = waiting
        self._counters.waiting(len(waiting))
