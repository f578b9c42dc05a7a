"""The frame in view, and the numbers by which annotated frames are known again."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Frames:
    """The frames of a camera, one after the other.

    image   that in view, (H, W, 3) uint8 RGB; None before the first
    stamp   its seconds
    number  that annotations on it are placed with: one that was annotated and comes again has that of then
    count   frames so far
    """

    def __init__(self) -> None:
        self.image: NDArray[np.uint8] | None = None
        self.stamp = 0.0
        self.number = 0
        self.count = 0
        # The numbers of annotated frames, by stamp and checksum: one that is observed again is the same frame.
        self._key = (0.0, 0)
        self._known: dict[tuple[float, int], int] = {}

    def observe(self, image: NDArray[np.uint8], stamp: float) -> None:
        """The next one, which is copied."""
        self.image = image.copy()
        self.count += 1
        self.stamp = stamp
        self._key = (stamp, zlib.crc32(self.image.data))
        self.number = self._known.get(self._key, self.count)

    def know(self) -> None:
        """That in view is annotated."""
        self._known[self._key] = self.number

    def forget(self) -> None:
        """None is annotated."""
        self._known.clear()

    def saved(self) -> dict[str, Any]:
        """All but the pixels, as JSON values."""
        return {
            "stamp": self.stamp,
            "frame_number": self.number,
            "frames": self.count,
            "known": [(stamp, checksum, number) for (stamp, checksum), number in self._known.items()],
        }

    def restore(self, values: Mapping[str, Any]) -> None:
        """As it was when ``saved`` gave this; the frame of then is in view."""
        self.number, self.count = int(values["frame_number"]), int(values["frames"])
        self._known = {(float(stamp), checksum): number for stamp, checksum, number in values["known"]}
