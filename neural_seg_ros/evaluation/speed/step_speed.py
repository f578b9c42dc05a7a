"""The speed of the fit: engines side by side, against the device's peaks, over time, and with the field's size."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neural_seg_ros.config import FieldConfig
from neural_seg_ros.evaluation.speed.roofline import Roofline, measure_peaks, roofline, seconds_of, step_cost, wait_for
from neural_seg_ros.field.batcher import Batcher
from neural_seg_ros.field.engine import FIRST_CAPACITY, UNSEEN_LOGIT, Engine
from neural_seg_ros.field.losses import consistency_mask
from neural_seg_ros.field.network import FieldNetwork, make_code
from neural_seg_ros.field.steps import (
    INACTIVE_CLASS_BIAS,
    STEPS_PER_REPLAY,
    WARM_UP_STEPS,
    Buffers,
    EagerSteps,
    Field,
    MakeSteps,
    Step,
    amsgrad,
    make_steps,
)
from neural_seg_ros.images.arrays import resize_image
from neural_seg_ros.torch_setup import compute_dtype

EAGER, CHANNELS_LAST, ENGINE = "eager fp32", "channels_last fp32", "engine"
# Times that the engines take turns.
ROUNDS = 5
# Steps after which nothing is left to be warmed up or captured.
READY = WARM_UP_STEPS + STEPS_PER_REPLAY + 1
# Steps after which the curves of PSNR are read.
MARKS = (1, 2, 5, 10, 25, 50, 100, 200)
WANTED_PSNR = 25.0


@dataclass(frozen=True)
class EngineSpeed:
    """One engine, timed in turns with the others.

    step_ms, step_ms_min  milliseconds a step: median and least of the turns
    speed_up    how many times faster than eager float32, by the medians
    first_step  seconds from nothing to the first step made
    ready       seconds from nothing until all is warmed up and captured, the ``READY`` steps of it included
    memory_mb   MiB; CUDA: the most allocated by this engine until it was ready; CPU: of the process when it was
    psnr        dB after the same number of steps as the others
    """

    step_ms: float
    step_ms_min: float
    speed_up: float
    first_step: float
    ready: float
    memory_mb: float
    psnr: float


@dataclass(frozen=True)
class Curve:
    """PSNR in dB and seconds since there was nothing, each after ``steps``.

    wanted_seconds: until ``WANTED_PSNR``, between two marks in proportion; None when it was not reached
    """

    steps: tuple[int, ...]
    seconds: tuple[float, ...]
    psnr: tuple[float, ...]
    wanted_seconds: float | None


@dataclass(frozen=True)
class StepSpeed:
    """All figures.

    threads  {threads: milliseconds a step of the engine}; empty on CUDA
    growth   {what grows: {how far: milliseconds a step of the engine}}; a step of all cameras is one
    """

    engines: dict[str, EngineSpeed]
    threads: dict[int, float]
    roofline: dict[str, Roofline]
    curves: dict[str, Curve]
    growth: dict[str, dict[int, float]]


@dataclass(frozen=True)
class Scene:
    """The target of a fit: S x S image (S, S, 3) uint8, labels (S, S) int64 below class_count, weights float32."""

    image: Tensor
    labels: Tensor
    weights: Tensor
    class_count: int
    side: int


@dataclass(frozen=True)
class Fit:
    """A field in the fit: ``step(n)`` makes n steps, ``psnr()`` waits for the device and gives dB."""

    step: Callable[[int], None]
    psnr: Callable[[], float]


Start = Callable[[], Fit]


def measure_step_speed(
    config: FieldConfig, picture: NDArray[np.uint8], device: torch.device, steps: int, with_growth: bool
) -> StepSpeed:
    """Fit the middle square of ``picture`` (H, W, 3) uint8 RGB, one pixel annotated; ``steps`` in every turn."""
    scene = make_scene(picture, config.size)
    starts: dict[str, Start] = {
        EAGER: partial(_start_eager, config, scene, device),
        CHANNELS_LAST: partial(_start_engine, dataclasses.replace(config, precision="fp32"), scene, device),
        ENGINE: partial(_start_engine, config, scene, device),
    }
    # Libraries load at their first use; without this the first engine would wait for them.
    least = FieldConfig(size=16, width=8, levels=2)
    _start_eager(least, make_scene(picture, least.size), device).step(1)
    engines = _side_by_side(starts, device, steps)
    return StepSpeed(
        engines=engines,
        threads=_by_threads(starts[ENGINE](), device, steps) if device.type == "cpu" else {},
        roofline=_rooflines(config, scene, device, engines),
        curves={name: _curve(starts[name], device) for name in (EAGER, ENGINE)},
        growth=_growth(config, picture, device) if with_growth else {},
    )


def make_scene(picture: NDArray[np.uint8], side: int, annotated: int = 1, class_count: int = 2) -> Scene:
    """Cut the middle square of ``picture`` at ``side`` x ``side``, with ``annotated`` random annotations, or all."""
    height, width = picture.shape[:2]
    square = min(height, width)
    top, left = (height - square) // 2, (width - square) // 2
    image = resize_image(np.ascontiguousarray(picture[top : top + square, left : left + square]), side, side)
    labels, weights = torch.zeros(side * side, dtype=torch.int64), torch.zeros(side * side)
    chosen = torch.randperm(side * side, generator=torch.Generator().manual_seed(0))[:annotated]
    labels[chosen] = class_count - 1 - torch.arange(len(chosen)) % class_count
    weights[chosen] = 1.0
    return Scene(torch.from_numpy(image), labels.view(side, side), weights.view(side, side), class_count, side)


def _start_engine(config: FieldConfig, scene: Scene, device: torch.device, make_steps: MakeSteps = make_steps) -> Fit:
    engine = Engine(config, scene.side, scene.side, device, make_steps=make_steps)
    engine.set_target(scene.image)
    engine.set_annotations(scene.labels, scene.weights, scene.class_count)
    return Fit(engine.step, lambda: engine.losses().psnr)


def _start_eager(config: FieldConfig, scene: Scene, device: torch.device) -> Fit:
    step = _eager_step(config, scene, device)
    error = step.fields[0].buffers.squared_error
    return Fit(partial(EagerSteps().run, step), lambda: -10 * math.log10(error.item() / 3))


def _eager_step(config: FieldConfig, scene: Scene, device: torch.device) -> Step:
    """Return the step that the engine makes, with torch's default layout, in float32."""
    torch.manual_seed(0)
    network = FieldNetwork(config, {"rgb": 3, "classes": FIRST_CAPACITY, **config.heads()})
    nn.init.zeros_(network.heads["classes"].weight)  # type: ignore[arg-type]
    nn.init.constant_(network.heads["classes"].bias, UNSEEN_LOGIT)  # type: ignore[arg-type]
    network = network.to(device)
    weights, labels = scene.weights.to(device)[None], scene.labels.to(device)[None]
    closed = torch.full((1, FIRST_CAPACITY, 1, 1), INACTIVE_CLASS_BIAS, device=device)
    closed[:, : scene.class_count] = 0
    buffers = Buffers(
        code=make_code(config, scene.side, scene.side, seed=0).to(device),
        rgb=(scene.image.to(device).permute(2, 0, 1)[None] / 255).contiguous(),
        labels=labels,
        annotated=weights > 0,
        mask=consistency_mask(weights, config.consistency, out=torch.empty_like(weights)),
        # An untrained class head predicts class 0.
        target=torch.where(weights > 0, labels, 0),
        inactive_class_bias=closed,
        total=torch.zeros(1, device=device),
        squared_error=torch.zeros(1, device=device),
    )
    return Step((Field(network, amsgrad(network, config, captured=False), buffers, config, 0, with_classes=True),))


