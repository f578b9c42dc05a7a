"""Fields fitted together are what each would be alone."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from neural_seg_ros.config import FieldConfig
from neural_seg_ros.errors import ConfigError
from neural_seg_ros.field import folded_conv as enlarged
from neural_seg_ros.field.batcher import MAX_CACHED_SETS, Batcher
from neural_seg_ros.field.engine import FIRST_CAPACITY, Engine
from neural_seg_ros.field.steps import EagerSteps, MakeSteps, Step, make_steps

TINY = FieldConfig(width=8, levels=2, octaves=3, precision="fp32")
CPU = torch.device("cpu")
SIDE = 24
SECONDS = 20.0
# The sums of a convolution in groups come in another order, and 200 steps carry that on.
TOLERANCE = 0.02
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def _image(number: int, width: int = SIDE + 3) -> torch.Tensor:
    """Two halves and noise, of another brightness for each number."""
    image = np.random.default_rng(number).integers(0, 60, (SIDE, width, 3), np.uint8)
    image[:, width // 2 :] += 150 - 40 * number
    return torch.from_numpy(image)


def _annotate(engine: Engine, classes: int) -> None:
    """Return a click of each class along a diagonal."""
    labels, weights = torch.zeros(engine.shape, dtype=torch.int64), torch.zeros(engine.shape)
    at = torch.arange(classes) * 2
    labels[at, at] = torch.arange(classes)
    weights[at, at] = 1.0
    engine.set_annotations(labels, weights, classes)


def _engines(
    make_steps: MakeSteps = make_steps,
    config: FieldConfig = TINY,
    numbers: Sequence[int] = (0, 1, 2),
    device: torch.device = CPU,
    seed: int = 0,
) -> list[Engine]:
    """Return one on each of the images with these numbers."""
    engines = [Engine(config, SIDE, SIDE + 3, device, seed, make_steps) for _ in numbers]
    for number, engine in zip(numbers, engines, strict=True):
        engine.set_target(_image(number))
    return engines


def _side_by_side(*works: Callable[[], Any]) -> list[Any]:
    """Return the results of each, in threads of their own."""
    with ThreadPoolExecutor(len(works)) as threads:
        futures = [threads.submit(work) for work in works]
        return [future.result(SECONDS) for future in futures]


def _step(engines: Sequence[Engine], n: int) -> None:
    _side_by_side(*(lambda engine=engine: engine.step(n) for engine in engines))  # type: ignore[misc]


def _assert_follows(together: list[Engine], alone: list[Engine], steps: int) -> None:
    """Return the losses of those ``together`` stay within the tolerance, relative, of those alone."""
    for _ in range(0, steps, 20):
        _step(together, 20)
        for engine, single in zip(together, alone, strict=True):
            single.step(20)
            got, expected = engine.losses(), single.losses()
            assert got.steps == expected.steps
            assert got.total == pytest.approx(expected.total, rel=TOLERANCE)
            assert got.rgb == pytest.approx(expected.rgb, rel=TOLERANCE)
            assert got.psnr == pytest.approx(expected.psnr, abs=0.03)


def _assert_same(got: Engine, expected: Engine) -> None:
    """Weights, moments and masks are the same to the last bit."""
    states = got.snapshot(), expected.snapshot()
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


@pytest.mark.parametrize(
    "changes",
    [{}, {"norm": "group", "class_loss": "bce"}, {"norm": "none", "skips": False, "extra_heads": "contours:2"}],
    ids=["defaults", "group norm, bce", "neither norm nor skips, another head"],
)
def test_every_field_follows_what_it_is_alone(changes: dict[str, object]) -> None:
    config = dataclasses.replace(TINY, **changes)
    batcher = Batcher(wait_for=3)
    together, alone = _engines(batcher.join, config), _engines(config=config)
    for engines in (together, alone):
        _annotate(engines[0], 2)
        _annotate(engines[2], 3)
    _assert_follows(together, alone, 200)
    assert batcher.steps_made == {3: 200}
    for engine, single in zip(together, alone, strict=True):
        assert engine.prediction().shape == single.prediction().shape
        assert torch.allclose(engine.prediction(), single.prediction(), atol=0.02)
        assert torch.allclose(engine.reconstruction(), single.reconstruction(), atol=0.02)


def test_folded_fields_follow_what_they_are_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enlarged, "LEAST_FOLDED", 0)
    together, alone = _engines(Batcher(wait_for=3).join), _engines()
    for engines in (together, alone):
        _annotate(engines[0], 2)
    _assert_follows(together, alone, 60)


def test_fields_get_more_classes_and_frames_at_different_times() -> None:
    together, alone = _engines(Batcher(wait_for=3).join), _engines()
    _assert_follows(together, alone, 40)
    for news in (((1, 2), (0, 3)), ((0, FIRST_CAPACITY + 2),), ((1, 4),)):
        for index, classes in news:
            _annotate(together[index], classes)
            _annotate(alone[index], classes)
        _assert_follows(together, alone, 40)
    assert [engine.prediction().shape[0] for engine in together] == [FIRST_CAPACITY + 2, 4, 0]
    for engines in (together, alone):
        engines[1].set_target(_image(2))
        engines[0].forget_classes()
    _assert_follows(together, alone, 20)


def test_early_steps_in_a_batch_skip_the_class_head() -> None:
    engines = _engines(Batcher(wait_for=2).join, numbers=(0, 1))
    _annotate(engines[0], 2)
    _step(engines, 10)
    _annotate(engines[1], 2)
    _step(engines, 3)
    counted = [int(engine.snapshot()["optimiser.heads.classes.bias.step"]) for engine in engines]
    assert counted == [13, 3]


def test_a_field_learns_the_same_in_any_batch() -> None:
    def fitted(numbers: Sequence[int], place: int) -> Engine:
        engines = _engines(Batcher(wait_for=2).join, numbers=numbers)
        _annotate(engines[place], 2)
        _step(engines, 30)
        return engines[place]

    one = fitted((0, 1), 0)
    _assert_same(fitted((0, 2), 0), one)
    _assert_same(fitted((1, 0), 1), one)


def test_a_batch_of_one_is_bit_exact() -> None:
    (engine,), (single,) = _engines(Batcher().join, numbers=(1,)), _engines(numbers=(1,))
    for each in (engine, single):
        _annotate(each, 2)
        each.step(30)
    _assert_same(engine, single)


def test_who_asks_for_no_step_is_not_touched() -> None:
    engines = _engines(Batcher(wait_for=2).join)
    _annotate(engines[0], 2)
    _step(engines[:2], 5)
    idle = engines[0].snapshot()
    _step(engines[1:], 20)
    engines[0].step(0)
    for name, value in engines[0].snapshot().items():
        assert torch.equal(value, idle[name]), name


def test_a_field_returns_to_its_snapshot_alone() -> None:
    def fitted(undone: bool) -> list[Engine]:
        engines = _engines(Batcher(wait_for=2).join, numbers=(0, 1))
        _annotate(engines[0], 2)
        _step(engines, 10)
        if undone:
            before, other = engines[0].snapshot(), engines[1].snapshot()
            _annotate(engines[0], FIRST_CAPACITY + 1)
            _step(engines, 10)
            engines[0].restore(before)
            assert engines[1].steps == 20
            engines[1].restore(other)
        _step(engines, 10)
        return engines

    for got, expected in zip(fitted(undone=True), fitted(undone=False), strict=True):
        _assert_same(got, expected)


def test_fields_of_different_sizes_and_codes_share_a_batcher() -> None:
    batcher = Batcher(wait_for=4)
    engines = _engines(batcher.join, numbers=(0, 1))
    # A resized engine stays with the batcher of the one it goes on from.
    wider = engines[0].resized(SIDE, SIDE + 9)
    wider.set_target(_image(2, SIDE + 9))
    seeded = _engines(batcher.join, numbers=(2,), seed=1)
    everyone = [*engines, wider, *seeded]
    _step(everyone, 10)
    assert batcher.steps_made == {2: 10, 1: 20}
    assert [engine.losses().steps for engine in everyone] == [10] * 4


def test_who_wants_more_steps_goes_on_with_who_is_there() -> None:
    batcher = Batcher(wait_for=2)
    few, many = _engines(batcher.join, numbers=(0, 1))

    def done_after(engine: Engine, n: int) -> None:
        engine.step(n)
        batcher.leave()

    _side_by_side(lambda: done_after(few, 4), lambda: done_after(many, 10))
    assert (few.losses().steps, many.losses().steps) == (4, 10)
    assert batcher.steps_made == {2: 4, 1: 6}


class _Kept(EagerSteps):
    """Keeps the steps, and makes none."""

    def __init__(self) -> None:
        self.kept: list[Step] = []

    def run(self, step: Step, n: int) -> None:
        self.kept.append(step)


class _Called(TorchDispatchMode):
    """The names of all operations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("with_classes", [(), (0,), (0, 1)], ids=["no classes", "in one field", "in both"])
