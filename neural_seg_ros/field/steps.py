"""One step of the fit on static buffers, and the two ways to make many: one by one, or replayed as a CUDA graph."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from neural_seg_ros.config import FieldConfig
from neural_seg_ros.field.buffers import Buffers
from neural_seg_ros.field.losses import class_loss, consistency_target, rgb_loss
from neural_seg_ros.field.precision import computing

# Steps made one by one before a capture, so that libraries have chosen their algorithms and the optimiser its state.
WARM_UP = 3
# Steps in one replay; what is left over is replayed one by one.
REPLAYED = 8

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """A step of AMSGrad on RGB loss + class weight * temporal consistency loss (thesis 2.3.3)."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    buffers: Buffers
    config: FieldConfig

    def __call__(self, with_classes: bool) -> None:
        """Make it. Nothing in it waits for the device; without classes the RGB loss is all there is."""
        of, config = self.buffers, self.config
        outputs = outputs_of(self.network, of.code)
        total = reconstruction = rgb_loss(outputs["rgb"], of.rgb)
        if with_classes:
            logits = outputs["classes"] + of.closed
            total = total + config.class_weight * class_loss(logits, of.target, of.mask, config.class_loss)
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        if not with_classes:
            self.leave_classes()
        nn.utils.clip_grad_norm_(self.network.parameters(), config.clip_norm)
        self.optimiser.step()
        if with_classes:
            consistency_target(logits, of.labels, of.annotated, out=of.target)
        of.total.copy_(total.detach())
        of.squared_error.copy_(reconstruction.detach())

    def leave_classes(self) -> None:
        """Take the class head out of this step: AMSGrad must not count steps that taught it nothing."""
        for parameter in cast(nn.ModuleDict, self.network.heads)["classes"].parameters():
            parameter.grad = None


def amsgrad(network: nn.Module, config: FieldConfig, captured: bool) -> torch.optim.Adam:
    """AMSGrad on all of a network; the class head, which starts anew with every class, has its own step size."""
    head = list(cast(nn.ModuleDict, network.heads)["classes"].parameters())
    of_head = set(head)
    rest = [parameter for parameter in network.parameters() if parameter not in of_head]
    groups = [{"params": rest}, {"params": head}]
    optimiser = torch.optim.Adam(groups, amsgrad=True, fused=True, capturable=captured)
    set_rates(optimiser, config)
    return optimiser


def set_rates(optimiser: torch.optim.Optimizer, config: FieldConfig) -> None:
    """The step sizes of ``amsgrad``."""
    for group, share in zip(optimiser.param_groups, (1.0, config.class_rate), strict=True):
        group["lr"] = share * config.learning_rate


def outputs_of(network: Callable[[Tensor], dict[str, Tensor]], code: Tensor) -> dict[str, Tensor]:
    """What the heads say, float32, computed in the numbers of ``code``."""
    with computing(code):
        outputs = network(code)
    return {name: output.float() for name, output in outputs.items()}


class Steps(Protocol):
    """A way to make steps."""

    def run(self, step: Step, with_classes: bool, n: int) -> None:
        """Make ``n`` steps."""

    def reset(self) -> None:
        """Another network, optimiser or configuration: nothing of the old one is kept."""


class EagerSteps:
    """Operation by operation."""

    def run(self, step: Step, with_classes: bool, n: int) -> None:
        """Make ``n`` steps."""
        for _ in range(n):
            step(with_classes)

    def reset(self) -> None:
        """Nothing is kept."""


class GraphSteps:
    """Whole steps captured as CUDA graphs and replayed: a step costs one launch and not hundreds.

    New frames and annotations are in the buffers, so they need no new capture; a capture that fails is logged once and
    steps are made one by one from then on.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._eager = EagerSteps()
        self._graphs: dict[tuple[bool, int], torch.cuda.CUDAGraph] = {}
        self._warm: dict[bool, int] = {}
        self._failed = False

    def reset(self) -> None:
        """Give the graphs and their memory back."""
        self._graphs.clear()
        self._warm.clear()

    def run(self, step: Step, with_classes: bool, n: int) -> None:
        """Make ``n`` steps."""
        cold = min(n, max(0, WARM_UP - self._warm.get(with_classes, 0)))
        if cold:
            self._warm_up(step, with_classes, cold)
        left = n - cold
        for steps in (REPLAYED, 1):
            times, left = divmod(left, steps)
            graph = self._graph(step, with_classes, steps) if times else None
            if graph is None:
                self._eager.run(step, with_classes, times * steps)
            else:
                for _ in range(times):
                    graph.replay()

    def _warm_up(self, step: Step, with_classes: bool, n: int) -> None:
        """Make ``n`` steps on another stream, as captures want it."""
        stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):
            self._eager.run(step, with_classes, n)
        torch.cuda.current_stream(self._device).wait_stream(stream)
        self._warm[with_classes] = self._warm.get(with_classes, 0) + n

    def _graph(self, step: Step, with_classes: bool, steps: int) -> torch.cuda.CUDAGraph | None:
        key = with_classes, steps
        if key not in self._graphs and not self._failed:
            graph = torch.cuda.CUDAGraph()
            try:
                with torch.cuda.device(self._device), torch.cuda.graph(graph, capture_error_mode="thread_local"):
                    self._eager.run(step, with_classes, steps)
            except RuntimeError as error:
                self._failed = True
                self.reset()
                log.warning("CUDA graph: capture failed, steps are made one by one: %s", str(error).splitlines()[0])
            else:
                self._graphs[key] = graph
        return self._graphs.get(key)


def make_steps(device: torch.device) -> Steps:
    """The fastest way on ``device``."""
    return GraphSteps(device) if device.type == "cuda" else EagerSteps()
