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

    base     annotations of the base that the session began with
    frames   autosaved frames by their numbers in the session
    drawn    running numbers of annotations by the key of their drawing
    refused  one line for each annotation or command that could not be restored
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
    """Restore all annotations beyond the base, which the session has already, and describe them in ``restored``.

    The session observes the annotated frames in their order and learns from each as it did before. Pending commands are
    executed.

    pixels  returns (H, W, 3) uint8 by name; raises SessionFileError, which refuses the annotations on that frame
    erase   removes the annotations in ``restored.drawn`` under a key from the session
    """
    observed: AutosavedFrame | None = None

    def observe(frame: AutosavedFrame | None) -> None:
        nonlocal observed
        if frame is None:
            raise SessionError("its frame was not saved")
        if frame != observed:
            session.observe(pixels(frame.pixels), frame.stamp)
            observed = frame
        restored.frames[session.frame_number] = frame

    def annotate(shape: Shape | None, key: int | None) -> None:
        if shape is None:
            raise SessionError("a dense mask is not autosaved")
        number = session.annotate(shape)
        if key is not None:
            restored.drawn.setdefault(key, []).append(number)

    def execute(command: PendingCommand) -> None:
        if command.name in ("annotate", "draw"):
            if command.shapes:
                observe(command.frame)
            if command.key is not None:
                erase(command.key)
            for shape in command.shapes:
                annotate(shape, command.key)
        elif command.name == "clear":
            session.clear()
            restored.drawn.clear()
        elif command.name == "undo":
            session.undo()
        else:
            session.redo()

    for entry in state.annotations[state.base_count :]:
        try:
            observe(entry.frame)
            annotate(entry.shape, entry.key)
        # The parameters differ from those of its time, or the pixels of its frame are missing or damaged.
        except (AnnotationError, SessionError, SessionFileError) as error:
            restored.refused.append(str(error))
    for command in state.pending.values():
        try:
            execute(command)
        # The worker would have refused the command, too.
        except (AnnotationError, SessionError, SessionFileError) as error:
            restored.refused.append(str(error))
