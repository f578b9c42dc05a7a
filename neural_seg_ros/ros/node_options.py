"""The options of a small node as its parameters, changeable while it runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from neural_seg_ros.consumers.selection import written
from neural_seg_ros.errors import NeuralSegError
from neural_seg_ros.options import from_flat, options_of, to_flat
from neural_seg_ros.ros.errors import error_text
from neural_seg_ros.ros.parameters import descriptor

C = TypeVar("C")


class NodeOptions(Generic[C]):
    """Declares every option of a configuration on a node, and keeps ``config`` equal to them.

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
