"""The network of the tracker, its optimizer, and its weights averaged over the last steps."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from neural_seg_ros.torch_setup import compute_dtype, only_deterministic, seeded
from neural_seg_ros.tracking.training_samples import Sample

COLORS = 3


class Block(nn.Module):
    """Convolution, group normalization, ReLU; zero padding."""

    def __init__(self, channels: int, width: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, width, kernel, stride, dilation * (kernel // 2), dilation)
        self.norm = nn.GroupNorm(4, width)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.norm(self.convolution(x)))


class TrackNetwork(nn.Module):
    """(B, 3 + C, h, w) to logits (B, C, h, w): Lab color and the moved answer in, h and w multiples of 4."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.at_1 = Block(COLORS + classes, 16, 5)
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


# Weight of the Dice loss beside the cross entropy.
DICE = 0.5
# Initial logit of a class that is added later.
UNSEEN_LOGIT = -4.0
MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class Learner:
    """Adam on one network, and the running mean of its weights, which answers.

    The same calls give the same weights on one device; classes are added without touching what the others have learned.
    """

    def __init__(self, device: torch.device, seed: int, precision: str) -> None:
        self.device, self.seed, self.classes = device, seed, 0
        self._bfloat16 = compute_dtype(precision, device) == torch.bfloat16
        only_deterministic(device)
        self._build(0)

    def grow(self, classes: int) -> None:
        """Have ``classes`` channels, at least as many as before."""
        if classes == self.classes:
            return
        before = self.snapshot() if self.classes else {}
        self._build(classes)
        after = self.snapshot()
        for name, old in before.items():
            new = after[name]
            if old.ndim and old.shape != new.shape:
                if name.endswith(("classes.bias",)):
                    new.fill_(0 if name.startswith("exp") else UNSEEN_LOGIT)
                new[tuple(slice(size) for size in old.shape)] = old
            else:
                after[name] = old
        self.restore(after)

    def step(self, samples: Sequence[Sample], rate: float, keep: float, background_channel: int) -> None:
        """Make one step of size ``rate``; the averaged network keeps ``keep`` of its old value."""
        inputs = self._tensor(np.stack([sample.inputs for sample in samples]))
        labels = self._tensor(np.stack([sample.labels for sample in samples]))
        weights = self._tensor(np.stack([sample.weights for sample in samples]))
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad()
        with self._computing():
            logits = self._network(inputs)
        loss = objective(logits.float(), labels, weights, background_channel)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        with torch.no_grad():
            for mean, parameter in zip(self._answering.parameters(), self._network.parameters(), strict=True):
                mean.lerp_(parameter, 1 - keep)

    @torch.no_grad()
    def answer(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute logits (B, C, h, w) of inputs (B, 3 + C, h, w)."""
        with self._computing():
            logits: Tensor = self._answering(self._tensor(inputs))
        return np.asarray(logits.float().cpu().numpy())

    # -- state ---------------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Tensor]:
        """Copy weights, their average and Adam's moments to the CPU."""
        state = {f"mean.{name}": mean.detach() for name, mean in self._answering.named_parameters()}
        for name, parameter in self._network.named_parameters():
            state[f"weight.{name}"] = parameter.detach()
            saved = self._optimizer.state[parameter]
            state.update({f"{key}.{name}": saved[key] for key in MOMENTS})
        return {name: tensor.cpu().clone() for name, tensor in state.items()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """Return to the state of ``snapshot()``."""
        weight = snapshot.get("weight.classes.weight")
        if weight is None:
            self._build(0)
            return
        self._build(len(weight))
        means = dict(self._answering.named_parameters())
        with torch.no_grad():
            for name, parameter in self._network.named_parameters():
                parameter.copy_(snapshot[f"weight.{name}"])
                means[name].copy_(snapshot[f"mean.{name}"])
                for key in MOMENTS:
                    self._optimizer.state[parameter][key].copy_(snapshot[f"{key}.{name}"])

    # -- inside --------------------------------------------------------------------------------------------------------

    def _build(self, classes: int) -> None:
        self.classes = classes
        with seeded(self.seed):
            self._network = TrackNetwork(max(classes, 1)).to(self.device)
        self._optimizer = torch.optim.Adam(self._network.parameters())
        for parameter in self._network.parameters():
            zeros = {"exp_avg": torch.zeros_like(parameter), "exp_avg_sq": torch.zeros_like(parameter)}
            self._optimizer.state[parameter] = {"step": torch.tensor(0.0), **zeros}
        # Its weights are the mean of the other's: one thread may train while another answers.
        self._answering = copy.deepcopy(self._network).requires_grad_(False)

    def _tensor(self, values: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(values).to(self.device)

    def _computing(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, self._bfloat16)


def objective(logits: Tensor, labels: Tensor, weights: Tensor, background_channel: int) -> Tensor:
    """Compute weighted cross entropy + DICE (1 - soft Dice), Dice of every class except the background channel.

    logits (B, C, h, w); labels (B, h, w) int64; weights (B, h, w) float32 at least 0.
    """
    log = functional.log_softmax(logits, 1)
    truth = functional.one_hot(labels, logits.shape[1]).permute(0, 3, 1, 2).float() * weights[:, None]
    entropy = -(truth * log).sum() / weights.sum().clamp(min=1)
    probabilities = log.exp() * weights[:, None]
    both, either = (probabilities * truth).sum((2, 3)), (probabilities + truth).sum((2, 3))
    missed = 1 - (2 * both + 1) / (either + 1)
    there = truth.sum((2, 3)) > 0
    there[:, background_channel] = False
    return entropy + DICE * (missed * there).sum() / there.sum().clamp(min=1)
