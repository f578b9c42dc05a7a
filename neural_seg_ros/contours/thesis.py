"""Contours as in the thesis, chapter 3: what many random segmentations of a field's features agree on."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neural_seg_ros.config import FieldConfig
from neural_seg_ros.contours.detected import Contours
from neural_seg_ros.contours.heads import Heads, pin_loss, random_pins
from neural_seg_ros.contours.nms import suppressed
from neural_seg_ros.contours.transform import contour_loss, differing, next_centre, on_pixels
from neural_seg_ros.device import choose_device
from neural_seg_ros.field.codes import make_code
from neural_seg_ros.field.losses import rgb_loss
from neural_seg_ros.field.network import FieldNetwork
from neural_seg_ros.field.precision import compute_dtype, computing
from neural_seg_ros.field.seeded import only_deterministic, seeded
from neural_seg_ros.image import check_image, field_shape, resize_image
from neural_seg_ros.options import option, validate

# The thesis's two scales: encoder levels of the networks whose contours are averaged (3.4.1).
LEVELS = (3, 4)
# Of the running mean of the final head's logits (3.3.4).
RETENTION = 0.2
HEADS_RATE = 1e-2
# Of the fourier code. The thesis's mesh grid alone learns edges too slowly for a CPU, and six octaves show as a grid.
OCTAVES = 4
# Logits are multiplied by this before the softmax: pins alone leave heads unsure between the pins, and
# 1 - sum p p is high wherever they are unsure.
SHARPNESS = 8.0
# Mirrored around the image, as networks draw lines along the edges of what they see; in pixels of their size.
MARGIN = 4
# Frames of images are the strongest false contours.
FRAME = 3


@dataclass(frozen=True)
class HeadsConfig:
    """The networks and heads of ``thesis_contours``, and how they are fitted."""

    size: int = option(160, "longer side in pixels at which the networks are fitted", low=32, high=2048)
    width: int = option(64, "filters of every convolution", low=8, high=512)
    heads: int = option(64, "segmentations that are made to agree", low=1, high=4096)
    classes: int = option(4, "classes of each: four colours suffice for any map", low=2, high=64)
    steps: int = option(300, "steps of each network", low=1, high=100_000)
    alone: int = option(150, "first steps, in which heads are pinned and do not see each other", low=0, high=100_000)
    every: int = option(5, "steps from one distillation to the next", low=1, high=1000)
    seed: int = option(0, "seed of weights and pins", low=0, high=2**31 - 1)

    def __post_init__(self) -> None:
        validate(self)

    def field(self, levels: int) -> FieldConfig:
        """The field with so many levels."""
        return FieldConfig(size=self.size, width=self.width, levels=levels, octaves=OCTAVES, skips=False)


def thesis_contours(image: NDArray[np.uint8], config: HeadsConfig | None = None, device: str = "auto") -> Contours:
    """The contours of an (H, W, 3) uint8 RGB image: the mean over networks of 3 and 4 levels.

    ``segments`` are the connected parts of equal class of the last network's final head, whatever the threshold.
    Raises ImageError or ConfigError.
    """
    config = config or HeadsConfig()
    height, width = check_image(image).shape[:2]
    where = choose_device(device)
    small = resize_image(image, *field_shape(height, width, config.size, config.field(max(LEVELS)).least_side))
    fitted = [fit_heads(small, config, levels, where) for levels in LEVELS]
    mean = np.mean([each.strength for each in fitted], axis=0)
    strength = np.asarray(cv2.resize(mean, (width, height), interpolation=cv2.INTER_CUBIC), np.float32).clip(0, 1)
    inner = np.zeros_like(strength)
    kept = (slice(FRAME, height - FRAME), slice(FRAME, width - FRAME))
    inner[kept] = suppressed(strength)[kept]
    labels = cv2.resize(fitted[-1].labels, (width, height), interpolation=cv2.INTER_NEAREST)
    segments = _connected(np.asarray(labels, np.int32))
    return Contours(strength, inner, lambda threshold: segments)


@dataclass(frozen=True)
class FittedHeads:
    """What the heads on one network say of an image fitted at (h, w).

    strength  (h, w) float32 in [0, 1], the mean contours of the heads
    labels    (h, w) uint8, classes of the final segmentation
    features  (F, h, w) float32, what the heads see
    """

    strength: NDArray[np.float32]
    labels: NDArray[np.uint8]
    features: NDArray[np.float32]


def fit_heads(image: NDArray[np.uint8], config: HeadsConfig, levels: int, device: torch.device) -> FittedHeads:
    """Fit one network and its heads to an (h, w, 3) uint8 RGB image, at its size."""
    mirrored = np.asarray(cv2.copyMakeBorder(image, MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_REFLECT), np.uint8)
    fit = HeadsFit(mirrored, config, levels, device)
    for step in range(config.steps):
        features = fit.step_network()
        fit.step_heads(features, step >= config.alone and (step - config.alone) % config.every == 0)
    return fit.fitted(MARGIN)


class HeadsFit:
    """The network learns the image's colours alone, the heads their pins and each other, the final head all of them."""

    def __init__(self, image: NDArray[np.uint8], config: HeadsConfig, levels: int, device: torch.device) -> None:
        field = config.field(levels)
        height, width = image.shape[:2]
        self._target = torch.from_numpy(image).to(device).permute(2, 0, 1)[None].float() / 255
        only_deterministic(device)
        with seeded(config.seed):
            network = FieldNetwork(field, {"rgb": 3})
            self.heads = Heads(config.width, config.heads, config.classes).to(device)
            self.final = Heads(config.width, 1, config.classes).to(device)
            self._pins = random_pins(config.heads, config.classes, height * width).to(device)
        self.network: FieldNetwork = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._centre = torch.zeros((config.classes, 1, 1, 1), device=device)
        dtype = compute_dtype(field.precision, device)
        self._code = make_code(field, height, width, config.seed).to(device, dtype, memory_format=torch.channels_last)
        self._clip = field.clip_norm
        self._of_network = torch.optim.Adam(network.parameters(), lr=field.learning_rate, amsgrad=True, fused=True)
        heads = [*self.heads.parameters(), *self.final.parameters()]
        self._of_heads = torch.optim.Adam(heads, lr=HEADS_RATE, amsgrad=True, fused=True)

    def step_network(self) -> Tensor:
        """A step towards the image's colours. Returns the features (F, h, w) float32 before it, without a gradient."""
        with computing(self._code):
            features = self.network.features(self._code)
            colours = self.network.heads["rgb"](features).sigmoid()
        self._of_network.zero_grad()
        rgb_loss(colours.float(), self._target).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), self._clip)
        self._of_network.step()
        return features.detach()[0].float()

    def step_heads(self, features: Tensor, together: bool) -> None:
        """A step of the heads towards their pins and, ``together``, their mean contours; the network is not touched."""
        loss = pin_loss(self.heads, features, self._pins)
        if together:
            loss = loss + self._agreement(features)
        self._of_heads.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._of_heads.step()

    @torch.no_grad()
    def fitted(self, margin: int) -> FittedHeads:
        """What has been learnt, without a margin of so many pixels."""
        with computing(self._code):
            features = self.network.features(self._code)
        seen = features[0].float()
        right, down = differing((SHARPNESS * self.heads(seen)).softmax(0))
        strength = on_pixels(right.mean(0), down.mean(0))
        labels = (self.final(seen) - self._centre)[:, 0].argmax(0).to(torch.uint8)
        inner = (..., slice(margin, -margin), slice(margin, -margin))
        return FittedHeads(*(each[inner].cpu().numpy() for each in (strength, labels, seen)))

    def _agreement(self, features: Tensor) -> Tensor:
        """Mutual distillation of the heads, and of the final head towards them (thesis 3.3.2, 3.3.3)."""
        contours = differing((SHARPNESS * self.heads(features.to(self._code.dtype))).softmax(0))
        mean = contours[0].mean(0), contours[1].mean(0)
        logits = self.final(features)
        self._centre = next_centre(logits, self._centre, RETENTION)
        final = differing((SHARPNESS * (logits - self._centre)).softmax(0))
        return contour_loss(contours, mean) + contour_loss(final, mean)


def _connected(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Ids (H, W) from 0 on of the connected parts of equal label."""
    ids = np.zeros(labels.shape, np.int32)
    count = 0
    for label in np.unique(labels):
        found, parts = cv2.connectedComponents((labels == label).astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
        ids += np.where(parts > 0, parts - 1 + count, 0).astype(np.int32)
        count += found - 1
    return ids
