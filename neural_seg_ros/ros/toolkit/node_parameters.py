"""ROS parameters of configuration options: declaration, description, and changes while the node runs."""

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

T = TypeVar("T")
_TYPES = {
    bool: ParameterType.PARAMETER_BOOL,
    int: ParameterType.PARAMETER_INTEGER,
    float: ParameterType.PARAMETER_DOUBLE,
    str: ParameterType.PARAMETER_STRING,
    list: ParameterType.PARAMETER_STRING_ARRAY,
}


def declare(node: Node, config_class: type[T]) -> T:
    """Declare the options of a configuration as parameters; return the configuration that they give.

    Raises ConfigError.
    """
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


def selection_text(value: Any) -> Any:
    """Convert a selection given as an id, or as a list of ids or names, to its text; return other values unchanged."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(entry) for entry in value)
    return value


class NodeOptions(Generic[T]):
    """The options of a configuration as parameters of a node; ``config`` always equals them.

    lists    options whose text is a list with commas; their parameters accept an integer or an array too
    changed  called after each accepted change

    Raises ConfigError for an invalid start value.
    """

    def __init__(self, node: Node, defaults: T, lists: Collection[str], changed: Callable[[], None]) -> None:
        self._lists, self._changed = frozenset(lists), changed
        values = {}
        for entry, default in zip(options_of(type(defaults)), to_flat(defaults).values(), strict=True):
            described = descriptor(entry)
            # ROS reads ``-p classes:=1`` as an integer, and a list of names as an array.
            described.dynamic_typing = entry.name in self._lists
            values[entry.name] = node.declare_parameter(entry.name, default, described).value
        self.config: T = from_flat(defaults, self._with_text(values))
        node.add_on_set_parameters_callback(self._on_set)

    def _with_text(self, values: dict[str, Any]) -> dict[str, Any]:
        return {name: selection_text(value) if name in self._lists else value for name, value in values.items()}

    def _on_set(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        known = to_flat(self.config)
        changes = {parameter.name: parameter.value for parameter in parameters if parameter.name in known}
        try:
            self.config = from_flat(self.config, self._with_text(changes))
        except NeuralSegError as error:
            return SetParametersResult(successful=False, reason=error_text(error))
        if changes:
            self._changed()
        return SetParametersResult(successful=True)
