"""The networks of several fields computed as one: the images of a folder, or the cameras of a robot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from neural_seg_ros.field.folded_conv import convolve_enlarged
from neural_seg_ros.field.network import LEAK, Block, FieldNetwork, decoded


class BatchNetwork:
    """Networks of one configuration side by side in the channels, as groups of convolutions.

    It has no parameters of its own: those of the networks are joined in every pass, and get the gradients.
    """

    def __init__(self, networks: Sequence[FieldNetwork]) -> None:
        """Join networks of one configuration; their heads may have different numbers of classes."""
        self._networks = networks
        self._count = len(networks)
        self.skips, self._fold = networks[0].skips, networks[0].fold
        # All see the same code: the first is one convolution with more filters.
        self.encoder = [
            Blocks(blocks, one_input=level == 0)
            for level, blocks in enumerate(zip(*(network.encoder for network in networks), strict=True))
        ]
        self.decoder = [Blocks(blocks) for blocks in zip(*(network.decoder for network in networks), strict=True)]

    def __call__(self, code: Tensor) -> dict[str, Tensor]:
        """Compute ``{head: (count, channels, H, W)}`` of a code (1, C, H, W), with the largest number of channels."""
        heads = [cast(Mapping[str, nn.Conv2d], network.heads) for network in self._networks]
        channels = {name: max(each[name].out_channels for each in heads) for name in heads[0]}
        # One convolution for all heads, as in FieldNetwork.
        weight, bias = (
            torch.cat(
                [_with_rows(getattr(each[name], part), rows) for each in heads for name, rows in channels.items()]
            )
            for part in ("weight", "bias")
        )
        skip = self._of_all(code) if self.skips else None
        outputs = self._by_field(
            convolve_enlarged(decoded(self, code), skip, code.shape[-2:], weight, bias, self._count, self._fold)
        )[0]
        split = outputs.split(list(channels.values()), dim=1)  # type: ignore[no-untyped-call]
        by_head = dict(zip(channels, split, strict=True))
        by_head["rgb"] = by_head["rgb"].sigmoid()
        return by_head

    def _of_all(self, code: Tensor) -> Tensor:
        """Return (1, C, H, W) to (1, count * C, H, W): the same for each field."""
        return code.repeat(1, self._count, 1, 1).contiguous(memory_format=torch.channels_last)

    def _by_field(self, x: Tensor) -> Tensor:
        return torch.unflatten(x, 1, (self._count, -1))


class Blocks:
    """A block of each of several networks, on (1, count * C, H, W), or on one input (1, C, H, W) that all see."""

    def __init__(self, blocks: Sequence[Block], one_input: bool = False) -> None:
        self._blocks = blocks
        self._groups = 1 if one_input else len(blocks)

    def __call__(self, x: Tensor) -> Tensor:
        weight, bias = self._joined_parameters()
        stride = self._blocks[0].convolution.stride
        x = functional.conv2d(x, weight, bias, stride, padding=1, groups=self._groups)
        return functional.leaky_relu(self._normalized(x), LEAK)

    def enlarged(self, x: Tensor, skip: Tensor | None, size: torch.Size) -> Tensor:
        weight, bias = self._joined_parameters()
        x = convolve_enlarged(x, skip, size, weight, bias, self._groups, self._blocks[0].fold)
        return functional.leaky_relu(self._normalized(x), LEAK)

    def _joined_parameters(self) -> tuple[Tensor, Tensor | None]:
        """Join weight and bias of the convolutions of all networks."""
        convolutions = [block.convolution for block in self._blocks]
        return _cat(convolutions, "weight"), None if convolutions[0].bias is None else _cat(convolutions, "bias")

    def _normalized(self, x: Tensor) -> Tensor:
        norms = [block.norm for block in self._blocks]
        one = norms[0]
        if isinstance(one, nn.Identity):
            return x
        weight, bias = _cat(norms, "weight"), _cat(norms, "bias")
        if isinstance(one, nn.GroupNorm):
            return functional.group_norm(x, len(norms) * one.num_groups, weight, bias, one.eps)
        return functional.batch_norm(x, None, None, weight, bias, training=True, eps=one.eps)  # type: ignore[arg-type]


def _cat(modules: Sequence[nn.Module], name: str) -> Tensor:
    """Join a parameter of all networks, field after field."""
    return torch.cat([getattr(module, name) for module in modules])


def _with_rows(tensor: Tensor, rows: int) -> Tensor:
    """Return (K, ...) to (rows, ...), with zeros below."""
    missing = rows - len(tensor)
    return functional.pad(tensor, (0, 0) * (tensor.ndim - 1) + (0, missing)) if missing else tensor
