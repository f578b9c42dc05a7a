"""The segmenter's parameters: declaration from options, descriptions, changes, and refusals with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

from rcl_interfaces.msg import ParameterType
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from neural_seg_ros import SessionConfig
from neural_seg_ros.errors import ConfigError
from neural_seg_ros.live import HealthConfig, LiveConfig
from neural_seg_ros.options import flatten, options_of, to_flat
from neural_seg_ros.ros.generated.parameters_yaml import parameters_file
from neural_seg_ros.ros.segmenter.parameters import (
    NodeConfig,
    Parameters,
    Settings,
    StartConfig,
    names_of,
    parse_class_names,
)

pytestmark = pytest.mark.ros

CONFIG_FILE = Path(__file__).parents[3] / "config" / "segmenter.yaml"


class Rig:
    def __init__(self, context: Any, **parameters: Any) -> None:
        given = [Parameter(name, value=value) for name, value in parameters.items()]
        self.node = Node("parameters", context=context, parameter_overrides=given)
        self.applied: list[Settings] = []
        self.refuses: str | None = None
        self.parameters = Parameters(self.node, self._apply)

    def _apply(self, old: Settings, new: Settings) -> None:
        if self.refuses:
            raise ConfigError(self.refuses)
        if new != old:
            self.applied.append(new)

    def set(self, name: str, value: Any) -> Any:
        return self.node.set_parameters([Parameter(name, value=value)])[0]


@pytest.fixture
def rig(ros: Any) -> Iterator[Rig]:
    rig = Rig(ros)
    yield rig
    rig.node.destroy_node()


def all_options() -> dict[str, Any]:
    live = {f"live.{option.name}": option for option in options_of(LiveConfig)}
    health = {f"diagnostics.{option.name}": option for option in options_of(HealthConfig)}
    others = (option for config in (StartConfig, NodeConfig, SessionConfig) for option in options_of(config))
    return {**live, **health, **{option.name: option for option in others}}


def test_every_option_is_a_described_parameter_with_its_range(rig: Rig) -> None:
    for name, option in all_options().items():
        described = rig.node.describe_parameter(name)
        assert described.description == option.description
        assert described.type != ParameterType.PARAMETER_NOT_SET
        ranges = [*described.integer_range, *described.floating_point_range]
        if option.kind in (int, float):
            assert (ranges[0].from_value, ranges[0].to_value) == (option.low, option.high), name
        if option.choices:
            assert all(choice in described.additional_constraints for choice in option.choices)


def test_the_preset_gives_defaults_that_parameters_override(ros: Any) -> None:
    rig = Rig(ros, preset="thesis", **{"field.size": 128})
    expected = SessionConfig.preset("thesis", **{"field.size": 128})
    assert rig.parameters.settings.session == expected
    assert rig.node.get_parameter("field.code").value == expected.field.code
    rig.node.destroy_node()


def test_a_change_takes_effect(rig: Rig) -> None:
    assert rig.set("fit.click_steps", 33).successful
    assert rig.set("live.max_age", 0.2).successful
    assert rig.set("overlay_alpha", 0.5).successful
    assert rig.set("diagnostics.memory_warn_mb", 1000.0).successful
    settings = rig.parameters.settings
    assert rig.applied[-1] == settings
    assert settings.health.memory_warn_mb == 1000
    assert (settings.session.fit.click_steps, settings.live.max_age, settings.node.overlay_alpha) == (33, 0.2, 0.5)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("field.width", 7, "512"),
        ("diagnostics.dropped_warn", 1.5, "1.0"),
        ("answer", "nonsense", "fused | field"),
        ("label_bits", 12, "8 | 16"),
        ("overlay_alpha", 1.5, "1.0"),
        ("overlay_alpha", "much", "DOUBLE"),
        ("active_class", 300, "254"),
        ("session_name", "../elsewhere", "without directories"),
        ("class_names", ["dog", "1:cat"], "once"),
        ("class_names", ["x:cat"], "id:name"),
        ("class_names", ["1" * 5000 + ":cat"], "id:name"),
        ("preset", "gpu", "read-only"),
        ("live.lock_step", True, "read-only"),
        ("session_directory", "/", "read-only"),
    ],
)
def test_a_bad_change_is_refused_with_the_reason(rig: Rig, name: str, value: Any, reason: str) -> None:
    before, settings = rig.node.get_parameter(name).value, rig.parameters.settings
    result = rig.set(name, value)
    assert not result.successful
    assert reason in result.reason
    assert rig.node.get_parameter(name).value == before
    assert rig.parameters.settings is settings
    assert not rig.applied


def test_fixed_options_are_read_only(rig: Rig) -> None:
    fixed = {name for name, option in all_options().items() if option.fixed}
    assert fixed == {option.name for option in options_of(StartConfig)} | {"live.lock_step"}
    assert fixed == {name for name in all_options() if rig.node.describe_parameter(name).read_only}


def test_names_of_classes() -> None:
    assert names_of((), {1: "dog"}) == ""
    assert names_of((1, 5), {1: "dog"}) == "dog, 5"


def test_a_refusal_by_the_session_is_passed_on(rig: Rig) -> None:
    rig.refuses = "label_bits: cannot change while there are annotations"
    result = rig.set("label_bits", 16)
    assert (result.successful, result.reason) == (False, rig.refuses)
    assert rig.node.get_parameter("label_bits").value == 8


def test_invalid_start_values_are_errors(ros: Any) -> None:
    for name, value in (("field.width", 1), ("answer", "nonsense"), ("preset", "nonsense"), ("label_bits", 9)):
        with pytest.raises((ConfigError, ParameterException), match=name):
            Rig(ros, **{name: value})


def test_class_names() -> None:
    assert parse_class_names(["dog", "cat"]) == {1: "dog", 2: "cat"}
    assert parse_class_names(["0:background", "7:dog", "cat", "3: a:b "]) == {
        0: "background",
        7: "dog",
        8: "cat",
        3: "a:b",
    }
    assert parse_class_names([]) == {}


def test_the_parameters_of_a_loaded_session_are_adopted(rig: Rig) -> None:
    loaded = SessionConfig.preset("thesis")
    rig.parameters.adopt(lambda: loaded)
    assert rig.parameters.settings.session == loaded
    assert {name: rig.node.get_parameter(name).value for name in to_flat(loaded)} == to_flat(loaded)


def test_a_loaded_session_must_fit_the_parameters(ros: Any) -> None:
    rig = Rig(ros, label_bits=16, active_class=300)
    with pytest.raises(ConfigError, match="active_class"):
        rig.parameters.with_session(SessionConfig())
    rig.node.destroy_node()


def test_an_error_in_apply_refuses_the_change(rig: Rig) -> None:
    def fail(old: Settings, new: Settings) -> None:
        raise RuntimeError("out of memory")

    rig.parameters._apply = fail
    result = rig.set("fit.click_steps", 33)
    assert (result.successful, result.reason) == (False, "RuntimeError: out of memory")


def test_the_parameters_file_is_up_to_date() -> None:
    assert CONFIG_FILE.read_text() == parameters_file(), "make generated"


def test_the_parameters_file_lists_every_default(rig: Rig) -> None:
    text = parameters_file()
    # The values of the session are commented out, so that the preset sets them.
    whole = "\n".join(line.replace("# ", "", 1) if _is_option(line) else line for line in text.splitlines())
    declared = {name: rig.node.get_parameter(name).value for name in (*all_options(), "class_names")}
    assert _listed(whole) == declared
    assert not set(_listed(text)) & set(to_flat(SessionConfig()))


def _listed(text: str) -> dict[str, Any]:
    return flatten(yaml.safe_load(text)["/**/segmenter"]["ros__parameters"])


def _is_option(line: str) -> bool:
    name, colon, value = line.strip().removeprefix("# ").partition(": ")
    return line.strip().startswith("# ") and bool(colon and value) and name in to_flat(SessionConfig())
