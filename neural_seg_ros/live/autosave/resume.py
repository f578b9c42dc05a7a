"""Whether what a node of the same name kept before is taken up again."""

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
    """Begin to keep annotations in a folder; what is in there and may be taken up is ``Autosave.kept``.

    What may not is moved aside, with one line to ``notice`` or ``failed``, and only what a node that ended as it was
    told had kept is deleted. Gives None, with one line to ``failed``, where the folder cannot be had.

    source   where the frames come from; annotations of another source are not taken up
    restore  ``crash``: not what a node that ended as it was told had kept; ``always``: that, too
    max_age  seconds since the node that kept it was alive
    """
    try:
        keep = AutosaveFolder(folder)
    except SessionError as error:
        failed(error)
        return None
    try:
        kept = _kept(keep, source, restore, max_age, notice, failed)
        beat = min(max(max_age / 10, _BEAT[0]), _BEAT[1])
        return Autosave(keep, kept, source, megabytes, beat, failed)
    except OSError as error:
        keep.close()
        failed(SessionError(f"autosave: {folder}: {error.strerror}, accepted: a folder to write to; nothing is kept"))
        return None


def _kept(
    keep: AutosaveFolder,
    source: str,
    restore: str,
    max_age: float,
    notice: Callable[[str], None],
    failed: Callable[[Exception], None],
) -> AutosaveState:
    age = keep.age
    try:
        kept, of = keep.read()
    except SessionFileError as error:
        failed(SessionFileError(f"autosave: {error}; moved to {keep.move_aside().name}, begun anew"))
        return AutosaveState()
    if kept.empty or (kept.ended and restore != "always"):
        return AutosaveState()
    if kept.attempts >= _ATTEMPTS:
        reason = f"{kept.attempts} processes ended while they took it up"
    elif of != source:
        reason = f"it is of the image topic {of}, accepted: {source}"
    # Below 0 the clock was set back, and how old it is nobody knows.
    elif not -1 <= age <= max_age:
        reason = f"age: got {age:.0f} s, accepted: up to {max_age:g} s (restore_max_age)"
    else:
        kept.ended = False
        return kept
    notice(f"autosave: {len(kept.placed)} annotations not taken up: {reason}; moved to {keep.move_aside().name}")
    return AutosaveState()
