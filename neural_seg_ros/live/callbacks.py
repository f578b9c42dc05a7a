"""The callbacks of a live session, and the results that they get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation

if TYPE_CHECKING:
    from neural_seg_ros.session.result import Result


@dataclass(frozen=True, eq=False)
class LiveResult:
    """A result with the frame it belongs to.

    result      of the frame fitted last
    token       what ``offer_frame`` was given with the frame
    image       (H, W, 3) uint8 RGB of the frame
    annotations those made on the frame
    reannotated whether annotations came or went since the last result, or the fit to that goes on
    lost        ids of the classes that the session has lost on this frame
    """

    result: Result
    header: Any
    image: NDArray[np.uint8]
    annotations: tuple[Annotation, ...]
    reannotated: bool
    lost: tuple[int, ...]


@dataclass(frozen=True)
class LiveCallbacks:
    """Whom the worker tells, in its own thread.

    output  given every result
    wanted  whether anyone wants results; for nobody none is computed, unless what is lost has changed
    error   given every exception that no Future carries
    notice  given one line where a request was met in another way than asked
    """

    output: Callable[[LiveResult], None]
    wanted: Callable[[], bool]
    error: Callable[[Exception], None]
    notice: Callable[[str], None]
