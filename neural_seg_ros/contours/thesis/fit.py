"""Contours as in the thesis, chapter 3: the agreement of many random segmentations of a field's features."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from neural_seg_ros.config import FieldConfig
from neural_seg_ros.contours.detected import Contours
from neural_seg_ros.contours.thesis.transform import (
    contour_loss,
    differing,
    differing_pairs,
    drawn,
    next_center,
    suppressed,
)
from neural_seg_ros.field.losses import rgb_loss
from neural_seg_ros.field.network import FieldNetwork, make_code
from neural_seg_ros.images.arrays import check_image, field_shape, resize_image
from neural_seg_ros.options import option, validate
from neural_seg_ros.torch_setup import choose_device, compute_dtype, computing, only_deterministic, seeded


class Heads(nn.Module):
    """N linear heads of m classes, computed as one 1x1 convolution; f_H in the thesis, f_H' with N = 1."""

    def __init__(self, features: int, heads: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, heads, features) / features**0.5)
        self.bias = nn.Parameter(torch.zeros(classes, heads))

    def forward(self, features: Tensor) -> Tensor:
        """Compute logits (m, N, H, W) of features (F, H, W), in their dtype."""
        weight, bias = self.weight.to(features.dtype), self.bias.to(features.dtype)
        logits = functional.conv2d(features[None], weight.flatten(0, 1)[..., None, None], bias.flatten())
        return logits.view(*self.bias.shape, *features.shape[1:])


def random_pins(heads: int, classes: int, pixels: int) -> Tensor:
    """Return (m, N) int64: for each head m different pixels, one a class (thesis 3.3.2)."""
    return torch.stack([torch.randperm(pixels)[:classes] for _ in range(heads)], dim=1)


def pin_loss(heads: Heads, features: Tensor, pins: Tensor) -> Tensor:
    """Compute the cross-entropy of every head at its own pins, averaged; a scalar.

    features: (F, H, W); pins: (m, N), the pixel of class c of head n.
    """
    at_pins = features.flatten(1)[:, pins]
    # The logit of class d of head n at the pin of class c.
    logits = torch.einsum("dnf,fcn->ncd", heads.weight, at_pins) + heads.bias.T[:, None]
    count, classes = logits.shape[:2]
    wanted = torch.arange(classes, device=logits.device).repeat(count)
    return functional.cross_entropy(logits.flatten(0, 1), wanted)


# The thesis's two scales: encoder levels of the networks whose contours are averaged (3.4.1).
LEVELS = (3, 4)


@dataclass(frozen=True)
class HeadsTuning:
    """Constants of the fit."""

    # Retention of the running mean of the final head's logits (3.3.4).
    retention: float = 0.2
    learning_rate: float = 1e-2
    # Octaves of the Fourier code. The thesis's mesh grid alone learns edges too slowly for a CPU; six octaves show as a
    # grid.
    octaves: int = 4
    # Factor of the logits before the softmax: heads are unsure between their pins, where 1 - sum p p is high.
    logit_scale: float = 16.0
    # Least deviation of a feature, for one that is the same everywhere.
    min_deviation: float = 1e-3
    # Pairs of neighbors sampled for a step of the distillation; all of them would take longer and add little.
    sampled_pairs: int = 1024
    # Pixels mirrored around the image, because networks draw lines along the edges of their input.
    margin_px: int = 4
    # Width of the image's border without contours: frames of scans are the strongest false contours.
    border_px: int = 3


TUNING = HeadsTuning()


@dataclass(frozen=True)
class HeadsConfig:
    """The networks and heads of ``thesis_contours``, and how they are fitted."""

    size: int = option(160, "longer side in pixels at which the networks are fitted", low=32, high=2048)
    networks: int = option(2, "networks of each number of levels, with seeds of their own", low=1, high=100)
    width: int = option(32, "filters of every convolution", low=8, high=512)
    heads: int = option(128, "segmentations that are made to agree", low=1, high=4096)
    classes: int = option(4, "classes of each: four colors suffice for any map", low=2, high=64)
    steps: int = option(300, "steps of each network", low=1, high=100_000)
    alone: int = option(
        100, "first steps of heads, in which they are pinned and do not see each other", low=0, high=100_000
    )
    together: int = option(20, "steps of heads thereafter, in which they are made to agree", low=0, high=100_000)
    seed: int = option(0, "seed of weights and pins", low=0, high=2**31 - 1)

    def __post_init__(self) -> None:
        validate(self)

    def field(self, levels: int) -> FieldConfig:
        """Return the configuration of a field with ``levels`` levels."""
        return FieldConfig(size=self.size, width=self.width, levels=levels, octaves=TUNING.octaves, skips=False)