def _side_by_side(starts: Mapping[str, Start], device: torch.device, steps: int) -> dict[str, EngineSpeed]:
    started = {name: _started(start, device) for name, start in starts.items()}
    turns: dict[str, list[float]] = {name: [] for name in starts}
    for _ in range(ROUNDS):
        for name, (fit, _) in started.items():
            turns[name].append(_step_ms(fit.step, device, steps))
    medians = {name: float(np.median(times)) for name, times in turns.items()}
    return {
        name: EngineSpeed(
            step_ms=medians[name],
            step_ms_min=min(turns[name]),
            speed_up=medians[EAGER] / medians[name],
            psnr=fit.psnr(),
            **beginning,
        )
        for name, (fit, beginning) in started.items()
    }


def _started(start: Start, device: torch.device) -> tuple[Fit, dict[str, float]]:
    """Start the fit; returns it and the figures of its start, by their names in EngineSpeed."""
    cuda = device.type == "cuda"
    wait_for(device)
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    others = torch.cuda.memory_allocated(device) if cuda else 0
    started = time.perf_counter()
    fit = start()
    fit.step(1)
    wait_for(device)
    first_step = time.perf_counter() - started
    fit.step(READY - 1)
    wait_for(device)
    ready = time.perf_counter() - started
    memory = torch.cuda.max_memory_allocated(device) - others if cuda else psutil.Process().memory_info().rss
    return fit, {"first_step": first_step, "ready": ready, "memory_mb": memory / 2**20}


