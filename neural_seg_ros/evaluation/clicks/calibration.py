"""Is a method right as often as it says? Expected calibration error, and risk against coverage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.evaluation.labelers import Labeling
from neural_seg_ros.images.arrays import Labels
from neural_seg_ros.metrics import IGNORE

BINS = 15
# A multiple of BINS, fine enough to stand for a sort of the pixels by confidence.
_FINE_BINS = 1500


@dataclass(frozen=True)
class Calibration:
    """The calibration of confidence: pixels in even bins of [0, 1]; the upper edge belongs to a bin.

    pixels      (1500,) how many
    right       (1500,) how many of them are labeled as in the truth
    confidence  (1500,) sum of their confidences

    Those of several images add up to that of all their pixels.
    """

    pixels: NDArray[np.float64]
    right: NDArray[np.float64]
    confidence: NDArray[np.float64]

    @staticmethod
    def of(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> Calibration:
        """Count ``confidence`` in [0, 1] and ``right``, arrays of the same shape."""
        values = confidence.ravel().astype(np.float64)
        index = np.clip(np.ceil(values * _FINE_BINS).astype(np.int64) - 1, 0, _FINE_BINS - 1)

        def sums(weights: NDArray[np.generic]) -> NDArray[np.float64]:
            return np.asarray(np.bincount(index, weights.ravel(), minlength=_FINE_BINS), np.float64)

        return Calibration(sums(np.ones_like(values)), sums(right), sums(values))

    def __add__(self, other: Calibration) -> Calibration:
        return Calibration(self.pixels + other.pixels, self.right + other.right, self.confidence + other.confidence)

    def expected_error(self) -> float:
        """Compute ECE = sum over 15 bins of |B| / n * |share right in B - mean confidence in B|; 0 without pixels.

        Naeini, Cooper, Hauskrecht: Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015.
        """
        gaps = (self.right - self.confidence).reshape(BINS, -1).sum(1)
        return float(np.abs(gaps).sum() / max(1.0, self.pixels.sum()))

    def risk(self, points: int) -> NDArray[np.float64]:
        """Return (points,) the error rate of the most confident share 1/points, 2/points, ... 1 of the pixels.

        Pixels of one bin come in random order. Geifman, El-Yaniv: Selective classification for deep neural networks,
        NeurIPS 2017.
        """
        sure_first = slice(None, None, -1)
        pixels = np.concatenate([[0.0], np.cumsum(self.pixels[sure_first])])
        wrong = np.concatenate([[0.0], np.cumsum((self.pixels - self.right)[sure_first])])
        covered = np.arange(1, points + 1) / points * pixels[-1]
        return np.asarray(np.interp(covered, pixels, wrong) / np.maximum(covered, 1e-9), np.float64)

    def area_under_risk(self) -> float:
        """Compute AURC: the mean of ``risk`` over all coverages, in [0, 1]."""
        return float(self.risk(1000).mean())


def calibration_of(labeling: Labeling, truth: Labels) -> Calibration | None:
    """Compute the calibration over the judged pixels; None for a method without confidence."""
    if labeling.confidence is None:
        return None
    judged = truth != IGNORE
    return Calibration.of(labeling.confidence[judged], (labeling.labels == truth)[judged])
