"""The callbacks of a live session, and the results that they get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation

if TYPE_CHECKING:
    from neural_seg_ros.contours import Contours
    from neural_seg_ros.session.result import Result


@dataclass(frozen=True, eq=False)
class LiveResult:
    """A result with the frame it belongs to.

    result      of the current frame
    header      given to ``offer_frame`` with the frame
    image       (H, W, 3) uint8 RGB of the frame
    annotations made on the frame
    reannotated True if annotations were made or removed since the last result, and until the final answer to that
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
    """The functions that the worker calls, in its own thread.

    output  called with every result
    wanted  returns whether a consumer wants results; if not, none is computed unless the lost classes have changed
    error   called with every exception that no Future carries
    notice  called with one line where a request was executed in another way than asked
    """

    output: Callable[[LiveResult], None]
    wanted: Callable[[], bool]
    error: Callable[[Exception], None]
    notice: Callable[[str], None]


@dataclass(frozen=True, eq=False)
class ContourResult:
    """The contours of one frame.

    contours  of the frame, at its full size
    segments  (H, W) uint16, 0, 1, ...: the areas that contours above ``live.segment_threshold`` enclose
    header    given to ``offer_frame`` with the frame
    """

    contours: Contours
    segments: NDArray[np.uint16]
    header: Any


@dataclass(frozen=True)
class ContourCallbacks:
    """The functions that the contour worker calls, in its own thread.

    output  called with the contours of a frame
    wanted  returns whether a consumer wants contours; if not, none are computed
    """

    output: Callable[[ContourResult], None]
    wanted: Callable[[], bool]