def _step_ms(step: Callable[[int], None], device: torch.device, steps: int) -> float:
    return 1e3 * seconds_of(partial(step, steps), device) / steps


def _warm_step_ms(step: Callable[[int], None], device: torch.device) -> float:
    """Measure a few steps after warm-up and capture."""
    warm_up, steps = (READY, 4 * STEPS_PER_REPLAY) if device.type == "cuda" else (2, 3)
    step(warm_up)
    return _step_ms(step, device, steps)


def _by_threads(fit: Fit, device: torch.device, steps: int) -> dict[int, float]:
    """Measure with 1, 2, 4, ... and as many threads as there are cores."""
    cores = len(os.sched_getaffinity(0))
    counts = sorted({*(2**power for power in range(cores.bit_length())), cores})
    before, figures = torch.get_num_threads(), {}
    try:
        for count in counts:
            torch.set_num_threads(count)
            fit.step(1)
            figures[count] = _step_ms(fit.step, device, steps)
    finally:
        torch.set_num_threads(before)
    return figures


def _rooflines(
    config: FieldConfig, scene: Scene, device: torch.device, engines: Mapping[str, EngineSpeed]
) -> dict[str, Roofline]:
    cost = step_cost(_eager_step(config, scene, device))
    numbers = dict.fromkeys(engines, torch.float32) | {ENGINE: compute_dtype(config.precision, device)}
    peaks = {dtype: measure_peaks(device, dtype) for dtype in set(numbers.values())}
    return {name: roofline(cost, peaks[dtype], dtype, engines[name].step_ms) for name, dtype in numbers.items()}


def _curve(start: Start, device: torch.device) -> Curve:
    seconds, decibels, made = [], [], 0
    started = time.perf_counter()
    fit = start()
    for mark in MARKS:
        fit.step(mark - made)
        made = mark
        decibels.append(fit.psnr())
        seconds.append(time.perf_counter() - started)
    return Curve(MARKS, tuple(seconds), tuple(decibels), seconds_until(WANTED_PSNR, seconds, decibels))


def seconds_until(wanted: float, seconds: Sequence[float], decibels: Sequence[float]) -> float | None:
    """Find when a curve first reaches ``wanted`` dB, by linear interpolation; None where it never does."""
    reached = next((number for number, decibel in enumerate(decibels) if decibel >= wanted), None)
    if not reached:
        return None if reached is None else seconds[0]
    return float(np.interp(wanted, decibels[reached - 1 : reached + 1], seconds[reached - 1 : reached + 1]))


def _growth(config: FieldConfig, picture: NDArray[np.uint8], device: torch.device) -> dict[str, dict[int, float]]:
    def step_ms(scene: Scene, grown: FieldConfig = config) -> float:
        return _warm_step_ms(_start_engine(grown, scene, device).step, device)

    side = config.size
    scene = make_scene(picture, side)
    return {
        "resolution": {pixels: step_ms(make_scene(picture, pixels)) for pixels in (128, 256, 512, 1024)},
        "width": {width: step_ms(scene, dataclasses.replace(config, width=width)) for width in (32, 64, 128, 256)},
        "classes": {count: step_ms(make_scene(picture, side, class_count=count)) for count in (2, 8, 64)},
        "annotations": {count: step_ms(make_scene(picture, side, count)) for count in (1, 100, 10_000)},
        "cameras": {count: _cameras_ms(config, scene, device, count) for count in (1, 4, 16)},
    }


def _cameras_ms(config: FieldConfig, scene: Scene, device: torch.device, count: int) -> float:
    batcher = Batcher(wait_for=count)
    fits = [_start_engine(config, scene, device, batcher.join) for _ in range(count)]
    with ThreadPoolExecutor(count) as threads:

        def step(n: int) -> None:
            list(threads.map(lambda fit: fit.step(n), fits))

        return _warm_step_ms(step, device)
