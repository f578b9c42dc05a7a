"""Several fields of one size fitted together: the images of a folder, or the cameras of a robot."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.nn import functional

from neural_seg_ros.config import FieldConfig
from neural_seg_ros.errors import ConfigError
from neural_seg_ros.field.buffers import CLOSED, Buffers
from neural_seg_ros.field.codes import make_code
from neural_seg_ros.field.engine import FIRST_CLASSES, UNSEEN_LOGIT, Engine, Losses, losses_of
from neural_seg_ros.field.losses import class_loss, consistency_target, probabilities, rgb_loss
from neural_seg_ros.field.network import FieldNetwork, decoded
from neural_seg_ros.field.precision import compute_dtype
from neural_seg_ros.field.steps import Step, amsgrad, make_steps, outputs_of


class BatchNetwork(nn.Module):
    """``count`` copies of a field's network side by side in the channels, as groups of its convolutions.

    Parameters are stacked along their first dimension, field after field.
    """

    def __init__(self, network: FieldNetwork, count: int) -> None:
        """network: what each field begins with; its modules are taken over."""
        super().__init__()
        self.count = count
        self.skips = network.skips
        self.encoder, self.decoder, self.heads = network.encoder, network.decoder, network.heads
        _repeat(self, count)
        # All fields see the same code: one convolution with more filters.
        self.encoder[0].convolution.groups = 1  # type: ignore[union-attr]

    def forward(self, code: Tensor) -> dict[str, Tensor]:
        """(1, C, H, W) to ``{head: (count, channels, H, W)}``, as FieldNetwork's."""
        features = self._features(code)
        # One convolution for all heads, as in FieldNetwork.
        stacked = [dict(head.named_parameters()) for head in self.heads.values()]
        weight, bias = (
            torch.cat([torch.unflatten(head[name], 0, (self.count, -1)) for head in stacked], dim=1).flatten(0, 1)
            for name in ("weight", "bias")
        )
        said = self._by_field(functional.conv2d(features, weight, bias, padding=1, groups=self.count))[0]
        channels = [len(head["bias"]) // self.count for head in stacked]
        outputs = dict(zip(self.heads, said.split(channels, dim=1), strict=True))  # type: ignore[no-untyped-call]
        outputs["rgb"] = outputs["rgb"].sigmoid()
        return outputs

    def parts(self, field: int) -> list[Tensor]:
        """A field's own part of every parameter with a gradient, and that part of it; both are views."""
        parts = []
        for parameter in self.parameters():
            if parameter.grad is not None:
                part = parameter.detach().chunk(self.count)[field]
                part.grad = parameter.grad.chunk(self.count)[field]
                parts.append(part)
        return parts

    def _features(self, code: Tensor) -> Tensor:
        """(1, C, H, W) to (1, count * F, H, W)."""
        x = decoded(self, code, lambda x, skip: self._joined(x, self._by_field(skip)))
        if not self.skips:
            return x
        return self._joined(x, code[:, None].expand(-1, self.count, -1, -1, -1))

    def _joined(self, x: Tensor, skip: Tensor) -> Tensor:
        """Join each field's channels: (1, count * C, H, W) and (1, count, D, H, W) to (1, count * (C + D), H, W)."""
        # With the channels last in memory, where the convolutions want them: nothing is copied twice.
        parts = [part.permute(0, 3, 4, 1, 2) for part in (self._by_field(x), skip)]
        return torch.cat(parts, dim=4).flatten(3).permute(0, 3, 1, 2)

    def _by_field(self, x: Tensor) -> Tensor:
        return torch.unflatten(x, 1, (self.count, -1))


@dataclass(frozen=True)
class BatchStep(Step):
    """A step of every field; each has the gradient, and the clipping, that it would have alone.

    The buffers have a field for each image, all on one code.
    """

    network: BatchNetwork

    def __call__(self, with_classes: bool) -> None:
        """Make it. Nothing in it waits for the device."""
        of, config = self.buffers, self.config
        outputs = outputs_of(self.network, of.code)
        # Each loss is a mean over the images it gets, so each field is given as a batch of one.
        total = reconstruction = vmap(rgb_loss)(outputs["rgb"][:, None], of.rgb[:, None])
        if with_classes:
            logits = outputs["classes"] + of.closed
            entropy = vmap(partial(class_loss, kind=config.class_loss))
            total = total + config.class_weight * entropy(logits[:, None], of.target[:, None], of.mask[:, None])
        self.optimiser.zero_grad(set_to_none=True)
        total.sum().backward()  # type: ignore[no-untyped-call]
        if not with_classes:
            self.leave_classes()
        for field in range(self.network.count):
            nn.utils.clip_grad_norm_(self.network.parts(field), config.clip_norm)
        self.optimiser.step()
        if with_classes:
            consistency_target(logits, of.labels, of.annotated, out=of.target)
        of.total.copy_(total.detach())
        of.squared_error.copy_(reconstruction.detach())


class EngineBatch:
    """Fits ``count`` independent fields of one size; each is what ``Engine`` with the same arguments would be.

    All fields begin with the same weights and see the same code, so an image is fitted as it would be alone, wherever
    in the batch it is. Steps are made for all of them. One thing is shared: AMSGrad counts the steps of the class heads
    from the first class of any field.
    """

    def __init__(
        self, config: FieldConfig, count: int, height: int, width: int, device: torch.device, seed: int = 0
    ) -> None:
        """Raises ConfigError."""
        if count < 1:
            raise ConfigError(f"count: got {count}, accepted: at least 1")
        self.config = config
        self.count = count
        self.shape = (height, width)
        self.device = device
        self.steps = 0
        self.class_counts = [0] * count
        network = BatchNetwork(Engine(config, height, width, device, seed).network, count)
        # torch's own types do not know this keyword.
        self.network: BatchNetwork = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = amsgrad(self.network, config, captured=device.type == "cuda")
        code = make_code(config, height, width, seed).to(device, compute_dtype(config.precision, device))
        self._buffers = Buffers.empty(code, count, FIRST_CLASSES)
        self._steps = make_steps(device)
        self._previous_is_known = [False] * count
        self._outputs: dict[str, Tensor] | None = None

    def set_target(self, index: int, image: Tensor) -> None:
        """A new frame of field ``index``, (H, W, 3) uint8. What was annotated on it is forgotten. Raises IndexError."""
        self._check(index)
        self._buffers.show(index, image)
        nothing = torch.zeros(self.shape, dtype=torch.int64), torch.zeros(self.shape)
        self.set_annotations(index, *nothing, self.class_counts[index])

    def set_annotations(self, index: int, labels: Tensor, weights: Tensor, class_count: int) -> None:
        """What the class head of field ``index`` must answer, as ``Engine.set_annotations``. Raises IndexError."""
        self._check(index)
        self._ensure_classes(index, class_count)
        self._buffers.annotate(index, labels, weights, self.config.consistency)
        # Without classes there is nothing to answer: the class loss of this field is zero.
        self._buffers.mask[index].mul_(self.class_counts[index] > 0)

    def step(self, n: int = 1) -> None:
        """Make ``n`` steps of every field, as ``Engine.step``."""
        of = self._buffers
        for index in range(self.count):
            if not self.class_counts[index] or self._previous_is_known[index]:
                continue
            one = slice(index, index + 1)
            logits = self._head("classes")[one] + of.closed[one]
            consistency_target(logits, of.labels[one], of.annotated[one], out=of.target[one])
            self._previous_is_known[index] = True
        self._steps.run(BatchStep(self.network, self.optimiser, of, self.config), any(self.class_counts), n)
        self._outputs = None
        self.steps += n

    @torch.no_grad()
    def prediction(self, index: int) -> Tensor:
        """Class probabilities of field ``index``, as ``Engine.prediction``. Raises IndexError."""
        self._check(index)
        return probabilities(self._head("classes")[index, : self.class_counts[index]], self.config.class_loss)

    def reconstruction(self, index: int) -> Tensor:
        """The fitted image of field ``index``, as ``Engine.reconstruction``. Raises IndexError."""
        self._check(index)
        return self._head("rgb")[index].clone()

    def losses(self, index: int) -> Losses:
        """Figures of the last step of field ``index``; waits for the device. Raises IndexError."""
        self._check(index)
        return losses_of(self.steps, self._buffers.total[index], self._buffers.squared_error[index])

    def _check(self, index: int) -> None:
        if not 0 <= index < self.count:
            raise IndexError(f"index: got {index}, accepted: 0 to {self.count - 1}")

    @torch.no_grad()
    def _head(self, name: str) -> Tensor:
        """What a head of all fields says, (count, channels, H, W) float32, computed once between steps."""
        if self._outputs is None:
            self._outputs = outputs_of(self.network, self._buffers.code)
        return self._outputs[name]

    def _ensure_classes(self, index: int, count: int) -> None:
        capacity = self._buffers.closed.shape[1]
        while capacity < count:
            capacity *= 2
        if capacity > self._buffers.closed.shape[1]:
            self._grow_heads(capacity)
        self.class_counts[index] = max(count, self.class_counts[index])
        self._buffers.closed[index, : self.class_counts[index]] = 0

    @torch.no_grad()
    def _grow_heads(self, capacity: int) -> None:
        """Give each class head ``capacity`` outputs, with the learnt ones and their moments in front."""
        head, state = self.network.heads["classes"], self.optimiser.state
        for name, unseen in (("weight", 0.0), ("bias", UNSEEN_LOGIT)):
            learnt = getattr(head, name)
            grown = nn.Parameter(self._grown(learnt, capacity, unseen))
            setattr(head, name, grown)
            moments = state.pop(learnt, {}).items()
            state[grown] = {
                key: value if key == "step" else self._grown(value, capacity, 0.0) for key, value in moments
            }
        closed = self._buffers.closed
        self._buffers.closed = functional.pad(closed, (0, 0, 0, 0, 0, capacity - closed.shape[1]), value=CLOSED)
        self.optimiser.param_groups[1]["params"] = list(head.parameters())
        self._steps.reset()
        self._outputs = None

    def _grown(self, stacked: Tensor, capacity: int, value: float) -> Tensor:
        """(count * K, ...) to (count * capacity, ...), with ``value`` in what is new of each field."""
        new = stacked.new_full((self.count * (capacity - len(stacked) // self.count), *stacked.shape[1:]), value)
        pairs = zip(stacked.chunk(self.count), new.chunk(self.count), strict=True)
        return torch.cat([tensor for pair in pairs for tensor in pair])


def _repeat(module: nn.Module, count: int) -> None:
    """Make a module of one field, in place, one of ``count`` fields in the groups of its channels."""
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            setattr(part, name, nn.Parameter(torch.cat([parameter.detach()] * count)))
        # Nothing else of them depends on the number of channels when they are called.
        if isinstance(part, nn.Conv2d):
            part.groups = count
        elif isinstance(part, nn.GroupNorm):
            part.num_groups *= count
