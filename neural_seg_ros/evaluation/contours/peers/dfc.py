"""A network fitted to one image that makes its own classes (Kim, Kanezaki, Tanaka: Unsupervised learning of image
segmentation based on differentiable feature clustering, TIP 2020).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from neural_seg_ros.contours.detected import Contours
from neural_seg_ros.evaluation.contours.peers.segmentation import contours_of, pieces_of
from neural_seg_ros.images.arrays import field_shape, resize_image

# The paper has 100 channels, full size and up to 1000 steps; these are what one core can do in some seconds.
CHANNELS = 50
LONGER_SIDE = 240
STEPS = 60
FEWEST = 3
CONTINUITY = 1.0
LEAST = 300


def dfc(image: NDArray[np.uint8]) -> Contours:
    """Segment by classes that a network is sure of and that change little from pixel to pixel."""
    torch.manual_seed(0)
    height, width = image.shape[:2]
    small = resize_image(image, *field_shape(height, width, LONGER_SIDE, least=1))
    pixels = torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255
    network = nn.Sequential(*_block(3, 3), *_block(CHANNELS, 3), *_block(CHANNELS, 1)[:2])
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for _ in range(STEPS):
        scores = network(pixels)
        classes = scores.argmax(1)
        if len(classes.unique()) <= FEWEST:
            break
        changes = [scores.diff(dim=axis).abs().mean() for axis in (2, 3)]
        loss = functional.cross_entropy(scores, classes) + CONTINUITY * (changes[0] + changes[1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    full = functional.interpolate(scores.detach(), (height, width), mode="bilinear")
    return contours_of(pieces_of(full[0].argmax(0).numpy(), LEAST))


def _block(channels: int, side: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, CHANNELS, side, padding=side // 2), nn.BatchNorm2d(CHANNELS), nn.ReLU()]
