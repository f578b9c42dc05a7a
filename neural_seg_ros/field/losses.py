"""Losses as pure functions, one value an image. B images of H x W pixels, N classes; x* and S are predictions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def rgb_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Compute the reconstruction loss, thesis 2.3.1: the squared color error, averaged over the pixels.

        1 / (H W) sum_ij ||x*_ij - x_ij||^2

    predicted, target: (B, 3, H, W) in [0, 1]. Returns (B,).
    """
    return functional.mse_loss(predicted, target, reduction="none").mean((1, 2, 3)) * predicted.shape[1]


def class_loss(logits: Tensor, target: Tensor, weights: Tensor, kind: str) -> Tensor:
    """Compute the weighted cross-entropy of the class head, averaged over pixels; thesis 2.3.3 with T and M given.

        L = 1 / (H W) sum_ij H(S_ij, T_ij) M_ij

    H is ``ce``: -log softmax(logits)[T], or ``bce``, as in the papers: the sum over the classes of the binary
    cross-entropy of sigmoid(logits) with the one-hot T.

    logits: (B, N, H, W); target: (B, H, W) int64 in [0, N); weights: (B, H, W) >= 0. Returns (B,).
    """
    if kind == "ce":
        entropy = functional.cross_entropy(logits, target, reduction="none")
    else:
        # BCE with a one-hot target is sum_n softplus(z_n) - z_T: no one-hot tensor is needed.
        chosen = logits.gather(1, target[:, None])[:, 0]
        entropy = functional.softplus(logits).sum(1) - chosen
    return (entropy * weights).mean((1, 2))


def consistency_mask(weights: Tensor, consistency: float, out: Tensor) -> Tensor:
    """Return the mask M of the temporal consistency loss, thesis 2.3.3.

        M_ij = w_ij where annotated (1 for what a user drew), lambda elsewhere

    weights: float32, any shape, 0 where nothing is annotated; consistency: lambda. Writes into and returns ``out``.
    """
    out.copy_(weights)
    return out.masked_fill_(weights == 0, consistency)


def consistency_target(previous: Tensor, labels: Tensor, annotated: Tensor, out: Tensor) -> Tensor:
    """Return the target T of the temporal consistency loss, thesis 2.3.3, hardened.

        T_ij = y_ij where annotated, argmax_n S^k_ijn elsewhere

    previous: (B, N, H, W) logits of the last iteration; labels: (B, H, W) int64, read where annotated;
    annotated: (B, H, W) bool. Writes into and returns ``out`` (B, H, W) int64, without a gradient.
    """
    torch.argmax(previous.detach(), dim=1, out=out)
    return torch.where(annotated, labels, out, out=out)


def probabilities(logits: Tensor, kind: str) -> Tensor:
    """Convert logits (N, H, W), trained with the class loss of this ``kind``, to probabilities that sum to 1 over N."""
    if kind == "ce":
        return logits.softmax(0)
    scores = logits.sigmoid()
    return scores / scores.sum(0).clamp_min(1e-6)


def psnr(predicted: Tensor, target: Tensor) -> Tensor:
    """Compute the PSNR in dB, -10 log10 mean (x* - x)^2, of (B, 3, H, W) in [0, 1]. Returns a scalar."""
    return -10 * torch.log10(functional.mse_loss(predicted, target).clamp_min(1e-12))