def test_nothing_in_a_step_waits_for_the_device(with_classes: Sequence[int]) -> None:
    steps = _Kept()
    engines = _engines(lambda _: steps, numbers=(0, 1))
    for number in with_classes:
        _annotate(engines[number], 2)
    for engine in engines:
        engine.step()
    together = Step(tuple(field for step in steps.kept for field in step.fields))
    together()
    with _Called() as called:
        together()
    assert "convolution" in called.names
    # What asks the device for a number, makes a shape of its values, or copies from the host: none can be captured.
    assert not called.names & {"_local_scalar_dense", "nonzero", "masked_select", "lift_fresh", "_to_copy"}


class _Gate(EagerSteps):
    """Tells when its first round begins, and makes it when it may."""

    def __init__(self) -> None:
        self.begun, self.open = threading.Event(), threading.Event()

    def run(self, step: Step, n: int) -> None:
        self.begun.set()
        assert self.open.wait(SECONDS)
        super().run(step, n)


def test_who_comes_during_a_round_is_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = _Gate()
    monkeypatch.setattr("neural_seg_ros.field.batcher.make_steps", lambda _: gate)
    batcher = Batcher()
    first, second = _engines(batcher.join, numbers=(0, 1))

    def open_when_both_wait() -> None:
        with batcher._turn:
            assert batcher._turn.wait_for(lambda: len(batcher._waiting) == 2, SECONDS)
        gate.open.set()

    def come_later() -> None:
        assert gate.begun.wait(SECONDS)
        second.step(5)

    _side_by_side(lambda: first.step(6), come_later, open_when_both_wait)
    assert batcher.steps_made == {1: 1, 2: 5}


