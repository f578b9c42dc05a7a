"""The fitting engine: one object that owns parameters, optimizer, target and masks of one field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from neural_seg_ros.config import FieldConfig
from neural_seg_ros.field.losses import consistency_target, probabilities, psnr
from neural_seg_ros.field.network import FieldNetwork, head, make_code
from neural_seg_ros.field.steps import (
    INACTIVE_CLASS_BIAS,
    Buffers,
    Field,
    MakeSteps,
    Step,
    amsgrad,
    make_steps,
    outputs_of,
    set_rates,
)
from neural_seg_ros.field.transfer import Fetched, FrameDownscaler, Transfer
from neural_seg_ros.options import to_flat
from neural_seg_ros.torch_setup import compute_dtype, computing, only_deterministic, part_of, seeded

# The class head grows by doubling, so that a new class rarely touches the optimizer.
FIRST_CAPACITY = 8
# Initial logit of a class that is not annotated yet, below those that the others have learned.
UNSEEN_LOGIT = -4.0
# The state of AMSGrad per parameter.
MOMENTS = ("step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq")


Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Losses:
    """The state of a fit: steps made, the total and RGB loss of the last step, and its PSNR in dB."""

    steps: int
    total: float
    rgb: float
    psnr: float


def losses_of(steps: int, total: Tensor, squared_error: Tensor) -> Losses:
    """Return the figures of a fit from the scalars of its last step; waits for the device."""
    root = (squared_error / 3).sqrt()
    decibel = psnr(root, torch.zeros_like(root)) if steps else torch.zeros(())
    return Losses(steps, float(total), float(squared_error), float(decibel))


class Engine:
    """The fit of one field to one image of height x width pixels and to its annotations.

    All tensors that a step reads or writes are allocated once; a new frame or annotation is written into them. Nothing
    in a step waits for the device.
    """

    def __init__(
        self,
        config: FieldConfig,
        height: int,
        width: int,
        device: torch.device,
        seed: int = 0,
        make_steps: MakeSteps = make_steps,
    ) -> None:
        """Make a new field; ``make_steps`` makes its steps, ``Batcher.join`` together with those of other engines."""
        self.config = config
        self.shape = (height, width)
        self.device = device
        self.seed = seed
        self.steps = 0
        self.class_count = 0
        only_deterministic(device)
        with seeded(seed):
            heads = {"rgb": 3, "classes": FIRST_CAPACITY, **config.heads()}
            # Folding makes a step on a CPU a fifth to a third shorter; on CUDA it was not measured.
            network = FieldNetwork(config, heads, fold=device.type == "cpu")
        _forget(network.heads["classes"])
        self.network = _on_device(network, device)
        self.optimizer = amsgrad(self.network, config, captured=device.type == "cuda")
        code = make_code(config, height, width, seed).to(device, compute_dtype(config.precision, device))
        self._buffers = Buffers.empty(code, FIRST_CAPACITY)
        self._transfer = Transfer(device)
        self._intake = FrameDownscaler(height, width, device, self._transfer)
        self._image = torch.zeros((height, width, 3), dtype=torch.uint8, device=device)
        self._make_steps = make_steps
        self._steps = make_steps(device)
        self._previous_is_known = False

    # -- the target ----------------------------------------------------------------------------------------------------

    def set_target(self, frame: Tensor) -> None:
        """Take a new frame, uint8 RGB (rows, columns, 3) in main memory, of any size; it is resized to the field's.

        The annotations of the last frame are dropped; the consistency term stays (thesis 2.5.2).
        """
        self._image = self._intake.take(frame)
        self._buffers.show(self._image)
        none = torch.zeros(self.shape, device=self.device)
        self.set_annotations(none.long(), none, self.class_count)

    def set_annotations(self, labels: Tensor, weights: Tensor, class_count: int) -> None:
        """Set the target of the class head.

        labels: (H, W) int64 in [0, class_count), read where weights > 0
        weights: (H, W) float32: 1 where the user annotated, less where a prior applies, 0 elsewhere
        class_count: N; a larger N than before adds classes; the learned ones do not change
        """
        self._ensure_classes(class_count)
        upload = self._transfer.upload
        self._buffers.annotate(upload(labels), upload(weights), self.config.consistency)

    def forget_classes(self) -> None:
        """Reset the class head; the RGB fit stays."""
        _forget(self.network.heads["classes"])
        for parameter in self.network.heads["classes"].parameters():
            self._set_moments(parameter, {})
        self.class_count = 0
        self._buffers.inactive_class_bias.fill_(INACTIVE_CLASS_BIAS)
        self._previous_is_known = False
        self._buffers.annotated.zero_()
        self._buffers.mask.zero_()

    def reconfigure(self, config: FieldConfig) -> bool:
        """Take new options of the fit. Returns False, with nothing changed, when they need another network or input."""
        fitted = {"learning_rate", "class_rate", "clip_norm", "class_weight", "consistency"}
        old, new = to_flat(self.config), to_flat(config)
        if any(old[name] != new[name] for name in old.keys() - fitted):
            return False
        self.config = config
        set_rates(self.optimizer, config)
        self._steps.reset()
        return True

    def resized(self, height: int, width: int) -> Engine:
        """Return an engine of another size that continues from this one's network, which fits any size."""
        engine = Engine(self.config, height, width, self.device, self.seed, self._make_steps)
        snapshot = self.snapshot()
        for name in ("labels", "annotated", "mask", "target"):
            old = snapshot[name]
            new = functional.interpolate(old[None].float(), (height, width), mode="nearest")[0]
            snapshot[name] = new.to(old.dtype)
        engine.restore(snapshot)
        return engine

    def synchronize(self) -> None:
        """Wait until the device has finished all work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    # -- the fit -------------------------------------------------------------------------------------------------------

    def step(self, n: int = 1) -> None:
        """Make ``n`` steps of AMSGrad on RGB loss + class weight * temporal consistency loss (thesis 2.3.3)."""
        with_classes = self.class_count > 0
        if with_classes and not self._previous_is_known:
            of = self._buffers
            with torch.no_grad():
                logits = outputs_of(self.network, of.code)["classes"] + of.inactive_class_bias
            consistency_target(logits, of.labels, of.annotated, out=of.target)
            self._previous_is_known = True
        field = Field(self.network, self.optimizer, self._buffers, self.config, self.seed, with_classes)
        self._steps.run(Step((field,)), n)
        self.steps += n

    # -- the learned state ---------------------------------------------------------------------------------------------

    @torch.no_grad()
    def prediction(self) -> Tensor:
        """Compute class probabilities (N, H, W) float32 on the engine's device; they sum to 1 over N."""
        return probabilities(self.head("classes")[: self.class_count], self.config.class_loss)

    def fetch(self) -> Fetched:
        """Begin to copy to main memory: the frame at the field's size (H, W, 3) uint8, and ``prediction()`` of now.

        More steps may be asked for before they are waited for.
        """
        return self._transfer.fetch(self._image, self.prediction())

    @torch.no_grad()
    def features(self) -> Tensor:
        """Compute the input of the heads: (F, H, W) float32 on the engine's device."""
        code = self._buffers.code
        with computing(code):
            features: Tensor = self.network.features(code)[0]
        return features.float()

    @torch.no_grad()
    def reconstruction(self) -> Tensor:
        """Return the fitted image, (3, H, W) float32 in [0, 1], on the engine's device."""
        return self.head("rgb")

    @torch.no_grad()
    def head(self, name: str) -> Tensor:
        """Compute the output of a head, (channels, H, W) float32 on the engine's device. Raises KeyError."""
        return outputs_of(self.network, self._buffers.code)[name][0]

    @torch.no_grad()
    def losses(self) -> Losses:
        """Return the losses of the last step; waits for the device."""
        return losses_of(self.steps, self._buffers.total, self._buffers.squared_error)

    # -- state ---------------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Tensor]:
        """Copy all but the frame to main memory: network, optimizer and masks. ``{name: tensor}``"""
        state = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                state[f"optimiser.{name}.{key}"] = value
        state.update(self._buffers.state())
        counters = [self.steps, self.class_count, int(self._previous_is_known)]
        state["counters"] = torch.tensor(counters, dtype=torch.int64)
        return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in state.items()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """Return to a snapshot of an engine with the same configuration and size.

        Raises KeyError or RuntimeError, with the engine unusable, when the snapshot is of another one.
        """
        steps, class_count, known = (int(value) for value in snapshot["counters"])
        self._grow_head(len(snapshot["network.heads.classes.bias"]))
        self.network.load_state_dict(part_of(snapshot, "network"))
        for name, parameter in self.network.named_parameters():
            saved = {key: snapshot.get(f"optimiser.{name}.{key}") for key in MOMENTS}
            self._set_moments(parameter, {key: value for key, value in saved.items() if value is not None})
        for name, tensor in self._buffers.state().items():
            tensor.copy_(snapshot[name])
        self.steps, self.class_count, self._previous_is_known = steps, class_count, bool(known)
        self._buffers.inactive_class_bias.fill_(INACTIVE_CLASS_BIAS)
        self._buffers.inactive_class_bias[:, :class_count] = 0

    # -- inside --------------------------------------------------------------------------------------------------------

    def _set_moments(self, parameter: nn.Parameter, saved: Mapping[str, Tensor]) -> None:
        """Set the optimizer's state of a parameter, in place for captured steps; an empty ``saved`` resets it."""
        state = self.optimizer.state[parameter]
        for key in state.keys() - saved.keys():
            state[key].zero_()
        for key, value in saved.items():
            if key in state:
                state[key].copy_(value)
            else:
                state[key] = _like(value, parameter)

    def _ensure_classes(self, count: int) -> None:
        capacity = len(self.network.heads["classes"].bias)  # type: ignore[arg-type]
        while capacity < count:
            capacity *= 2
        self._grow_head(capacity)
        self.class_count = max(count, self.class_count)
        self._buffers.inactive_class_bias[:, : self.class_count] = 0

    @torch.no_grad()
    def _grow_head(self, capacity: int) -> None:
        """Give the class head ``capacity`` outputs, with the learned ones and their moments in front."""
        old = self.network.heads["classes"]
        if len(old.bias) == capacity:  # type: ignore[arg-type]
            return
        with seeded(self.seed):
            new = head(self.network.feature_channels, capacity)
        _forget(new)
        new = _on_device(new, self.device)
        state = self.optimizer.state
        for parameter, learned in zip(new.parameters(), old.parameters(), strict=True):
            kept = min(capacity, len(learned))
            parameter[:kept] = learned[:kept]
            moments = state.pop(learned, None)
            if moments is not None:
                state[parameter] = {
                    key: value if key == "step" else _padded(value, parameter) for key, value in moments.items()
                }
        self.network.heads["classes"] = new
        self._buffers.inactive_class_bias = torch.full((1, capacity, 1, 1), INACTIVE_CLASS_BIAS, device=self.device)
        self._buffers.inactive_class_bias[:, : self.class_count] = 0
        self._steps.reset()
        self.optimizer.param_groups[1]["params"] = list(new.parameters())


def _on_device(network: Network, device: torch.device) -> Network:
    # torch's own types do not know this keyword.
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _forget(head: nn.Module) -> None:
    for name, parameter in head.named_parameters():
        nn.init.constant_(parameter, UNSEEN_LOGIT if name == "bias" else 0.0)


def _padded(moment: Tensor, parameter: Tensor) -> Tensor:
    padded = torch.zeros_like(parameter)
    kept = min(len(moment), len(padded))
    padded[:kept] = moment[:kept]
    return padded


def _like(moment: Tensor, parameter: Tensor) -> Tensor:
    if moment.ndim == 0:
        return moment.clone().to(parameter.device)
    return torch.zeros_like(parameter).copy_(moment)
