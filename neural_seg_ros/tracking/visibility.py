"""The visibility of classes: which are in view, with which confidence, and where to look for lost ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neural_seg_ros.tracking.windows import TUNING as WINDOW_TUNING
from neural_seg_ros.tracking.windows import Window


@dataclass(frozen=True)
class VisibilityTuning:
    """Constants of the visibility of classes."""

    # Shares of the typical confidence below which a class is lost, and above which it is found.
    lost_below: float = 0.5
    # With a lower value an occluder that moves alike is taken for it; with a higher one a new side is not recognized.
    found_above: float = 0.85
    # Less than this share of the typical area lowers the confidence.
    min_area_share: float = 0.15
    # Share of the newest frame in typical confidence and area.
    update: float = 0.1
    # A lost class is searched at this many places of its colors in turn, on a map this many times smaller.
    places: int = 6
    map_shrink: int = 4
    # A component farther than this share of the window from the class's last place is dropped,
    max_distance_share: float = 0.15
    # and one smaller than this share of the largest.
    min_component_share: float = 0.01


TUNING = VisibilityTuning()


class Presence:
    """For every channel: confidence in [0, 1], typical confidence and area in pixels, and searches while lost.

    The confidence is how sure the answer is of a class where it is, times how like its colors that is, less where it
    is smaller than usual; 0 where lost.
    """

    def __init__(self) -> None:
        self.areas = np.zeros(0, np.float32)
        self.typical_confidence = np.zeros(0, np.float32)
        self.confidence = np.zeros(0, np.float32)
        self.searches = np.full(0, -1, np.int64)

    @property
    def lost(self) -> tuple[int, ...]:
        """Channels that are not in sight."""
        return tuple(int(channel) for channel in np.nonzero(self.searches >= 0)[0])

    def learn(self, labels: NDArray[np.int16], probabilities: NDArray[np.float32]) -> None:
        """Learn an annotated frame: its classes are in view."""
        more = len(probabilities) - len(self.areas)
        self.areas = np.pad(self.areas, (0, more))
        self.typical_confidence = np.pad(self.typical_confidence, (0, more), constant_values=1)
        self.confidence = np.pad(self.confidence, (0, more))
        self.searches = np.pad(self.searches, (0, more), constant_values=-1)
        for channel, probability in enumerate(probabilities):
            where = labels == channel
            if where.any():
                self.areas[channel] = where.sum()
                self.confidence[channel] = self.typical_confidence[channel] = probability[where].mean()
                self.searches[channel] = -1

    def update_visibility(
        self, channel: int, probability: NDArray[np.float32], where: NDArray[np.bool_], likeness: float
    ) -> bool:
        """Judge whether a class is in view, from its probability (h, w), its pixels and their colors."""
        area = float(where.sum())
        sure = float(probability[where].mean()) if area else 0.0
        share = area / max(float(self.areas[channel]), 1.0)
        confidence = sure * likeness * min(1.0, share / TUNING.min_area_share)
        there = confidence >= float(self.typical_confidence[channel]) * (
            TUNING.lost_below if self.searches[channel] < 0 else TUNING.found_above
        )
        self.confidence[channel] = confidence if there else 0.0
        if there:
            self.searches[channel] = -1
            self.areas[channel] += TUNING.update * (area - self.areas[channel])
            self.typical_confidence[channel] += TUNING.update * (confidence - self.typical_confidence[channel])
        else:
            self.searches[channel] += 1
        return there

    def snapshot(self) -> dict[str, Tensor]:
        """Copy all state."""
        return {
            "areas": torch.from_numpy(self.areas.copy()),
            "usual": torch.from_numpy(self.typical_confidence.copy()),
            "confidence": torch.from_numpy(self.confidence.copy()),
            "searches": torch.from_numpy(self.searches.copy()),
        }

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """Return to the state of ``snapshot()``."""
        self.areas = snapshot["areas"].numpy().copy()
        self.typical_confidence = snapshot["usual"].numpy().copy()
        self.confidence = snapshot["confidence"].numpy().copy()
        self.searches = snapshot["searches"].numpy().copy()


def place_of_colors(side: float, likely: NDArray[np.float32], searches: int) -> Window:
    """Choose a place to look for a lost class: those most like its colors, in turn.

    side: of its window; likely (h, w) in [0, 1]: how like its colors every pixel is; searches: how many there were.
    """
    height, width = likely.shape
    small = cv2.resize(
        likely, (max(1, width // TUNING.map_shrink), max(1, height // TUNING.map_shrink)), interpolation=cv2.INTER_AREA
    )
    width_of_object = max(1, round(side / WINDOW_TUNING.width_factor / TUNING.map_shrink))
    dense = cv2.blur(small, (width_of_object, width_of_object), borderType=cv2.BORDER_CONSTANT)
    for _ in range(searches % TUNING.places + 1):
        _, _, _, (x, y) = cv2.minMaxLoc(dense)
        cv2.circle(dense, (x, y), width_of_object, 0.0, -1)
    return Window((x + 0.5) * TUNING.map_shrink, (y + 0.5) * TUNING.map_shrink, side)


def smaller_components(mask: NDArray[np.bool_], probability: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the pieces (h, w) of a class's mask but the one with the largest sum of its probability (h, w)."""
    count, ids = cv2.connectedComponents(mask.astype(np.uint8))
    if count <= 2:
        return np.zeros(mask.shape, np.bool_)
    sums = np.bincount(ids.ravel(), (probability * mask).ravel(), minlength=count)
    return np.asarray(mask & (ids != int(sums.argmax())), np.bool_)


def far_or_small_components(mask: NDArray[np.bool_], before: NDArray[np.bool_], side: float) -> NDArray[np.bool_]:
    """Return the pieces (h, w) of a class's mask that are specks, or far from where it was ``before``."""
    count, ids, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count <= 1:
        return np.zeros(mask.shape, np.bool_)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    drop = areas < TUNING.min_component_share * areas.max()
    if before.any():
        away = cv2.distanceTransform((~before).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
        near = np.unique(ids[away <= TUNING.max_distance_share * side])
        far = np.ones(count, np.bool_)
        far[near] = False
        drop |= far
    drop[0] = False
    return np.asarray(drop[ids], np.bool_)
