"""The training samples of the tracker: labeled frames, moved, recolored, pasted, with a degraded answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.images.arrays import fill_from_nearest
from neural_seg_ros.regions.pixel_features import lab_of
from neural_seg_ros.tracking.windows import SIDE, Window, view, whole

T = TypeVar("T")


@dataclass(frozen=True)
class SampleTuning:
    """Constants of the training samples. Shares of a length are of the window's side."""

    # Shares of the samples: a frame as it is; an object on its own inpainted frame; the rest: on a recent frame.
    in_place_share: float = 0.4
    inpainted_share: float = 0.3
    # Deviations of the window's motion: shift, degrees, log scale, log aspect.
    shift_sigma: float = 0.12
    turn_sigma_degrees: float = 12.0
    log_scale_sigma: float = 0.22
    log_aspect_sigma: float = 0.08
    # The same for the degraded answer; its bend, and how often it lacks a class.
    prior_shift_sigma: float = 0.04
    prior_turn_sigma_degrees: float = 5.0
    prior_log_scale_sigma: float = 0.06
    prior_bend_sigma: float = 0.03
    prior_missing_share: float = 0.08
    # Discs added to or removed from the degraded answer, and their radii.
    max_discs: int = 3
    min_disc_radius: float = 0.03
    max_disc_radius: float = 0.12
    # Share of blurred samples, and the blur of the degraded answer.
    blurred_share: float = 0.3
    prior_blur_sigma_px: float = 1.0
    # Largest change of lightness: factor, and offset in units of the network's input.
    max_contrast_change: float = 0.15
    max_light_offset: float = 0.2
    # Pixels around a class in a recent frame that are not used as its ground.
    exclude_radius_px: int = 7


TUNING = SampleTuning()