def thesis_contours(image: NDArray[np.uint8], config: HeadsConfig | None = None, device: str = "auto") -> Contours:
    """Return the contours of an (H, W, 3) uint8 RGB image: the mean over networks of 3 and 4 levels.

    ``segments`` are the connected parts of equal class of the final head on the first of 4, whatever the threshold.
    Raises ImageError or ConfigError.
    """
    config = config or HeadsConfig()
    height, width = check_image(image).shape[:2]
    where = choose_device(device)
    small = resize_image(image, *field_shape(height, width, config.size, config.field(max(LEVELS)).least_side))
    margin = TUNING.margin_px
    window = (margin, margin, small.shape[1], small.shape[0])
    seeds = [replace(config, seed=(config.seed + number) % 2**31) for number in range(config.networks)]
    fitted = [
        fit_heads(small, seed, levels, where, shift_of(number, levels))
        for number, seed in enumerate(seeds)
        for levels in LEVELS
    ]
    strength = np.mean([drawn(each.right, each.down, window, (height, width)) for each in fitted], axis=0)
    inner = np.zeros_like(strength)
    border = TUNING.border_px
    without_border = slice(border, height - border), slice(border, width - border)
    inner[without_border] = suppressed(strength)[without_border]
    labels = fitted[len(LEVELS) - 1].labels[margin:-margin, margin:-margin]
    segments = _connected(np.asarray(cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST), np.int32))
    return Contours(strength, lambda: inner, lambda threshold: segments)


@dataclass(frozen=True)
class FittedHeads:
    """The outputs of the heads on one network for an image (h, w) with ``margin_px`` (M) mirrored pixels around it.

    right   (h + 2M, w + 2M - 1) float32 in [0, 1], the heads' mean contour between a pixel and the one to
            the right
    down    (h + 2M - 1, w + 2M), the same of the one below
    labels  (h + 2M, w + 2M) uint8, classes of the final segmentation
    """

    right: NDArray[np.float32]
    down: NDArray[np.float32]
    labels: NDArray[np.uint8]


def shift_of(number: int, levels: int) -> tuple[int, int]:
    """Return (down, right) in pixels by which the image is moved for a network with ``levels`` levels.

    The nearest-neighbor decoder draws in blocks (thesis 3.4.3), whose borders fall elsewhere for the next ``number``.
    """
    half = 2 ** (levels - 1) // 2
    return ((0, 0), (half, half), (half, 0), (0, half))[number % 4]


def fit_heads(
    image: NDArray[np.uint8], config: HeadsConfig, levels: int, device: torch.device, shift: tuple[int, int] = (0, 0)
) -> FittedHeads:
    """Fit one network and then its heads to an (h, w, 3) uint8 RGB image, at its size, moved by (down, right).

    Heads pass no gradient to the network, so they are fitted after it, on fixed features.
    """
    down, right = shift
    margin = TUNING.margin_px
    margins = (margin + down, margin, margin + right, margin)
    mirrored = np.asarray(cv2.copyMakeBorder(image, *margins, cv2.BORDER_REFLECT), np.uint8)
    heads = HeadsFit(fit_features(mirrored, config, levels, device)[:, down:, right:], config)
    for step in range(config.alone + config.together):
        heads.step(together=step >= config.alone)
    return heads.fitted()


