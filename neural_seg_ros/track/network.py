"""The network that finds the annotated classes again: a frame and the answer moved to it in, an answer out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

COLOURS = 3


class Block(nn.Module):
    """Convolution, group normalisation, ReLU; zero padding."""

    def __init__(self, channels: int, width: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, width, kernel, stride, dilation * (kernel // 2), dilation)
        self.norm = nn.GroupNorm(4, width)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.norm(self.convolution(x)))


class TrackNetwork(nn.Module):
    """(B, 3 + C, h, w) to logits (B, C, h, w): Lab colour and the moved answer in, h and w multiples of 4."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.at_1 = Block(COLOURS + classes, 16, 5)
        self.at_2 = Block(16, 32, stride=2)
        self.at_4 = Block(32, 48, stride=2)
        self.context = nn.ModuleList(
            nn.Sequential(Block(48, 48, dilation=d), Block(48, 48, dilation=d)) for d in (2, 4)
        )
        self.up_2 = Block(48 + 32, 32)
        self.up_1 = Block(32 + 16, 16)
        self.classes = nn.Conv2d(16, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        full = self.at_1(x)
        half = self.at_2(full)
        low = self.at_4(half)
        for block in self.context:
            low = low + block(low)
        up = self.up_2(torch.cat([functional.interpolate(low, scale_factor=2.0), half], 1))
        up = self.up_1(torch.cat([functional.interpolate(up, scale_factor=2.0), full], 1))
        logits: Tensor = self.classes(up)
        return logits
