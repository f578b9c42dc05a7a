"""The restore of an autosaved session: its annotated frames in order, with their annotations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations.shapes import Shape
from neural_seg_ros.errors import AnnotationError, SessionError, SessionFileError
from neural_seg_ros.live.autosave.store import AutosavedFrame, AutosaveState, PendingCommand

if TYPE_CHECKING:
    from neural_seg_ros.annotations.implied import FrameAnnotation
    from neural_seg_ros.session import Session


@dataclass
class Restored:
    """The outcome of a restore.

    base     the base's annotations that it began with
    frames   by their numbers in the session
    drawn    running numbers of annotations by the key they were drawn under
    refused  why something could not be restored, one line each
    """

    base: tuple[FrameAnnotation, ...]
    frames: dict[int, AutosavedFrame] = field(default_factory=dict)
    drawn: dict[int, list[int]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


def restore(
    session: Session,
    state: AutosaveState,
    pixels: Callable[[str], NDArray[np.uint8]],
    erase: Callable[[int], None],
    restored: Restored,
) -> None:
    """Restore all annotations beyond the base, which the session has already, into ``restored``.

    The session learns of each annotated frame what it learnt when the next one came. Commands that nobody had executed
    are executed now.

    pixels  gives (H, W, 3) uint8 by name; raises SessionFileError, which refuses what is on that frame
    erase   takes back what is in ``restored.drawn`` under a key
    """
    shown: AutosavedFrame | None = None

    def show(frame: AutosavedFrame | None) -> None:
        nonlocal shown
        if frame is None:
            raise SessionError("its frame was not kept")
        if frame != shown:
            session.observe(pixels(frame.pixels), frame.stamp)
            shown = frame
        restored.frames[session.frame_number] = frame

    def annotate(shape: Shape | None, key: int | None) -> None:
        if shape is None:
            raise SessionError("it is a dense mask")
        number = session.annotate(shape)
        if key is not None:
            restored.drawn.setdefault(key, []).append(number)

    def execute(asked: PendingCommand) -> None:
        if asked.do in ("annotate", "draw"):
            if asked.shapes:
                show(asked.frame)
            if asked.key is not None:
                erase(asked.key)
            for shape in asked.shapes:
                annotate(shape, asked.key)
        elif asked.do == "clear":
            session.clear()
            restored.drawn.clear()
        elif asked.do == "undo":
            session.undo()
        else:
            session.redo()

    for entry in state.annotations[state.base_count :]:
        try:
            show(entry.frame)
            annotate(entry.shape, entry.key)
        # Of other parameters than those it was made with, or on a frame whose pixels are damaged.
        except (AnnotationError, SessionError, SessionFileError) as error:
            restored.refused.append(str(error))
    for asked in state.asked.values():
        try:
            execute(asked)
        # As it would have been refused then.
        except (AnnotationError, SessionError, SessionFileError) as error:
            restored.refused.append(str(error))