Views = tuple[NDArray[np.uint8], NDArray[np.int16], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class TrainingFrame:
    """A frame with labels.

    image    (h, w, 3) uint8 RGB
    labels   (h, w) int16: channels
    weights  (h, w) float32 in [0, 1]: how far the labels are to be relied on
    windows  around the channels that are objects
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.int16]
    weights: NDArray[np.float32]
    windows: dict[int, Window]

    @cached_property
    def plates(self) -> dict[int, TrainingFrame]:
        """The frame without each of its objects."""
        return {channel: _without(self, channel) for channel in self.windows}


@dataclass(frozen=True)
class Sample:
    """A training sample: inputs (3 + C, SIDE, SIDE) float32, labels (SIDE, SIDE) int64, weights float32."""

    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]
    weights: NDArray[np.float32]


def sample(
    rng: np.random.Generator,
    annotated: Sequence[TrainingFrame],
    recent: Sequence[TrainingFrame],
    count: int,
    background_channel: int,
) -> Sample:
    """Draw one sample of ``count`` channels; half of them come from the newest annotated frame."""
    newest = len(annotated) == 1 or rng.random() < 0.5
    known = annotated[-1] if newest else _one_of(rng, annotated[:-1])
    channels = sorted(known.windows)
    target = _one_of(rng, channels) if channels else background_channel
    kind = rng.random()
    if not channels or kind < TUNING.in_place_share:
        views = _views(known, _moved(rng, known.windows.get(target, whole(known.labels.shape))))
    elif kind < TUNING.in_place_share + TUNING.inpainted_share or not recent:
        views = _pasted(rng, known, target, known.plates[target])
    else:
        views = _pasted(rng, known, target, _ground(_one_of(rng, recent), target))
    return _finished(rng, views, count, background_channel)


def inputs_of(image: NDArray[np.uint8], answer: NDArray[np.float32]) -> NDArray[np.float32]:
    """Build the network's input (3 + C, h, w): (L - 50)/25, a/15, b/15 of an RGB image, and an answer (C, h, w) from
    -1 to 1."""
    color = (lab_of(image) - np.array([50, 0, 0], np.float32)) / np.array([25, 15, 15], np.float32)
    blurred = [2 * cv2.GaussianBlur(channel, (0, 0), TUNING.prior_blur_sigma_px) - 1 for channel in answer]
    return np.ascontiguousarray(np.concatenate([color.transpose(2, 0, 1), np.stack(blurred)]), np.float32)


def degraded(
    rng: np.random.Generator, labels: NDArray[np.int16], count: int, background_channel: int
) -> NDArray[np.float32]:
    """Degrade an answer (count, SIDE, SIDE) like one carried from the frame before: shifted, bent, incomplete.

    Pixels that it covers or uncovers become ``background_channel``.
    """
    bend = rng.normal(0, TUNING.prior_bend_sigma * SIDE, (2, 5, 5)).astype(np.float32)
    bent_x, bent_y = (cv2.resize(each, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for each in bend)
    middle = (SIDE - 1) / 2
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) - np.float32(middle)
    answer = np.zeros((count, SIDE, SIDE), np.float32)
    for channel in np.unique(labels):
        if channel == background_channel or rng.random() < TUNING.prior_missing_share:
            continue
        turn = _turned(np.deg2rad(rng.normal(0, TUNING.prior_turn_sigma_degrees))) * np.exp(
            rng.normal(0, TUNING.prior_log_scale_sigma)
        )
        across, down = middle + rng.normal(0, TUNING.prior_shift_sigma * SIDE, 2)
        from_x = (turn[0, 0] * x + turn[0, 1] * y + across + bent_x).astype(np.float32)
        from_y = (turn[1, 0] * x + turn[1, 1] * y + down + bent_y).astype(np.float32)
        mask = (labels == channel).astype(np.float32)
        mask = cv2.remap(mask, from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        _spotted(rng, mask)
        answer[channel] = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.5, 3.0))
    answer /= np.maximum(answer.sum(0), 1)
    answer[background_channel] = 1 - answer.sum(0)
    return answer


def _spotted(rng: np.random.Generator, mask: NDArray[np.float32]) -> None:
    y, x = np.nonzero(mask > 0.5)
    for _ in range(rng.integers(TUNING.max_discs + 1) if len(y) else 0):
        at = rng.integers(len(y))
        center = int(x[at] + rng.normal(0, 8)), int(y[at] + rng.normal(0, 8))
        cv2.circle(
            mask,
            center,
            int(rng.uniform(TUNING.min_disc_radius, TUNING.max_disc_radius) * SIDE),
            float(rng.random() < 0.5),
            -1,
        )


def _one_of(rng: np.random.Generator, choices: Sequence[T]) -> T:
    return choices[int(rng.integers(len(choices)))]


def _turned(angle: float) -> NDArray[np.float64]:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _moved(rng: np.random.Generator, window: Window) -> NDArray[np.float64]:
    """Draw a (2, 3) map from a view to the frame, around a randomly moved, turned, scaled, mirrored window."""
    side = window.side * np.exp(rng.normal(0, TUNING.log_scale_sigma))
    shift = rng.normal(0, TUNING.shift_sigma * window.side, 2)
    stretch = np.exp(rng.normal(0, TUNING.log_aspect_sigma) / 2)
    mirror = -1 if rng.random() < 0.5 else 1
    linear = (
        _turned(np.deg2rad(rng.normal(0, TUNING.turn_sigma_degrees)))
        @ np.diag([mirror * stretch, 1 / stretch])
        * side
        / SIDE
    )
    center = np.array([window.x, window.y]) + shift
    return np.column_stack([linear, center - linear @ np.full(2, (SIDE - 1) / 2)])


def _views(known: TrainingFrame, to_frame: NDArray[np.float64]) -> Views:
    image = view(known.image, to_frame)
    labels = view(known.labels, to_frame, cv2.INTER_NEAREST)
    weights = view(known.weights, to_frame, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT)
    return image, labels, weights


def _pasted(rng: np.random.Generator, known: TrainingFrame, target: int, ground: TrainingFrame) -> Views:
    """Paste a moved object on a random place of ``ground``."""
    to_frame = _moved(rng, known.windows[target])
    image, _, own = _views(known, to_frame)
    mask = view((known.labels == target).astype(np.float32), to_frame, border=cv2.BORDER_CONSTANT)
    under, labels, weights = _views(ground, _place(rng, known.windows[target].side, ground.labels.shape))
    pasted = mask[..., None] * image + (1 - mask[..., None]) * under
    inside = mask > 0.5
    return pasted.astype(np.uint8), np.where(inside, np.int16(target), labels), np.where(inside, own, weights)


def _place(rng: np.random.Generator, side: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
    height, width = shape
    side = min(side * np.exp(rng.normal(0, TUNING.log_scale_sigma)), max(height, width))
    x, y = (rng.uniform(min(side, size) / 2, size - min(side, size) / 2) - 0.5 for size in (width, height))
    to_frame = Window(x, y, side).to_frame
    if rng.random() < 0.5:
        to_frame[0] = -to_frame[0, 0], 0, 2 * x - to_frame[0, 2]
    return to_frame


def _ground(known: TrainingFrame, target: int) -> TrainingFrame:
    """Return a recent frame, with weight 0 around its own ``target``."""
    kernel = np.ones((2 * TUNING.exclude_radius_px + 1, 2 * TUNING.exclude_radius_px + 1), np.uint8)
    near = cv2.dilate((known.labels == target).astype(np.uint8), kernel) > 0
    return replace(known, weights=np.where(near, np.float32(0), known.weights))


def _without(known: TrainingFrame, channel: int) -> TrainingFrame:
    """Return the frame without an object: colors and labels continued from around it."""
    hole = cv2.dilate((known.labels == channel).astype(np.uint8), np.ones((5, 5), np.uint8))
    if hole.all():
        return known
    filled = cv2.inpaint(known.image, hole, 3, cv2.INPAINT_TELEA)
    return replace(known, image=np.asarray(filled, np.uint8), labels=fill_from_nearest(known.labels, hole > 0))


def _finished(rng: np.random.Generator, views: Views, count: int, background_channel: int) -> Sample:
    image, labels, weights = views
    if rng.random() < TUNING.blurred_share:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 1.5)), np.uint8)
    inputs = inputs_of(image, degraded(rng, labels, count, background_channel))
    inputs[0] *= 1 + rng.uniform(-TUNING.max_contrast_change, TUNING.max_contrast_change)
    inputs[0] += rng.uniform(-TUNING.max_light_offset, TUNING.max_light_offset)
    return Sample(inputs, labels.astype(np.int64), weights.astype(np.float32))
