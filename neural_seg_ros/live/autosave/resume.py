"""The decision whether a starting node resumes from the autosave of a node of the same name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from neural_seg_ros.errors import SessionError, SessionFileError
from neural_seg_ros.live.autosave.autosave import Autosave
from neural_seg_ros.live.autosave.store import AutosaveFolder, AutosaveState

# A state that has ended this many processes while they restored it is taken to be the cause.
_MAX_ATTEMPTS = 10
# The least and the most time between signs of life, which is else a tenth of the accepted age.
_MIN_HEARTBEAT_SECONDS, _MAX_HEARTBEAT_SECONDS = 1.0, 60.0


def open_autosave(
    folder: Path,
    source: str,
    *,
    restore: str,
    max_age: float,
    megabytes: int,
    notice: Callable[[str], None],
    failed: Callable[[Exception], None],
) -> Autosave | None:
    """Open the autosave in a folder; ``Autosave.state`` is the state in it, if that may be restored.

    State that cannot be restored is moved to quarantine and reported through ``notice`` or ``failed``. Only the state
    of a clean shutdown is deleted. Returns None, after a call of ``failed``, if the folder cannot be locked or written.

    source   of the frames, such as their image topic; annotations of another source are not restored
    restore  ``crash``: only after a kill; ``always``: also after a clean shutdown
    max_age  seconds since the last sign of life of the node that wrote it
    """
    try:
        opened = AutosaveFolder(folder)
    except SessionError as error:
        failed(error)
        return None
    try:
        state = _restorable_state(opened, source, restore, max_age, notice, failed)
        heartbeat_seconds = min(max(max_age / 10, _MIN_HEARTBEAT_SECONDS), _MAX_HEARTBEAT_SECONDS)
        return Autosave(opened, state, source, megabytes, heartbeat_seconds, failed)
    except OSError as error:
        opened.close()
        failed(SessionError(f"autosave: cannot write to {folder}: {error.strerror}; nothing is saved"))
        return None


def _restorable_state(
    folder: AutosaveFolder,
    source: str,
    restore: str,
    max_age: float,
    notice: Callable[[str], None],
    failed: Callable[[Exception], None],
) -> AutosaveState:
    """Return the state in a folder, or an empty one if that may not be restored."""
    age = folder.age
    try:
        state, saved_source = folder.read()
    except SessionFileError as error:
        failed(SessionFileError(f"autosave: {error}; moved to {folder.quarantine().name}, started over"))
        return AutosaveState()
    if state.is_empty or (state.ended and restore != "always"):
        return AutosaveState()
    if state.attempts >= _MAX_ATTEMPTS:
        reason = f"{state.attempts} processes ended while they restored it"
    elif saved_source != source:
        reason = f"image topic: got {saved_source}, accepted: {source}"
    # A negative age means that the clock was set back: the true age is unknown.
    elif not -1 <= age <= max_age:
        reason = f"age: got {age:.0f} s, accepted: up to {max_age:g} s (restore_max_age)"
    else:
        state.ended = False
        return state
    notice(
        f"autosave: {len(state.annotations)} annotations not restored: {reason}; moved to {folder.quarantine().name}"
    )
    return AutosaveState()
