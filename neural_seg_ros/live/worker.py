"""The one thread that drives the Session of a live session: its commands, and which frame an annotation goes to."""

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
    """Takes frames and commands from the inbox and gives results; a subclass says in which turns.

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
        listener: LiveCallbacks,
    ) -> None:
        self.options = options
        self._make = make
        self._config = config
        self._inbox = inbox
        self._counters = counters
        self._listener = listener
        self._shown: CurrentFrame | None = None
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
        """The frame that an annotation with that stamp goes to; None for the one in view."""

    def _failed(self, error: Exception) -> None:
        # What failed would fail again at once; it is tried again with the next frame or command.
        self._unpublished = False
        self._report(error)

    # -- commands ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin with a new session."""
        self.replace(self._make(self._config))

    def take_up(self, kept: AutosaveState, pixels: Callable[[str], RgbImage], base: Session | None) -> Restored:
        """Go on from what autosave kept, in the new session or in that of its base; ``pixels`` gives those of a frame.

        No frame is in view after that. Raises NeuralSegError where it cannot be.
        """
        if base is not None:
            config = self._config
            self.replace(base)
            self.configure(config)
            while len(self.session.annotations) > kept.base_count:
                self.session.undo()
        restored = Restored(self.session.annotations, drawn=self._drawn)
        restore(self.session, kept, pixels, self._erase, restored)
        self._shown = None
        self._annotations_changed()
        return restored

    def now(self) -> SessionSnapshot:
        """The session's annotations as autosave keeps them."""
        session = self.session
        keys = {number: key for key, drawn in self._drawn.items() for number in drawn}
        return SessionSnapshot(session.annotations, session.frame_number, session.stamp, session.frame, keys)

    def replace(self, session: Session) -> SessionConfig:
        """Go on with another session; gives its configuration."""
        self.session = session
        self._config = session.config
        self._shown = None
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
            self.look_at(stamp, arrived)
        self._erase(key)
        if annotations:
            self.annotate(annotations, stamp, arrived)
            self._drawn[key] = [each.id for each in self.session.annotations[-len(annotations) :]]

    def look_at(self, stamp: float, arrived: float) -> bool:
        """Answer the recent frame of a stamp again, and keep it. Returns whether there is one."""
        nearest = self._nearest(stamp)
        if nearest is None or nearest.stamp != stamp:
            if nearest is not None:
                self._listener.notice(
                    f"annotation stamp: got {stamp:.6f}, which is not among the recent frames; none is answered again"
                )
            return False
        self._choose_frame(stamp)
        self._answering.append(arrived)
        self._annotations_changed()
        return True

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

    # -- frames and results --------------------------------------------------------------------------------------------

    def _show(self, frame: Frame) -> None:
        self._observe(frame, frame.decode())

    def _observe(self, frame: Frame, image: RgbImage) -> None:
        self.session.observe(image, frame.stamp)
        self._shown = CurrentFrame(frame, image)
        self._changed()

    def _fitted(self, steps: int) -> None:
        self._counters.fitted(steps)
        now = time.monotonic()
        if now - self._status_at >= _STATUS_PERIOD:
            self._status_at = now
            status = self.session.status()
            self._counters.fit_status(status.steps, status.total, status.psnr)

    def _give(self, look: Callable[[], Result], goes_on: Callable[[], bool] = lambda: False) -> None:
        """Give the listener a result of the frame in view.

        goes_on: whether, after the look, what came of the frame's annotations is not all yet
        """
        shown = self._shown
        assert shown is not None
        self._unpublished = False
        answering, self._answering = self._answering, []
        taken, self._taken = self._taken, None
        result = look() if self._listener.wanted() else None
        reannotated, self._reannotated = self._reannotated, self._reannotated and goes_on()
        lost = self.session.lost
        self._counters.lost(lost)
        # What is lost is told to those who listen later, too.
        if result is None and lost == self._lost:
            return
        result = result or look()
        number = self.session.frame_number
        here = tuple(placed.annotation for placed in self.session.annotations if placed.frame_number == number)
        self._listener.output(LiveResult(result, shown.frame.header, shown.image, here, reannotated, lost))
        self._lost = lost
        now = time.monotonic()
        self._counters.mask_out([now - arrived for arrived in answering], None if taken is None else now - taken)

    def _annotations_changed(self) -> None:
        self._reannotated = True
        self._changed()

    def _changed(self) -> None:
        self._unpublished = self._shown is not None

    def _report(self, error: Exception) -> None:
        self._counters.error(f"{type(error).__name__}: {error}")
        self._listener.error(error)

    # -- where annotations go ------------------------------------------------------------------------------------------

    def _choose_frame(self, stamp: float | None) -> None:
        """Bring the frame into view that an annotation with that stamp goes to."""
        nearest = self._nearest(stamp)
        if stamp is not None and nearest is not None and nearest.stamp != stamp:
            self._listener.notice(
                f"annotation stamp: got {stamp:.6f}, which is not among the recent frames; "
                f"placed on the nearest, {nearest.stamp:.6f}"
            )
        target = self._target(stamp)
        if target is not None and (self._shown is None or target is not self._shown.frame):
            self._show(target)
        if stamp is not None and self._shown is not None:
            self._inbox.asked = self._shown.frame

    def _nearest(self, stamp: float | None) -> Frame | None:
        """The recent frame nearest to a stamp; None where the newest is meant, as by a stamp of after it."""
        recent = self._inbox.recent_frames()
        if self._shown is not None:
            recent.append(self._shown.frame)
        return nearest(recent, stamp, self._inbox.asked)

    def _check(self, annotations: Sequence[Annotation], stamp: float | None) -> None:
        """Raise AnnotationError for one that does not fit the frame it would go to, which stays as it is."""
        if not annotations:
            return
        target, shown = self._target(stamp), self._shown
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
        if key not in self._drawn:
            return
        drawn = set(self._drawn[key])
        placed = self.session.annotations
        first = next((number for number, entry in enumerate(placed) if entry.id in drawn), len(placed))
        others = [entry for entry in placed[first:] if entry.id not in drawn]
        if any(entry.frame_number != self.session.frame_number for entry in others):
            raise AnnotationError(
                f"annotation id: got {key}, drawn before annotations on other frames, "
                "accepted: ids of the newest annotations"
            )
        for _ in placed[first:]:
            self.session.undo()
        renumbered = {entry.id: self.session.annotate(entry.annotation) for entry in others}
        del self._drawn[key]
        for numbers in self._drawn.values():
            numbers[:] = [renumbered.get(number, number) for number in numbers]
        self._annotations_changed()
