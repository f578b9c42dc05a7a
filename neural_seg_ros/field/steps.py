"""One step of the fit on static buffers, and two ways to make many: one by one, or replayed as a CUDA graph."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import torch

# Imported here, because the first optimizer would import it, which takes a second and blocks a running node.
import torch._dynamo
from torch import Tensor, nn
from torch.nn import functional

from neural_seg_ros.config import FieldConfig
from neural_seg_ros.field.batch_network import BatchNetwork
from neural_seg_ros.field.losses import class_loss, consistency_mask, consistency_target, rgb_loss
from neural_seg_ros.field.network import FieldNetwork
from neural_seg_ros.torch_setup import computing

# Added to the logits of classes that are not in use, so that they get neither probability nor gradient.
INACTIVE_CLASS_BIAS = -1e4


@dataclass
class Buffers:
    """The tensors of B fields of one size on one code; an engine's own, with B = 1, are only written in place.

    code       (1, C, H, W) network input, in the dtype of the computation
    rgb        (B, 3, H, W) float32 in [0, 1], target of the RGB head
    labels     (B, H, W) int64 channel, read where annotated
    annotated  (B, H, W) bool
    mask       (B, H, W) float32, the mask of the temporal consistency loss
    target     (B, H, W) int64 channel, its target
    inactive_class_bias   (B, K, 1, 1) float32: 0 for classes in use, INACTIVE_CLASS_BIAS for the others
    total, squared_error  (B,) the total and the RGB loss of the last step
    """

    code: Tensor
    rgb: Tensor
    labels: Tensor
    annotated: Tensor
    mask: Tensor
    target: Tensor
    inactive_class_bias: Tensor
    total: Tensor
    squared_error: Tensor

    @staticmethod
    def empty(code: Tensor, classes: int) -> Buffers:
        """Make buffers of one field with room for ``classes`` classes, on the device of ``code`` (1, C, H, W)."""
        device, pixels = code.device, (1, *code.shape[-2:])
        return Buffers(
            code=code.to(memory_format=torch.channels_last),
            rgb=torch.zeros((1, 3, *code.shape[-2:]), device=device).to(memory_format=torch.channels_last),
            labels=torch.zeros(pixels, dtype=torch.int64, device=device),
            annotated=torch.zeros(pixels, dtype=torch.bool, device=device),
            mask=torch.zeros(pixels, device=device),
            target=torch.zeros(pixels, dtype=torch.int64, device=device),
            inactive_class_bias=torch.full((1, classes, 1, 1), INACTIVE_CLASS_BIAS, device=device),
            total=torch.zeros(1, device=device),
            squared_error=torch.zeros(1, device=device),
        )

    @staticmethod
    def joined(parts: Sequence[Buffers]) -> Buffers:
        """Join copies of the buffers of several fields, with room for the classes of each; a single one is itself."""
        if len(parts) == 1:
            return parts[0]
        classes = max(part.inactive_class_bias.shape[1] for part in parts)
        inactive_class_bias = [
            functional.pad(
                of.inactive_class_bias,
                (0, 0, 0, 0, 0, classes - of.inactive_class_bias.shape[1]),
                value=INACTIVE_CLASS_BIAS,
            )
            for of in parts
        ]
        names = ("rgb", "labels", "annotated", "mask", "target", "total", "squared_error")
        tensors = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
        return Buffers(code=parts[0].code, inactive_class_bias=torch.cat(inactive_class_bias), **tensors)

    def show(self, image: Tensor) -> None:
        """Take a new frame (H, W, 3) uint8 on the device."""
        self.rgb.copy_(image.permute(2, 0, 1).float()[None] / 255)

    def annotate(self, labels: Tensor, weights: Tensor, consistency: float) -> None:
        """Set the class target: labels (H, W) int64, read where weights (H, W) float32 > 0; lambda elsewhere.

        Both are on the device.
        """
        self.labels.copy_(labels[None])
        self.mask.copy_(weights[None])
        torch.gt(self.mask, 0, out=self.annotated)
        torch.where(self.annotated, self.labels, self.target, out=self.target)
        consistency_mask(self.mask, consistency, out=self.mask)

    def state(self) -> dict[str, Tensor]:
        """Return ``{name: tensor}`` of all buffers that are more than a copy of the frame."""
        names = ("labels", "annotated", "mask", "target", "total", "squared_error")
        return {name: getattr(self, name) for name in names}


# Steps made one by one before a capture, so that libraries have chosen their algorithms and the optimizer its state.
WARM_UP_STEPS = 3
# Steps in one replayed graph; a remainder is replayed step by step.
STEPS_PER_REPLAY = 8
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Field:
    """One field in the fit.

    seed          of its code
    with_classes  whether it has classes; without any, its loss is the RGB loss alone
    """

    network: FieldNetwork
    optimizer: torch.optim.Optimizer
    buffers: Buffers
    config: FieldConfig
    seed: int
    with_classes: bool

    @property
    def kind(self) -> Hashable:
        """A key that is equal for fields whose steps can be made together: same network, losses, code and device."""
        code = self.buffers.code
        return self.config, self.seed, code.shape, code.device

    def update(self) -> None:
        """Clip the gradients and make a step of AMSGrad, without the class head of a field that has no classes."""
        if not self.with_classes:
            for parameter in self.network.heads["classes"].parameters():
                parameter.grad = None
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_norm)
        self.optimizer.step()


@dataclass(frozen=True)
class Step:
    """A step of AMSGrad on RGB loss + class weight * temporal consistency loss (thesis 2.3.3).

    Fields of one kind are computed together; each has the losses, the gradient and the update that it has alone.
    """

    fields: tuple[Field, ...]

    @property
    def with_classes(self) -> tuple[bool, ...]:
        """``with_classes`` of the fields, on which the computation depends."""
        return tuple(field.with_classes for field in self.fields)

    def __call__(self) -> None:
        """Make the step, without waiting for the device."""
        config, of = self.fields[0].config, Buffers.joined([field.buffers for field in self.fields])
        networks = [field.network for field in self.fields]
        outputs = outputs_of(networks[0] if len(networks) == 1 else BatchNetwork(networks), of.code)
        total = reconstruction = rgb_loss(outputs["rgb"], of.rgb)
        if any(self.with_classes):
            logits = outputs["classes"] + of.inactive_class_bias
            entropy = class_loss(logits, of.target, of.mask, config.class_loss)
            if not all(self.with_classes):
                # Fields without classes get no gradient from it. A copy from the host could not be captured.
                entropy = entropy * (of.inactive_class_bias == 0).flatten(1).any(1)
            total = total + config.class_weight * entropy
        for field in self.fields:
            field.optimizer.zero_grad(set_to_none=True)
        total.sum().backward()  # type: ignore[no-untyped-call]
        for number, field in enumerate(self.fields):
            field.update()
            one, own = slice(number, number + 1), field.buffers
            if field.with_classes:
                consistency_target(logits[one], own.labels, own.annotated, out=own.target)
            own.total.copy_(total[one].detach())
            own.squared_error.copy_(reconstruction[one].detach())


def amsgrad(network: nn.Module, config: FieldConfig, captured: bool) -> torch.optim.Adam:
    """Make AMSGrad for a whole network; the class head, new with every class, has its own step size."""
    head = list(cast(nn.ModuleDict, network.heads)["classes"].parameters())
    of_head = set(head)
    rest = [parameter for parameter in network.parameters() if parameter not in of_head]
    groups = [{"params": rest}, {"params": head}]
    optimizer = torch.optim.Adam(groups, amsgrad=True, fused=True, capturable=captured)
    set_rates(optimizer, config)
    return optimizer


def set_rates(optimizer: torch.optim.Optimizer, config: FieldConfig) -> None:
    """Set the step sizes of ``amsgrad``."""
    for group, share in zip(optimizer.param_groups, (1.0, config.class_rate), strict=True):
        group["lr"] = share * config.learning_rate


def outputs_of(network: Callable[[Tensor], dict[str, Tensor]], code: Tensor) -> dict[str, Tensor]:
    """Compute the outputs of the heads, float32, in the dtype of ``code``."""
    with computing(code):
        outputs = network(code)
    return {name: output.float() for name, output in outputs.items()}


class Steps(Protocol):
    """A way to make steps."""

    def run(self, step: Step, n: int) -> None:
        """Make ``n`` steps."""

    def reset(self) -> None:
        """Drop all state of the old network, optimizer or configuration."""


MakeSteps = Callable[[torch.device], Steps]


class EagerSteps:
    """Steps made operation by operation."""

    def run(self, step: Step, n: int) -> None:
        """Make ``n`` steps."""
        for _ in range(n):
            step()

    def reset(self) -> None:
        """Do nothing: no state is kept."""


class GraphSteps:
    """Whole steps captured as CUDA graphs and replayed: a step costs one launch and not hundreds.

    New frames and annotations are written into the buffers, so they need no new capture. A capture that fails is logged
    once, and from then on steps are made one by one.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._eager = EagerSteps()
        self._graphs: dict[tuple[tuple[bool, ...], int], torch.cuda.CUDAGraph] = {}
        self._warm: dict[tuple[bool, ...], int] = {}
        self._failed = False

    def reset(self) -> None:
        """Release the graphs and their memory."""
        self._graphs.clear()
        self._warm.clear()

    def run(self, step: Step, n: int) -> None:
        """Make ``n`` steps."""
        cold = min(n, max(0, WARM_UP_STEPS - self._warm.get(step.with_classes, 0)))
        if cold:
            self._warm_up(step, cold)
        left = n - cold
        for steps in (STEPS_PER_REPLAY, 1):
            times, left = divmod(left, steps)
            graph = self._graph(step, steps) if times else None
            if graph is None:
                self._eager.run(step, times * steps)
            else:
                for _ in range(times):
                    graph.replay()

    def _warm_up(self, step: Step, n: int) -> None:
        """Make ``n`` steps on another stream, which a capture requires."""
        stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):
            self._eager.run(step, n)
        torch.cuda.current_stream(self._device).wait_stream(stream)
        self._warm[step.with_classes] = self._warm.get(step.with_classes, 0) + n

    def _graph(self, step: Step, steps: int) -> torch.cuda.CUDAGraph | None:
        key = step.with_classes, steps
        if key not in self._graphs and not self._failed:
            graph = torch.cuda.CUDAGraph()
            try:
                with torch.cuda.device(self._device), torch.cuda.graph(graph, capture_error_mode="thread_local"):
                    self._eager.run(step, steps)
            except RuntimeError as error:
                self._failed = True
                self.reset()
                log.warning("CUDA graph: capture failed, steps are made one by one: %s", str(error).splitlines()[0])
            else:
                self._graphs[key] = graph
        return self._graphs.get(key)


def make_steps(device: torch.device) -> Steps:
    """Return the fastest way on ``device``."""
    return GraphSteps(device) if device.type == "cuda" else EagerSteps()
