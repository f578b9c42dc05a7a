"""The pixels of annotated frames in the folder of autosave: written once, deleted when nothing is on them any more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.live.inbox import Frame
from neural_seg_ros.live.kept import KeptFrame

if TYPE_CHECKING:
    from neural_seg_ros.live.keep import Keep


class KeptFrames:
    """Frames of a session and frames that a command may go to, for one thread.

    written  names of pixels that the machine might lose if it went down
    """

    def __init__(self, keep: Keep, there: Iterable[str], failed: Callable[[Exception], None]) -> None:
        """there: names of pixels that are in the folder; failed: told when some cannot be written."""
        self._keep, self._failed = keep, failed
        self._on_disk = set(there)
        self.written: set[str] = set()
        self._by_number: dict[int, KeptFrame] = {}
        # The frame that the last command would have gone to.
        self._asked: tuple[Frame, KeptFrame] | None = None

    def begin(self, frames: Mapping[int, KeptFrame]) -> None:
        """Another session has these frames, which are there."""
        self._by_number = dict(frames)

    def lose(self) -> None:
        """The folder is empty."""
        self._on_disk, self.written = set(), set()

    def numbered(self, number: int, stamp: float, pixels: NDArray[np.uint8] | None) -> KeptFrame | None:
        """The session's frame of a number; None where it is not there and cannot be written."""
        known = self._by_number.get(number)
        if known is None and pixels is not None:
            known = self._write(stamp, pixels)
            if known is not None:
                self._by_number[number] = known
        return known

    def offered(self, frame: Frame | None) -> KeptFrame | None:
        """A frame as it came; None where it cannot be decoded, as whoever executes the command will say, or written."""
        if frame is None:
            return None
        last = self._asked
        if last is not None and last[0] is frame and last[1].pixels in self._on_disk:
            return last[1]
        try:
            pixels = frame.decode()
        except Exception:  # whoever executes the command decodes it too, and reports that
            return None
        kept = self._write(frame.stamp, pixels)
        self._asked = None if kept is None else (frame, kept)
        return kept

    def forget_but(self, needed: set[str]) -> None:
        """Delete all other pixels."""
        unneeded = self._on_disk - needed
        if not unneeded:
            return
        self._keep.forget(unneeded)
        self._on_disk -= unneeded
        self.written -= unneeded
        self._by_number = {number: frame for number, frame in self._by_number.items() if frame.pixels in self._on_disk}

    def _write(self, stamp: float, pixels: NDArray[np.uint8]) -> KeptFrame | None:
        try:
            name = self._keep.write_pixels(pixels)
        except OSError as error:
            self._failed(error)
            return None
        self._on_disk.add(name)
        self.written.add(name)
        return KeptFrame(stamp, name)
