"""The thread-safe face of a live session."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.errors import ConfigError, SessionFileError
from neural_seg_ros.live.autosave.autosave import Autosave
from neural_seg_ros.live.callbacks import LiveCallbacks
from neural_seg_ros.live.config import LiveConfig
from neural_seg_ros.live.contour_worker import ContourCallbacks, ContourWorker
from neural_seg_ros.live.inbox import Frame, Inbox
from neural_seg_ros.live.lock_step_worker import LockStepInbox, LockStepWorker
from neural_seg_ros.live.newest_frame_worker import NewestFrameWorker
from neural_seg_ros.live.statistics import Counters, LiveStatus

if TYPE_CHECKING:
    from neural_seg_ros.session import Session

T = TypeVar("T")


class LiveSession:
    """A session with the one thread that calls it; every method may be called from any thread.

    Frames go through a slot that holds only the newest: a frame replaced before it was taken is dropped, one that
    waited longer than ``options.max_age`` is refused. Commands return a Future that the worker settles between slices
    of the fit, with the error that Session raises. An annotation holds its frame until its steps are made, so that
    the field learns the annotated pixels before they are forgotten with the frame.

    With ``options.lock_step`` no frame is dropped and each is answered once, as offline (``LockStepWorker``).

    make      builds a session from its configuration, in the worker
    load      reads a session file, in the worker
    listener  what the worker tells
    contours  who is told the contours of frames, from a thread beside the worker
    autosave  logs every change of the annotations, and is restored from at the start; closed with this session
    """

    def __init__(
        self,
        make: Callable[[SessionConfig], Session],
        load: Callable[[Path], Session],
        config: SessionConfig,
        options: LiveConfig,
        callbacks: LiveCallbacks,
        contours: ContourCallbacks | None = None,
        autosave: Autosave | None = None,
        *,
        enabled: bool = True,
    ) -> None:
        self._load = load
        inbox, worker = (LockStepInbox, LockStepWorker) if options.lock_step else (Inbox, NewestFrameWorker)
        self._inbox = inbox(options.ring, options.ring_bytes, enabled)
        self._counters = Counters()
        self._worker = worker(make, config, options, self._inbox, self._counters, callbacks)
        self._contours = None if contours is None else ContourWorker(options, contours, callbacks.error)
        self._callbacks, self._autosave = callbacks, autosave
        self._ready = self._inbox.submit(self._worker.start)
        if autosave is not None and not autosave.state.empty:
            self._inbox.submit(lambda: self._take_up(autosave))
        self._thread = threading.Thread(target=self._worker.run, name="neural_seg_worker")
        self._thread.start()

    def wait_ready(self, timeout: float | None = None) -> None:
        """Block until the session is built; raises the error of building it."""
        self._ready.result(timeout)

    @property
    def device(self) -> str:
        """The device of the session: ``cpu``, ``cuda:0``. Only once it is built."""
        return str(self._worker.session.device)

    def close(self) -> None:
        """Stop the worker and wait for it; commands that wait are refused with SessionError."""
        self._inbox.close()
        if self._contours is not None:
            self._contours.close()
        self._thread.join()
        if self._autosave is not None:
            self._autosave.close()

    def offer_frame(self, decode: Callable[[], NDArray[np.uint8]], stamp: float, header: Any, size: int = 0) -> None:
        """Make this the newest frame; returns at once, in lock-step when the worker has taken the one before.

        decode  gives (H, W, 3) uint8 RGB, called in the worker and only for frames that are used
        stamp   seconds; annotations refer to it
        token   handed out again with the frame's results
        size    bytes that ``decode`` keeps alive
        """
        frame = Frame(decode, stamp, header, size, time.monotonic())
        replaced = self._inbox.put_frame(frame)
        if replaced is None:
            return
        self._counters.frame_in(replaced)
        if self._contours is not None:
            self._contours.offer(frame)

    def annotate(self, annotation: Annotation, stamp: float | None = None) -> Future[None]:
        """Annotate the newest frame, or the recent frame with this stamp (the nearest one where it is gone).

        In lock-step a stamp may be that of a frame to come: what is refused then is told to ``callbacks.error``.
        """
        arrived = time.monotonic()
        asked = self._asked("annotate", [annotation], stamp)
        return self._submit(lambda: self._worker.annotate([annotation], stamp, arrived), asked)

    def draw(self, key: int, annotations: Sequence[Annotation], stamp: float | None = None) -> Future[None]:
        """Annotate as ``annotate`` does, in place of what was drawn under the same key; none only takes that back."""
        arrived = time.monotonic()
        asked = self._asked("draw", annotations, stamp, key)
        return self._submit(lambda: self._worker.draw(key, annotations, stamp, arrived), asked)

    def undo(self) -> Future[bool]:
        """Take back the last annotation; False when there is none."""
        return self._submit(self._worker.undo, self._asked("undo"))

    def redo(self) -> Future[bool]:
        """Make again what was undone last; False when there is nothing."""
        return self._submit(self._worker.redo, self._asked("redo"))

    def clear(self) -> Future[None]:
        """Forget all annotations; the fit of the image stays."""
        return self._submit(self._worker.clear, self._asked("clear"))

    def reset(self) -> Future[None]:
        """Start over with a new session of the same configuration."""

        def start() -> None:
            self._worker.start()
            if self._autosave is not None:
                self._autosave.begin(self._worker.now())

        return self._inbox.submit(start)

    def save(self, path: Path) -> Future[None]:
        """Write the session to a file."""
        return self._inbox.submit(lambda: self._worker.session.save(path))

    def load(self, path: Path, check: Callable[[SessionConfig], object]) -> Future[SessionConfig]:
        """Go on with the session in a file, and give its configuration; after an error the running one goes on.

        check  called in the worker with the configuration before it is taken; raises where it cannot be
        """

        def replace() -> SessionConfig:
            loaded = self._load(path)
            check(loaded.config)
            config = self._worker.replace(loaded)
            if self._autosave is not None:
                self._autosave.begin(self._worker.now(), path)
            return config

        return self._inbox.submit(replace)

    def configure(self, config: SessionConfig) -> Future[None]:
        """Apply new session options."""
        return self._inbox.submit(lambda: self._worker.configure(config))

    def set_options(self, options: LiveConfig) -> None:
        """Apply new live options. Raises ConfigError where ``lock_step`` is another."""
        if options.lock_step != self._worker.options.lock_step:
            raise ConfigError(f"lock_step: got {options.lock_step}, accepted: what the session was made with")
        self._worker.options = options
        if self._contours is not None:
            self._contours.options = options
        self._inbox.set_limits(options.ring, options.ring_bytes)

    def enable(self, enabled: bool) -> None:
        """Take frames and fit, or let frames pass and idle. Commands are executed either way."""
        if enabled and not self._inbox.enabled:
            self._counters.listening()
        self._inbox.enable(enabled)

    def status(self) -> LiveStatus:
        """Return a snapshot of the counters."""
        return self._counters.snapshot(self._inbox.enabled, self._inbox.depth)

    # -- autosave ------------------------------------------------------------------------------------------------------

    def _asked(
        self, do: str, annotations: Sequence[Annotation] = (), stamp: float | None = None, key: int | None = None
    ) -> int | None:
        """Have a command kept; gives its number there."""
        if self._autosave is None:
            return None
        return self._autosave.ask(do, annotations, self._inbox.frame_at(stamp) if annotations else None, key)

    def _submit(self, command: Callable[[], T], asked: int | None) -> Future[T]:
        """Have the worker execute a command, and what came of it kept."""
        autosave = self._autosave
        if autosave is None or asked is None:
            return self._inbox.submit(command)

        def execute() -> T:
            try:
                return command()
            finally:
                autosave.answered(asked, self._worker.now())

        future = self._inbox.submit(execute)
        # It may be taken back, or the session be closed, before it is executed.
        future.add_done_callback(lambda _: autosave.answered(asked))
        return future

    def _take_up(self, autosave: Autosave) -> None:
        state, base = autosave.state, autosave.base()
        try:
            restored = self._worker.restore_autosave(state, autosave.pixels, None if base is None else self._load(base))
        except Exception as error:  # whatever was kept: a node that cannot start is worth less than any of it
            self._worker.start()
            autosave.refused(self._worker.now())
            self._callbacks.error(
                SessionFileError(f"autosave: the state is moved to quarantine; started over: {error}")
            )
            return
        now = self._worker.now()
        autosave.restored(now, restored.frames, restored.base)
        frames = len({annotations.frame_number for annotations in now.annotations})
        refused = "".join(f"; {len(restored.refused)} refused: {line}" for line in restored.refused[:1])
        self._callbacks.notice(
            f"autosave: restored {len(now.annotations)} annotations on {frames} frames of a node that ended before"
            f"{refused}; ~/reset starts over"
        )
