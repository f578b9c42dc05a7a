"""Input codes: the fixed tensor z that the field maps to RGB and class scores (thesis 2.3.1)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from neural_seg_ros.config import FieldConfig


def xy_code(height: int, width: int) -> Tensor:
    """Mesh grid of pixel centres, thesis 2.3.4.

    Returns (1, 2, height, width) float32: channel 0 is x, channel 1 is y. The longer side spans (-1, 1), the shorter
    one proportionally less, so that one pixel is the same step in both directions.
    """
    longer = max(height, width)
    y = (torch.arange(height, dtype=torch.float32) * 2 + 1 - height) / longer
    x = (torch.arange(width, dtype=torch.float32) * 2 + 1 - width) / longer
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)])[None]


def fourier_code(height: int, width: int, octaves: int) -> Tensor:
    """The mesh grid and its sines and cosines at octave frequencies pi, 2 pi, ... 2^(octaves - 1) pi.

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
    """Uniform noise in [-0.5, 0.5): (1, channels, height, width) float32, the same for the same seed and size."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((1, channels, height, width), generator=generator) - 0.5


def make_code(config: FieldConfig, height: int, width: int, seed: int) -> Tensor:
    """The code that a configuration names, (1, code_channels(config), height, width) float32."""
    if config.code == "xy":
        return xy_code(height, width)
    if config.code == "fourier":
        return fourier_code(height, width, config.octaves)
    return noise_code(height, width, config.noise_channels, seed)


def code_channels(config: FieldConfig) -> int:
    """Channels of the code that a configuration names."""
    return {"xy": 2, "fourier": 2 + 4 * config.octaves, "noise": config.noise_channels}[config.code]
