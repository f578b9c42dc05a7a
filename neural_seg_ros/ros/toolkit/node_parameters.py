"""The options of a small node as its parameters, changeable while it runs."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection, Sequence
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    ParameterType,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from neural_seg_ros.errors import NeuralSegError, error_text
from neural_seg_ros.options import Option, from_flat, options_of, to_flat

_TYPES = {
    bool: ParameterType.PARAMETER_BOOL,
    int: ParameterType.PARAMETER_INTEGER,
    float: ParameterType.PARAMETER_DOUBLE,
    str: ParameterType.PARAMETER_STRING,
    list: ParameterType.PARAMETER_STRING_ARRAY,
}


def declare(node: Node, config_class: type[T]) -> T:
    """Return the configuration that the parameters of a node say, declared here. Raises ConfigError."""
    entries = options_of(config_class)
    return config_class(**{o.name: node.declare_parameter(o.name, o.default, descriptor(o)).value for o in entries})


def descriptor(entry: Option) -> ParameterDescriptor:
    """Make the ROS descriptor of an option: type, description, range or choices."""
    described = ParameterDescriptor(type=_TYPES[entry.kind], description=entry.description, read_only=entry.fixed)
    low = -math.inf if entry.low is None else entry.low
    high = math.inf if entry.high is None else entry.high
    if entry.kind is int and (entry.low is not None or entry.high is not None):
        low, high = max(low, -(2**63)), min(high, sys.maxsize)
        described.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
    if entry.kind is float and (entry.low is not None or entry.high is not None):
        low, high = max(low, -sys.float_info.max), min(high, sys.float_info.max)
        described.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high))]
    if entry.choices:
        described.additional_constraints = f"one of: {entry.accepted}"
    return described


def written(value: Any) -> Any:
    """Return the text of a selection given as one id, or as a list of ids or names; anything else as it is."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(entry) for entry in value)
    return value


C = TypeVar("C")
T = TypeVar("T")


class NodeOptions(Generic[C]):
    """The options of a configuration as parameters of a node; ``config`` always equals them.

    lists    options that are text with commas in between: a parameter may give them as one number or as a list too
    changed  called after each accepted change

    Raises ConfigError for a start value that is not accepted.
    """

    def __init__(self, node: Node, defaults: C, lists: Collection[str], changed: Callable[[], None]) -> None:
        self._lists, self._changed = frozenset(lists), changed
        given = {}
        for entry, default in zip(options_of(type(defaults)), to_flat(defaults).values(), strict=True):
            described = descriptor(entry)
            # ``-p classes:=1`` is an integer to ROS, and a list of names is an array.
            described.dynamic_typing = entry.name in self._lists
            given[entry.name] = node.declare_parameter(entry.name, default, described).value
        self.config: C = from_flat(defaults, self._plain(given))
        node.add_on_set_parameters_callback(self._on_set)

    def _plain(self, values: dict[str, Any]) -> dict[str, Any]:
        return {name: written(value) if name in self._lists else value for name, value in values.items()}

    def _on_set(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        known = to_flat(self.config)
        changes = {parameter.name: parameter.value for parameter in parameters if parameter.name in known}
        try:
            self.config = from_flat(self.config, self._plain(changes))
        except NeuralSegError as error:
            return SetParametersResult(successful=False, reason=error_text(error))
        if changes:
            self._changed()
        return SetParametersResult(successful=True)
