"""3x3 convolutions of features that are enlarged first (nearest neighbor) and joined with others, as decoders have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# With fewer pixels before the enlargement, preparing the taps takes longer than they save.
LEAST_FOLDED = 1500


def convolve_enlarged(
    x: Tensor,
    skip: Tensor | None,
    size: torch.Size,
    weight: Tensor,
    bias: Tensor | None,
    groups: int = 1,
    fold: bool = False,
) -> Tensor:
    """Compute ``conv2d(join(enlarge(x), skip), weight, bias, padding=1)``: (B, groups * O, H, W).

    x: (B, groups * C, h, w); size: (H, W); weight: (groups * O, C + D, 3, 3)
    skip: (B, groups * D, H, W), or None with D = 0
    fold: where the size is doubled, and large enough, do not enlarge. All pixels of a 2x2 block see the same 2x2
        pixels of x, or of its border, each through sums of taps that are its own: four convolutions with 2x2 taps at
        the small size in place of one with 3x3 at the large one, 16 products for 36. The same sums in another order.
    """
    height, width = x.shape[-2:]
    if not fold or height * width < LEAST_FOLDED or (size[0], size[1]) != (2 * height, 2 * width):
        x = functional.interpolate(x, size=size[-2:], mode="nearest")
        x = x if skip is None else joined(x, skip, groups)
        return functional.conv2d(x, weight, bias, padding=1, groups=groups)
    channels = x.shape[1] // groups
    small = functional.conv2d(x, _taps_of_blocks(weight[:, :channels], groups), padding=1, groups=groups)
    convolved: Tensor = _Woven.apply(small, groups)  # type: ignore[no-untyped-call]
    if skip is None:
        return convolved if bias is None else convolved + bias[:, None, None]
    return convolved + functional.conv2d(skip, weight[:, channels:], bias, padding=1, groups=groups)


def joined(x: Tensor, skip: Tensor, groups: int = 1) -> Tensor:
    """Join each group's channels, as above: (B, groups * (C + D), H, W)."""
    if groups == 1:
        return torch.cat([x, skip], dim=1)
    of_x, of_skip = (torch.unflatten(part, 1, (groups, -1)) for part in (x, skip))
    # Channels last in memory, as the convolutions need them, so that nothing is copied twice.
    parts = [part.permute(0, 3, 4, 1, 2) for part in (of_x, of_skip)]
    return torch.cat(parts, dim=4).flatten(3).permute(0, 3, 1, 2)


def _taps_of_blocks(weight: Tensor, groups: int) -> Tensor:
    """Return (groups * O, C, 3, 3) to (groups * 4 * O, C, 2, 2): the taps of each pixel of a 2x2 block, row by row."""
    for dim in (2, 3):
        before, middle, after = weight.unbind(dim)
        # The first pixel of two sees the one before, and itself twice; the second itself twice, and the one after.
        weight = torch.stack([before, middle + after, before + middle, after], dim)
    taps = weight.reshape(groups, -1, weight.shape[1], 2, 2, 2, 2)
    return taps.permute(0, 3, 5, 1, 2, 4, 6).flatten(0, 3)


class _Woven(torch.autograd.Function):
    """The pixels of 2x2 blocks, (B, groups * 4 * O, h + 1, w + 1) of a padded convolution, to (B, groups * O, 2h, 2w).

    torch's own slices would fill a whole gradient with zeros for each.
    """

    @staticmethod
    def forward(context: Any, small: Tensor, groups: int) -> Tensor:
        batch, channels, height, width = small.shape
        context.groups = groups
        woven = _empty((batch, channels // 4, 2 * (height - 1), 2 * (width - 1)), small)
        for of_small, of_woven in _pixels_of_blocks(small, woven, groups):
            of_woven.copy_(of_small)
        return woven

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        batch, channels, height, width = gradient.shape
        small = _empty((batch, 4 * channels, height // 2 + 1, width // 2 + 1), gradient).zero_()
        for of_small, of_gradient in _pixels_of_blocks(small, gradient, context.groups):
            of_small.copy_(of_gradient)
        return small, None


def _empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


def _pixels_of_blocks(small: Tensor, woven: Tensor, groups: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield views (B, groups, O, h, w) of both for each pixel of the blocks."""
    height, width = small.shape[2] - 1, small.shape[3] - 1
    by_pixel, by_group = torch.unflatten(small, 1, (groups, 2, 2, -1)), torch.unflatten(woven, 1, (groups, -1))
    for row in (0, 1):
        for column in (0, 1):
            of_small = by_pixel[:, :, row, column, :, row : row + height, column : column + width]
            yield of_small, by_group[..., row::2, column::2]
