"""Convolutions of enlarged features, folded or not, are the ones written out."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from neural_seg_ros.config import FieldConfig
from neural_seg_ros.field import folded_conv as enlarged
from neural_seg_ros.field.batch_network import BatchNetwork
from neural_seg_ros.field.network import FieldNetwork, make_code

HEADS = {"rgb": 3, "classes": 2}


@pytest.fixture(autouse=True)
def _folded_at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enlarged, "LEAST_FOLDED", 0)


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("joins", [False, True])
@pytest.mark.parametrize("size", [(10, 14), (9, 13)], ids=["doubled", "odd"])
def test_folded_values_and_gradients_are_exact(fold: bool, groups: int, joins: bool, size: tuple[int, int]) -> None:
    draw = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=draw, dtype=torch.float64, requires_grad=True)

    x, weight, bias = random(2, groups * 4, 5, 7), random(groups * 6, 4 + 3 * joins, 3, 3), random(groups * 6)
    skip = random(2, groups * 3, *size) if joins else None
    got = enlarged.convolve_enlarged(x, skip, torch.Size(size), weight, bias, groups, fold)
    large = functional.interpolate(x, size=size, mode="nearest").unflatten(1, (groups, -1))
    parts = [large] if skip is None else [large, skip.unflatten(1, (groups, -1))]
    expected = functional.conv2d(torch.cat(parts, dim=2).flatten(1, 2), weight, bias, padding=1, groups=groups)
    assert torch.allclose(got, expected)
    given = [x, weight, bias] if skip is None else [x, weight, bias, skip]
    towards = torch.randn(expected.shape, generator=draw, dtype=torch.float64)
    for gradient, wanted in zip(
        torch.autograd.grad(got, given, towards), torch.autograd.grad(expected, given, towards), strict=True
    ):
        assert torch.allclose(gradient, wanted)


@pytest.mark.parametrize("skips", [False, True])
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_a_folded_network_says_what_the_plain_one_says(skips: bool, norm: str) -> None:
    config = FieldConfig(width=16, levels=3, octaves=3, skips=skips, norm=norm)
    code = make_code(config, 32, 48, seed=0)
    torch.manual_seed(0)
    plain = FieldNetwork(config, HEADS)
    folded = FieldNetwork(config, HEADS, fold=True)
    folded.load_state_dict(plain.state_dict())
    together = BatchNetwork([folded, folded])(code)
    for name, expected in plain(code).items():
        assert torch.allclose(folded(code)[name], expected, atol=1e-5)
        for one in together[name]:
            assert torch.allclose(one[None], expected, atol=1e-5)
