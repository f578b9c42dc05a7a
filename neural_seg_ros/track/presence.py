"""Which classes are in sight, how sure that is, and where to look for the others."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neural_seg_ros.track.windows import ROOM, Window

# A class is lost below this share of its usual area, or when its pixels are less like its colours than this.
LOST_AREA, LOST_LIKENESS = 0.05, 0.3
# It is found again when this sure, this like its colours, and of an area between these times its usual one.
FOUND_SURE, FOUND_LIKENESS, FOUND_LEAST, FOUND_MOST = 0.75, 0.5, 0.1, 4.0
# How much of the usual area is that of the newest frame.
FOLLOWED = 0.1
# Every second search is where a class was last, the others in turn at so many places of its colours.
PLACES = 4
COARSE = 4


class Presence:
    """For every channel: usual area in pixels, confidence in [0, 1], whether it is lost, and searches since then."""

    def __init__(self) -> None:
        self.areas = np.zeros(0, np.float32)
        self.confidence = np.zeros(0, np.float32)
        self.searches = np.full(0, -1, np.int64)

    @property
    def lost(self) -> tuple[int, ...]:
        """Channels that are not in sight."""
        return tuple(int(channel) for channel in np.nonzero(self.searches >= 0)[0])

    def learn(self, labels: NDArray[np.uint16], probabilities: NDArray[np.float32]) -> None:
        """An annotated frame: what is there is in sight."""
        more = len(probabilities) - len(self.areas)
        self.areas = np.pad(self.areas, (0, more))
        self.confidence = np.pad(self.confidence, (0, more))
        self.searches = np.pad(self.searches, (0, more), constant_values=-1)
        for channel, probability in enumerate(probabilities):
            where = labels == channel
            if where.any():
                self.areas[channel] = where.sum()
                self.confidence[channel] = probability[where].mean()
                self.searches[channel] = -1

    def judge(self, channel: int, probability: NDArray[np.float32], where: NDArray[np.bool_], likeness: float) -> bool:
        """Whether a class is in sight, from its probability (h, w), its pixels and their likeness to its colours."""
        area = float(where.sum())
        sure = float(probability[where].mean()) if area else 0.0
        share = area / max(float(self.areas[channel]), 1.0)
        if self.searches[channel] < 0:
            there = share >= LOST_AREA and likeness >= LOST_LIKENESS
        else:
            right = likeness >= FOUND_LIKENESS and sure >= FOUND_SURE
            there = right and FOUND_LEAST <= share <= FOUND_MOST
        self.confidence[channel] = sure * likeness if there else 0.0
        if there:
            self.searches[channel] = -1
            self.areas[channel] += FOLLOWED * (area - self.areas[channel])
        else:
            self.searches[channel] += 1
        return there

    def snapshot(self) -> dict[str, Tensor]:
        """All state, as copies."""
        return {
            "areas": torch.from_numpy(self.areas.copy()),
            "confidence": torch.from_numpy(self.confidence.copy()),
            "searches": torch.from_numpy(self.searches.copy()),
        }

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """As it was at ``snapshot()``."""
        self.areas = snapshot["areas"].numpy().copy()
        self.confidence = snapshot["confidence"].numpy().copy()
        self.searches = snapshot["searches"].numpy().copy()


def place_to_search(last: Window, likely: NDArray[np.float32], searches: int) -> Window:
    """Where to look for a lost class: where it was last and where its colours are, in turn.

    last: its window, in this frame; likely (h, w) in [0, 1]: how like its colours every pixel is; searches: how many
    there were so far.
    """
    if searches % 2 == 0:
        return last
    height, width = likely.shape
    small = cv2.resize(likely, (max(1, width // COARSE), max(1, height // COARSE)), interpolation=cv2.INTER_AREA)
    side = max(1, round(last.side / ROOM / COARSE))
    dense = cv2.blur(small, (side, side), borderType=cv2.BORDER_CONSTANT)
    for _ in range((searches // 2) % PLACES + 1):
        _, _, _, (x, y) = cv2.minMaxLoc(dense)
        cv2.circle(dense, (x, y), side, 0.0, -1)
    return Window((x + 0.5) * COARSE, (y + 0.5) * COARSE, last.side)