def fit_features(image: NDArray[np.uint8], config: HeadsConfig, levels: int, device: torch.device) -> Tensor:
    """Return the features (F, h, w) float32 of a network that has learned the colors of an (h, w, 3) uint8 RGB image.

    Each feature is normalized to mean 0 and variance 1, so that heads see differences and not the common offset.
    """
    field = config.field(levels)
    target = torch.from_numpy(image).to(device).permute(2, 0, 1)[None].float() / 255
    only_deterministic(device)
    with seeded(config.seed):
        # Contours on features of half the size are too far off to be matched.
        network = FieldNetwork(field, {"rgb": 3}, first_stride=1)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    dtype = compute_dtype(field.precision, device)
    height, width = image.shape[:2]
    code = make_code(field, height, width, config.seed).to(device, dtype, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=field.learning_rate, amsgrad=True, fused=True)
    for _ in range(config.steps):
        with computing(code):
            colors = network(code)["rgb"]
        optimizer.zero_grad()
        rgb_loss(colors.float(), target).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), field.clip_norm)
        optimizer.step()
    with torch.no_grad(), computing(code):
        features = network.features(code)[0].float()
    centered = features - features.mean((1, 2), keepdim=True)
    return centered / (centered.square().mean((1, 2), keepdim=True).sqrt() + TUNING.min_deviation)


class HeadsFit:
    """The fit of heads on features (F, h, w) to their pins and each other, and of a final head to all of them."""

    def __init__(self, features: Tensor, config: HeadsConfig) -> None:
        height, width = features.shape[1:]
        self._features = features
        device = features.device
        with seeded(config.seed):
            self.heads = Heads(len(features), config.heads, config.classes).to(device)
            self.final = Heads(len(features), 1, config.classes).to(device)
            self._pins = random_pins(config.heads, config.classes, height * width).to(device)
        self._generator = torch.Generator().manual_seed(config.seed)
        self._center = torch.zeros((config.classes, 1, 1, 1), device=device)
        heads = [*self.heads.parameters(), *self.final.parameters()]
        self._optimizer = torch.optim.Adam(heads, lr=TUNING.learning_rate, amsgrad=True, fused=True)

    def step(self, together: bool) -> None:
        """Make a step of the heads towards their pins and, ``together``, their mean contours."""
        loss = pin_loss(self.heads, self._features, self._pins)
        if together:
            loss = loss + self._agreement()
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()

    @torch.no_grad()
    def fitted(self) -> FittedHeads:
        """Return the fitted heads."""
        right, down = differing((TUNING.logit_scale * self.heads(self._features)).softmax(0))
        labels = (self.final(self._features) - self._center)[:, 0].argmax(0).to(torch.uint8)
        return FittedHeads(*(each.cpu().numpy() for each in (right.mean(0), down.mean(0), labels)))

    def _agreement(self) -> Tensor:
        """Compute the mutual distillation of the heads, and of the final head to them (thesis 3.3.2, 3.3.3)."""
        ends = self._neighbors()
        contours = _between((TUNING.logit_scale * self.heads(ends)).softmax(0))
        mean = contours.mean(0)
        logits = self.final(ends)
        self._center = next_center(logits, self._center, TUNING.retention)
        return contour_loss(contours, mean) + contour_loss(
            _between((TUNING.logit_scale * (logits - self._center)).softmax(0)), mean
        )

    def _neighbors(self) -> Tensor:
        """Sample features (F, 2, sampled_pairs) of pixels, and of the pixel to the right of each or below it."""
        height, width = self._features.shape[1:]
        y, x, below = (
            torch.randint(most, (TUNING.sampled_pairs,), generator=self._generator)
            for most in (height - 1, width - 1, 2)
        )
        first = y * width + x
        second = first + torch.where(below == 1, width, 1)
        return self._features.flatten(1)[:, torch.stack([first, second]).to(self._features.device)]


def _between(probabilities: Tensor) -> Tensor:
    """Return (N, P) contours between the two pixels of each pair; probabilities (m, N, 2, P)."""
    return differing_pairs(probabilities[:, :, 0], probabilities[:, :, 1])


def _connected(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Label the connected parts of equal label: ids (H, W) from 0 on."""
    ids = np.zeros(labels.shape, np.int32)
    count = 0
    for label in np.unique(labels):
        found, parts = cv2.connectedComponents((labels == label).astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
        ids += np.where(parts > 0, parts - 1 + count, 0).astype(np.int32)
        count += found - 1
    return ids