def test_an_error_in_one_thread_does_not_hang_the_others() -> None:
    batcher = Batcher(wait_for=3)
    engines = _engines(batcher.join)

    def work(engine: Engine, fails: bool) -> int:
        try:
            for _ in range(3):
                engine.step(2)
                if fails:
                    raise ValueError("no picture")
            return engine.steps
        finally:
            batcher.leave()

    with ThreadPoolExecutor(3) as threads:
        futures = [threads.submit(work, engine, engine is engines[1]) for engine in engines]
        with pytest.raises(ValueError, match="no picture"):
            futures[1].result(SECONDS)
        assert [futures[0].result(SECONDS), futures[2].result(SECONDS)] == [6, 6]


def test_a_batch_that_fails_tells_its_owners_and_nobody_else() -> None:
    batcher = Batcher(wait_for=3)
    engines = _engines(batcher.join, numbers=(0, 1))
    (other,) = _engines(batcher.join, numbers=(2,), seed=1)
    engines[0]._buffers.rgb = torch.zeros(2, 2)

    def outcome(engine: Engine) -> str:
        try:
            engine.step(3)
        except RuntimeError:
            return "failed"
        finally:
            batcher.leave()
        return "made"

    outcomes = _side_by_side(*(lambda engine=engine: outcome(engine) for engine in (*engines, other)))  # type: ignore[misc]
    assert outcomes == ["failed", "failed", "made"]


def test_captured_steps_of_few_batches_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[_Counted] = []

    class _Counted(EagerSteps):
        resets = 0

        def reset(self) -> None:
            self.resets += 1

    def make(_: torch.device) -> EagerSteps:
        made.append(_Counted())
        return made[-1]

    monkeypatch.setattr("neural_seg_ros.field.batcher.make_steps", make)
    batcher = Batcher()
    engines = _engines(batcher.join, numbers=[0] * (MAX_CACHED_SETS + 1))
    for engine in (*engines, engines[-1]):
        engine.step(2)
    assert [steps.resets for steps in made] == [1] + [0] * MAX_CACHED_SETS
    # What is captured of a head that has grown, or of other options, is of no use any more.
    _annotate(engines[-1], FIRST_CAPACITY + 1)
    assert made[-1].resets == 1


def test_bfloat16_learns_as_float32_does() -> None:
    exact, short = (
        _engines(Batcher(wait_for=3).join, dataclasses.replace(TINY, precision=precision))
        for precision in ("fp32", "bf16")
    )
    for engines in (exact, short):
        _step(engines, 100)
    for one, other in zip(exact, short, strict=True):
        assert other.losses().rgb == pytest.approx(one.losses().rgb, rel=0.3)
        assert other.reconstruction().dtype == torch.float32


def test_engines_made_in_many_threads_begin_alike() -> None:
    (expected,) = _engines(numbers=(0,))
    makes = [lambda: _engines(numbers=[0] * 10)] * 6
    for engines in _side_by_side(*makes):
        for engine in engines:
            _assert_same(engine, expected)


def test_a_batcher_waits_for_somebody() -> None:
    with pytest.raises(ConfigError, match="wait_for: got 0, accepted: at least 1"):
        Batcher(wait_for=0)


@needs_cuda
def test_captured_steps_follow_steps_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def fitted() -> list[Engine]:
        engines = _engines(Batcher(wait_for=3).join, device=torch.device("cuda"))
        _step(engines, 40)
        _annotate(engines[1], 2)
        _step(engines, 40)
        _annotate(engines[0], FIRST_CAPACITY + 2)
        engines[2].set_target(_image(0))
        _step(engines, 40)
        return engines

    captured = fitted()
    monkeypatch.setattr("neural_seg_ros.field.batcher.make_steps", lambda _: EagerSteps())
    for got, expected in zip(captured, fitted(), strict=True):
        assert got.losses().total == pytest.approx(expected.losses().total, rel=0.1)
