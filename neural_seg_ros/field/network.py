"""The network of thesis 2.3.4: a strided encoder, a nearest-upsampling decoder and 3x3 convolutional heads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from neural_seg_ros.config import FieldConfig
from neural_seg_ros.field.folded_conv import convolve_enlarged, joined


def xy_code(height: int, width: int) -> Tensor:
    """Build the mesh grid of pixel centers, thesis 2.3.4.

    Returns (1, 2, height, width) float32: channel 0 is x, channel 1 is y. The longer side spans (-1, 1), the shorter
    one proportionally less, so that one pixel is the same step in both directions.
    """
    longer = max(height, width)
    y = (torch.arange(height, dtype=torch.float32) * 2 + 1 - height) / longer
    x = (torch.arange(width, dtype=torch.float32) * 2 + 1 - width) / longer
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)])[None]


def fourier_code(height: int, width: int, octaves: int) -> Tensor:
    """Return the mesh grid and its sines and cosines at octave frequencies pi, 2 pi, ... 2^(octaves - 1) pi.

    Returns (1, 2 + 4 octaves, height, width) float32 in [-1, 1], in the order x, y, then per octave
    sin x, sin y, cos x, cos y. (Tancik et al. 2020, axis-aligned.)
    """
    grid = xy_code(height, width)
    channels = [grid]
    for octave in range(octaves):
        phase = grid * (math.pi * 2**octave)
        channels += [phase.sin(), phase.cos()]
    return torch.cat(channels, dim=1)


def noise_code(height: int, width: int, channels: int, seed: int) -> Tensor:
    """Draw uniform noise in [-0.5, 0.5): (1, channels, height, width) float32, fixed by seed and size."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((1, channels, height, width), generator=generator) - 0.5


def make_code(config: FieldConfig, height: int, width: int, seed: int) -> Tensor:
    """Return the code that a configuration names, (1, code_channels(config), height, width) float32."""
    if config.code == "xy":
        return xy_code(height, width)
    if config.code == "fourier":
        return fourier_code(height, width, config.octaves)
    return noise_code(height, width, config.noise_channels, seed)


def code_channels(config: FieldConfig) -> int:
    """Count the channels of the code that a configuration names."""
    return {"xy": 2, "fourier": 2 + 4 * config.octaves, "noise": config.noise_channels}[config.code]


LEAK = 0.01


class Block(nn.Module):
    """3x3 convolution, normalization, LeakyReLU: (B, C, H, W) to (B, width, ceil(H / stride), ceil(W / stride)).

    fold: how ``enlarged`` is computed, see ``convolve_enlarged``
    """

    def __init__(self, channels: int, width: int, stride: int, norm: str, fold: bool = False) -> None:
        super().__init__()
        self.fold = fold
        self.convolution = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=norm == "none")
        self.norm = _norm(norm, width)

    def forward(self, x: Tensor) -> Tensor:
        return self._activated(self.convolution(x))

    def enlarged(self, x: Tensor, skip: Tensor | None, size: torch.Size) -> Tensor:
        """Apply the block to x enlarged and joined with ``skip`` (H, W)."""
        of = self.convolution
        return self._activated(convolve_enlarged(x, skip, size, of.weight, of.bias, fold=self.fold))

    def _activated(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(self.norm(x), LEAK)


class FieldNetwork(nn.Module):
    """Encoder-decoder from a code to features, with named heads on them.

    Encoder: ``levels`` blocks of stride 2. Decoder: ``levels - 1`` blocks, each after nearest upsampling to the size of
    the encoder level it returns to, optionally joined with that level's features (skips). The heads see the features
    upsampled once more to the size of the code, where with skips the code itself is joined again, so any input size
    works, not only multiples of 2^levels.

    heads: ``{name: output channels}``; ``rgb`` (3) and ``classes`` are those the engine uses.
    first_stride: 1 for features that are not upsampled before the heads see them, at four times the time
    fold: compute the same with fewer products, see ``convolve_enlarged``
    """

    def __init__(
        self, config: FieldConfig, heads: Mapping[str, int], first_stride: int = 2, fold: bool = False
    ) -> None:
        super().__init__()
        self.fold = fold
        code, width = code_channels(config), config.width
        self.skips = config.skips
        into = 2 * width if config.skips else width
        self.encoder = nn.ModuleList(
            Block(code if level == 0 else width, width, 2 if level else first_stride, config.norm)
            for level in range(config.levels)
        )
        self.decoder = nn.ModuleList(Block(into, width, 1, config.norm, fold) for _ in range(config.levels - 1))
        self.feature_channels = width + code if config.skips else width
        self.heads = nn.ModuleDict({name: head(self.feature_channels, out) for name, out in heads.items()})

    def features(self, code: Tensor) -> Tensor:
        """Compute the features (B, feature_channels, H, W) that the heads get, of (B, code channels, H, W)."""
        x = functional.interpolate(decoded(self, code), size=code.shape[-2:], mode="nearest")
        return joined(x, code) if self.skips else x

    def forward(self, code: Tensor) -> dict[str, Tensor]:
        """Compute ``{head: (B, channels, H, W)}``: RGB in [0, 1] after a sigmoid, other heads as logits."""
        # One convolution for all heads: each alone has too few channels to fill a processor.
        heads = cast(list[nn.Conv2d], list(self.heads.values()))
        weight, bias = (
            torch.cat([each.weight for each in heads]),
            torch.cat([cast(Tensor, each.bias) for each in heads]),
        )
        skip = code if self.skips else None
        outputs = convolve_enlarged(decoded(self, code), skip, code.shape[-2:], weight, bias, fold=self.fold)
        split = torch.split(outputs, [each.out_channels for each in heads], dim=1)
        by_head = dict(zip(self.heads, split, strict=True))
        by_head["rgb"] = by_head["rgb"].sigmoid()
        return by_head


class EncoderDecoder(Protocol):
    """The parts that ``decoded`` runs through: blocks like ``Block``, with or without skips."""

    skips: bool

    @property
    def encoder(self) -> Iterable[Callable[[Tensor], Tensor]]: ...

    @property
    def decoder(self) -> Iterable[Any]: ...


def decoded(network: EncoderDecoder, code: Tensor) -> Tensor:
    """Run encoder and decoder; the size of the first level is the code's divided by its stride."""
    encoded: list[Tensor] = []
    x = code
    for block in network.encoder:
        x = block(x)
        encoded.append(x)
    for grow, skip in zip(network.decoder, reversed(encoded[:-1]), strict=True):
        x = grow.enlarged(x, skip if network.skips else None, skip.shape[-2:])
    return x


def head(channels: int, outputs: int) -> nn.Conv2d:
    """Make a 3x3 convolutional head."""
    return nn.Conv2d(channels, outputs, 3, padding=1)


def _norm(name: str, width: int) -> nn.Module:
    if name == "batch":
        # One image is the whole data set: its own statistics are the right ones, so none are tracked.
        return nn.BatchNorm2d(width, track_running_stats=False)
    if name == "group":
        return nn.GroupNorm(math.gcd(8, width), width)
    return nn.Identity()
