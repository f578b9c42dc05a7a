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
from neural_seg_ros.live.callbacks import ContourCallbacks, LiveCallbacks
from neural_seg_ros.live.config import LiveConfig
from neural_seg_ros.live.contour_worker import ContourWorker
from neural_seg_ros.live.inbox import Inbox, IncomingFrame
from neural_seg_ros.live.lock_step_worker import LockStepInbox, LockStepWorker
from neural_seg_ros.live.newest_frame_worker import NewestFrameWorker
from neural_seg_ros.live.statistics import Counters, LiveStatus

if TYPE_CHECKING:
    from neural_seg_ros.session import Session

T = TypeVar("T")


class LiveSession:
    """A session and its worker, the only thread that calls it; every method may be called from any thread.

    Frames go through a slot that holds only the newest. A frame replaced before the worker took it is dropped; one that
    waited longer than ``options.max_age`` is refused. Commands return a Future that the worker completes between slices
    of the fit, with the error that Session raises. An annotation holds its frame until it is answered
    (``NewestFrameWorker``).

    With ``options.lock_step`` no frame is dropped and each is answered once, as offline (``LockStepWorker``).

    make      builds a session from its configuration, in the worker
    load      reads a session file, in the worker
    callbacks called by the worker
    contours  called with the contours of frames, by a thread beside the worker; None finds none
    autosave  the log of the annotations, restored from at the start and closed with this session
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
        if autosave is not None and not autosave.state.is_empty:
            self._inbox.submit(lambda: self._restore(autosave))
        self._thread = threading.Thread(target=self._worker.run, name="neural_seg_worker")
        self._thread.start()

    def wait_ready(self, timeout: float | None = None) -> None:
        """Wait until the session is built. Raises the error of building it."""
        self._ready.result(timeout)

    @property
    def device(self) -> str:
        """The device of the session, ``cpu`` or ``cuda:0``; only once the session is built."""
        return str(self._worker.session.device)

    def close(self) -> None:
        """Stop the worker and wait for it; pending commands are refused with SessionError."""
        self._inbox.close()
        if self._contours is not None:
            self._contours.close()
        self._thread.join()
        if self._autosave is not None:
            self._autosave.close()

    def offer_frame(self, decode: Callable[[], NDArray[np.uint8]], stamp: float, header: Any, size: int = 0) -> None:
        """Make this the newest frame and return at once, in lock-step when the worker has taken the one before.

        decode  returns (H, W, 3) uint8 RGB; called in the worker, and only for frames that are used
        stamp   seconds; annotations refer to it
        header  returned with the frame's results
        size    bytes that ``decode`` keeps alive
        """
        frame = IncomingFrame(decode, stamp, header, size, time.monotonic())
        replaced = self._inbox.put_frame(frame)
        if replaced is None:
            return
        self._counters.add_frame(replaced)
        if self._contours is not None:
            self._contours.offer(frame)

    def annotate(self, annotation: Annotation, stamp: float | None = None) -> Future[None]:
        """Annotate the newest frame, or the recent frame with this stamp (the nearest one if it is gone).

        In lock-step the stamp may belong to a future frame; an error that occurs then goes to ``callbacks.error``.
        """
        arrived = time.monotonic()
        number = self._log_command("annotate", [annotation], stamp)
        return self._submit(lambda: self._worker.annotate([annotation], stamp, arrived), number)

    def draw(self, key: int, annotations: Sequence[Annotation], stamp: float | None = None) -> Future[None]:
        """Annotate as ``annotate`` does, replacing the drawing of the same key; no annotations only remove that."""
        arrived = time.monotonic()
        number = self._log_command("draw", annotations, stamp, key)
        return self._submit(lambda: self._worker.draw(key, annotations, stamp, arrived), number)

    def undo(self) -> Future[bool]:
        """Undo the newest annotation; False without one."""
        return self._submit(self._worker.undo, self._log_command("undo"))

    def redo(self) -> Future[bool]:
        """Redo the annotation that was undone last; False without one."""
        return self._submit(self._worker.redo, self._log_command("redo"))

    def clear(self) -> Future[None]:
        """Forget all annotations; the fit of the image stays."""
        return self._submit(self._worker.clear, self._log_command("clear"))

    def reset(self) -> Future[None]:
        """Start over with a new session of the same configuration."""

        def start() -> None:
            self._worker.start()
            if self._autosave is not None:
                self._autosave.log_new_session(self._worker.snapshot())

        return self._inbox.submit(start)

    def save(self, path: Path) -> Future[None]:
        """Write the session to a file."""
        return self._inbox.submit(lambda: self._worker.session.save(path))

    def load(self, path: Path, check: Callable[[SessionConfig], object]) -> Future[SessionConfig]:
        """Continue with the session in a file; the Future carries its configuration.

        After an error the running session continues.

        check  called in the worker with the configuration before the session is replaced; raises to refuse it
        """

        def replace() -> SessionConfig:
            loaded = self._load(path)
            check(loaded.config)
            config = self._worker.replace(loaded)
            if self._autosave is not None:
                self._autosave.log_new_session(self._worker.snapshot(), path)
            return config

        return self._inbox.submit(replace)

    def configure(self, config: SessionConfig) -> Future[None]:
        """Apply new session options."""
        return self._inbox.submit(lambda: self._worker.configure(config))

    def set_options(self, options: LiveConfig) -> None:
        """Apply new live options. Raises ConfigError if ``lock_step`` differs."""
        if options.lock_step != self._worker.options.lock_step:
            raise ConfigError("cannot change lock_step, because the session is running; make a new session")
        self._worker.options = options
        if self._contours is not None:
            self._contours.options = options
        self._inbox.set_limits(options.ring, options.ring_bytes)

    def enable(self, enabled: bool) -> None:
        """Accept frames and fit, or ignore frames and idle. Commands are executed either way."""
        if enabled and not self._inbox.enabled:
            self._counters.start_listening()
        self._inbox.enable(enabled)

    def status(self) -> LiveStatus:
        """Return a snapshot of the counters."""
        return self._counters.snapshot(self._inbox.enabled, self._inbox.command_count)

    # -- autosave ------------------------------------------------------------------------------------------------------

    def _log_command(
        self, name: str, annotations: Sequence[Annotation] = (), stamp: float | None = None, key: int | None = None
    ) -> int | None:
        """Log a command in the autosave and return its number there; None without autosave."""
        if self._autosave is None:
            return None
        frame = self._inbox.frame_at(stamp) if annotations else None
        return self._autosave.log_command(name, annotations, frame, key)

    def _submit(self, command: Callable[[], T], number: int | None) -> Future[T]:
        """Submit a command to the worker, and log its outcome under its number in the autosave."""
        autosave = self._autosave
        if autosave is None or number is None:
            return self._inbox.submit(command)

        def execute() -> T:
            try:
                return command()
            finally:
                autosave.log_outcome(number, self._worker.snapshot())

        future = self._inbox.submit(execute)
        # The command may be canceled, or the session closed, before it is executed.
        future.add_done_callback(lambda _: autosave.log_outcome(number))
        return future

    def _restore(self, autosave: Autosave) -> None:
        state, base = autosave.state, autosave.base_path()
        try:
            session = None if base is None else self._load(base)
            restored = self._worker.restore_autosave(state, autosave.read_pixels, session)
        except Exception as error:  # no autosaved state is worth a node that cannot start
            self._worker.start()
            autosave.log_refused(self._worker.snapshot())
            self._callbacks.error(
                SessionFileError(f"autosave: cannot restore the state; moved it to quarantine, started over: {error}")
            )
            return
        snapshot = self._worker.snapshot()
        autosave.log_restored(snapshot, restored.frames, restored.base)
        frames = len({each.frame_number for each in snapshot.annotations})
        refused = "".join(f"; {len(restored.refused)} refused: {line}" for line in restored.refused[:1])
        self._callbacks.notice(
            f"autosave: restored {len(snapshot.annotations)} annotations on {frames} frames of a node that ended before"
            f"{refused}; ~/reset starts over"
        )
