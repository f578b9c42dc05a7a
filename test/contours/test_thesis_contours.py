"""The thesis's contours: the transform, the heads' losses, and a whole detection on small images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from neural_seg_ros.contours.detected import Contours
from neural_seg_ros.contours.thesis.fit import (
    Heads,
    HeadsConfig,
    HeadsFit,
    fit_features,
    fit_heads,
    pin_loss,
    random_pins,
    shift_of,
    thesis_contours,
)
from neural_seg_ros.contours.thesis.transform import (
    contour_loss,
    differing,
    differing_pairs,
    drawn,
    next_center,
    suppressed,
)
from neural_seg_ros.errors import ConfigError, ImageError

SMALL = HeadsConfig(size=48, networks=1, width=16, heads=12, steps=120)
FEW_STEPS = HeadsConfig(size=48, networks=1, width=8, heads=2, steps=6, alone=3, together=3)


def two_colors(height: int = 40, width: int = 60, border: int = 24) -> NDArray[np.uint8]:
    image = np.full((height, width, 3), (40, 60, 200), np.uint8)
    image[:, border:] = (220, 160, 30)
    return image


def test_labels_give_one_on_their_borders_and_zero_elsewhere() -> None:
    labels = torch.randint(4, (9, 11), generator=torch.Generator().manual_seed(0))
    right, down = differing(functional.one_hot(labels, 4).permute(2, 0, 1).float())
    assert torch.equal(right, (labels[:, 1:] != labels[:, :-1]).float())
    assert torch.equal(down, (labels[1:] != labels[:-1]).float())


def test_two_pixels_of_two_classes() -> None:
    # Figure 3.2: p q' + p' q for probabilities p and q of the first class.
    right, down = differing(torch.tensor([[[0.9, 0.2]], [[0.1, 0.8]]]))
    assert right.item() == pytest.approx(0.9 * 0.8 + 0.1 * 0.2)
    assert down.numel() == 0


def test_classes_have_no_names() -> None:
    probabilities = torch.randn((4, 3, 7, 5), generator=torch.Generator().manual_seed(1)).softmax(0)
    permuted = probabilities[torch.tensor([2, 0, 3, 1])]
    for one, other in zip(differing(probabilities), differing(permuted), strict=True):
        torch.testing.assert_close(one, other)


def test_the_transform_has_a_gradient() -> None:
    logits = torch.randn((4, 7, 5), dtype=torch.float64, generator=torch.Generator().manual_seed(2), requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: differing(z.softmax(0)), logits)


def test_pairs_differ_as_neighbors_do() -> None:
    probabilities = torch.randn((4, 3, 7, 5), generator=torch.Generator().manual_seed(3)).softmax(0)
    right, _ = differing(probabilities)
    first, second = probabilities[..., 2, 1:3], probabilities[..., 2, 2:4]
    torch.testing.assert_close(differing_pairs(first, second), right[:, 2, 1:3])


@pytest.mark.parametrize("times", [1, 3])
def test_contours_are_drawn_between_their_pixels(times: int) -> None:
    right, down = np.zeros((20, 29), np.float32), np.zeros((19, 30), np.float32)
    right[:, 11] = 1
    # A window of 24 x 16 pixels that leaves 3 to the left and 2 above: the border of pixels 11 and 12 is 9 in.
    strength = drawn(right, down, (3, 2, 24, 16), (16 * times, 24 * times))
    assert strength.shape == (16 * times, 24 * times)
    where = (np.arange(24 * times) + 0.5) / times
    assert (strength[5] * where).sum() / strength[5].sum() == pytest.approx(9, abs=0.01)
    assert np.ptp(strength, axis=0).max() < 1e-6


def test_the_center_keeps_a_fifth_of_what_it_was() -> None:
    logits = torch.arange(24.0).view(2, 1, 3, 4)
    center = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)
    expected = 0.2 * torch.tensor([1.0, -1.0]) + 0.8 * torch.tensor([5.5, 17.5])
    torch.testing.assert_close(next_center(logits, center, 0.2).flatten(), expected)


def test_the_mean_is_a_target_and_is_not_pulled() -> None:
    contours = torch.tensor([[0.2], [0.6]], requires_grad=True)
    loss = contour_loss(contours, contours.mean(0))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(0.2)
    torch.testing.assert_close(contours.grad, torch.tensor([[-0.5], [0.5]]))


def test_heads_learn_their_pins() -> None:
    torch.manual_seed(0)
    features = torch.randn((16, 8, 9))
    heads, pins = Heads(16, 6, 4), random_pins(6, 4, 72)
    assert all(len(set(pins[:, head].tolist())) == 4 for head in range(6))
    optimizer = torch.optim.Adam(heads.parameters(), lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        pin_loss(heads, features, pins).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    chosen = heads(features).argmax(0).flatten(1)
    assert torch.equal(chosen.gather(1, pins.T), torch.arange(4).repeat(6, 1))


def test_features_are_as_large_as_the_image_and_alike_in_scale() -> None:
    image = two_colors(37, 50)
    features = fit_features(image, FEW_STEPS, 3, torch.device("cpu"))
    assert features.shape == (8, 37, 50)
    assert not features.requires_grad
    torch.testing.assert_close(features.mean((1, 2)), torch.zeros(8), atol=1e-4, rtol=0)
    assert features.std((1, 2)).max() < 1.01
    # Not upsampled: neighbors differ within every block of two.
    assert (features[..., 1::2] - features[..., ::2]).abs().mean() > 0.2 * features.diff(dim=-1).abs().mean()


def test_heads_learn_to_agree_and_the_final_one_learns_them() -> None:
    torch.manual_seed(0)
    fit = HeadsFit(torch.randn((8, 12, 15)), SMALL)
    before = [parameter.clone() for parameter in fit.final.parameters()]
    fit.step(together=False)
    assert all(torch.equal(*pair) for pair in zip(before, fit.final.parameters(), strict=True))

    def apart() -> float:
        right, down = differing((16 * fit.heads(fit._features)).softmax(0))
        return sum((each - each.mean(0)).abs().mean().item() for each in (right, down))

    first = apart()
    for _ in range(60):
        fit.step(together=True)
    assert apart() < 0.95 * first
    assert not any(torch.equal(*pair) for pair in zip(before, fit.final.parameters(), strict=True))


def test_ridges_are_a_pixel_wide() -> None:
    x = np.arange(40, dtype=np.float32)
    ridge = np.exp(-((x - 19) ** 2) / 18)[None].repeat(30, 0).astype(np.float32)
    thin = suppressed(ridge)
    assert np.array_equal(np.flatnonzero(thin[15]), [19])
    assert thin[15, 19] == 1


@pytest.fixture(scope="module")
def found() -> Contours:
    return thesis_contours(two_colors(), SMALL, "cpu")


def test_two_colors_have_a_border(found: Contours) -> None:
    assert found.strength.shape == found.thin.shape == (40, 60)
    assert found.strength.dtype == found.thin.dtype == np.float32
    assert found.strength.min() >= 0
    assert found.strength.max() <= 1
    assert np.all(np.abs(found.thin[5:-5].argmax(1) - 23.5) <= 2)
    on_border = found.strength[5:-5, 22:26].max(1).mean()
    assert on_border > 2 * found.strength[5:-5, 35:50].mean()


def test_segments_are_connected_parts(found: Contours) -> None:
    assert found.segments is not None
    segments = found.segments(0.5)
    assert segments.shape == (40, 60)
    assert segments.dtype == np.int32
    assert np.array_equal(np.unique(segments), np.arange(segments.max() + 1))
    assert segments.max() >= 1


def test_the_same_seed_gives_the_same() -> None:
    once, again = (thesis_contours(two_colors(), FEW_STEPS, "cpu") for _ in range(2))
    other = thesis_contours(two_colors(), replace(FEW_STEPS, seed=1), "cpu")
    assert np.array_equal(once.strength, again.strength)
    assert not np.array_equal(once.strength, other.strength)


def test_more_networks_are_averaged() -> None:
    one, both = (thesis_contours(two_colors(), replace(FEW_STEPS, networks=n), "cpu").strength for n in (1, 2))
    other = 2 * both - one
    assert not np.allclose(other, one)
    assert other.min() > -1e-6
    assert other.max() < 1 + 1e-6


def test_contours_of_an_image_that_is_moved_are_where_they_were() -> None:
    shifts = [shift_of(number, 4) for number in range(5)]
    assert shifts == [(0, 0), (4, 4), (4, 0), (0, 4), (0, 0)]
    for shift in shifts[:2]:
        fitted = fit_heads(two_colors(), SMALL, 3, torch.device("cpu"), shift)
        # Four mirrored pixels on every side.
        assert fitted.right.shape == (48, 67)
        assert fitted.down.shape == (47, 68)
        assert abs(fitted.right[8:-8, 10:-10].mean(0).argmax() + 10 - (4 + 23)) <= 1


@pytest.mark.parametrize("shape", [(8, 8), (9, 200), (37, 53)])
def test_any_size(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3)).astype(np.uint8)
    found = thesis_contours(image, FEW_STEPS, "cpu")
    assert found.strength.shape == found.thin.shape == shape


def test_bad_input_is_named() -> None:
    with pytest.raises(ImageError, match="image dtype"):
        thesis_contours(np.zeros((20, 20, 3), np.float32))
    with pytest.raises(ConfigError, match="heads: got 0"):
        HeadsConfig(heads=0)
