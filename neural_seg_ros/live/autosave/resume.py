"""The decision whether a starting node resumes from the autosave of a node of the same name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from neural_seg_ros.errors import SessionError, SessionFileError
from neural_seg_ros.live.autosave.autosave import Autosave
from neural_seg_ros.live.autosave.store import AutosaveFolder, AutosaveState

# So often it may end the process that takes it up, before it is believed that it does so each time.
_ATTEMPTS = 10
# Seconds between signs of life: a tenth of the age that is accepted, within these.
_BEAT = (1.0, 60.0)


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
    """Open the autosave in a folder; a state in it that may be restored is ``Autosave.state``.

    State that cannot be restored is moved to quarantine and reported through ``notice`` or ``failed``. Only the state
    of a clean shutdown is deleted. Returns None, with one line to ``failed``, where the folder cannot be locked.

    source   where the frames come from; annotations of another source are not restored
    restore  ``crash``: only after a kill; ``always``: also after a clean shutdown
    max_age  seconds since the last sign of life of the node that wrote it
    """
    try:
        store = AutosaveFolder(folder)
    except SessionError as error:
        failed(error)
        return None
    try:
        state = _kept(store, source, restore, max_age, notice, failed)
        heartbeat_seconds = min(max(max_age / 10, _BEAT[0]), _BEAT[1])
        return Autosave(store, state, source, megabytes, heartbeat_seconds, failed)
    except OSError as error:
        store.close()
        failed(SessionError(f"autosave: {folder}: {error.strerror}, accepted: a folder to write to; nothing is kept"))
        return None


def _kept(
    store: AutosaveFolder,
    source: str,
    restore: str,
    max_age: float,
    notice: Callable[[str], None],
    failed: Callable[[Exception], None],
) -> AutosaveState:
    age = store.age
    try:
        state, of = store.read()
    except SessionFileError as error:
        failed(SessionFileError(f"autosave: {error}; moved to {store.quarantine().name}, started over"))
        return AutosaveState()
    if state.empty or (state.ended and restore != "always"):
        return AutosaveState()
    if state.attempts >= _ATTEMPTS:
        reason = f"{state.attempts} processes ended while they restored it"
    elif of != source:
        reason = f"it is of the image topic {of}, accepted: {source}"
    # Below 0 the clock was set back, and how old it is nobody knows.
    elif not -1 <= age <= max_age:
        reason = f"age: got {age:.0f} s, accepted: up to {max_age:g} s (restore_max_age)"
    else:
        state.ended = False
        return state
    notice(f"autosave: {len(state.annotations)} annotations not restored: {reason}; moved to {store.quarantine().name}")
    return AutosaveState()
