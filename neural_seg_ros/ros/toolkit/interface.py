"""The interface of a node: topics, services and parameters, from which endpoints and docs are made."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rclpy.qos import QoSProfile

from neural_seg_ros.options import Option, options_of, to_flat


@dataclass(frozen=True)
class Topic:
    """A topic that a node subscribes to or publishes on.

    name       as the node asks for it: ``relative``, ``~/private`` or ``/absolute``; launch files may remap it
    kind       message class
    profile    quality of service unless overridden
    about      one line for the documentation
    lock_step  quality of service in lock-step, where it is another
    only_if    (parameter, value) with which alone it exists, None for always
    most_bytes messages of more are refused before they are read, None for any size
    kind_text  what the documentation says of the type, where that depends on what is installed
    fixed      its quality of service is a protocol's: no parameters override it
    """

    name: str
    kind: type
    profile: QoSProfile
    about: str
    lock_step: QoSProfile | None = None
    only_if: tuple[str, Any] | None = None
    most_bytes: int | None = None
    kind_text: str = ""
    fixed: bool = False

    def quality(self, lock_step: bool) -> QoSProfile:
        """Return a new profile, as rclpy writes overrides into it."""
        return copy.copy(self.lock_step if lock_step and self.lock_step is not None else self.profile)

    def exists(self, parameters: Mapping[str, Any]) -> bool:
        """Return whether a node with these parameters has it."""
        return self.only_if is None or parameters[self.only_if[0]] == self.only_if[1]


@dataclass(frozen=True)
class Service:
    """A service that a node offers or calls; ``kind`` is the service class."""

    name: str
    kind: type
    about: str


@dataclass(frozen=True)
class Interface:
    """The topics, services and parameters of a node.

    node              its default name
    about             a sentence for the documentation
    dynamic_outputs   outputs created at run time, ``<id>`` in their names
    clients           services of other nodes that it calls
    options           (prefix, configuration) whose options are the node's parameters, with its defaults
    extra_parameters  parameters beside these
    is_managed        whether it has a lifecycle
    listens_to_tf     whether it listens to TF, where tf2_ros is installed
    """

    node: str
    about: str
    inputs: tuple[Topic, ...] = ()
    outputs: tuple[Topic, ...] = ()
    dynamic_outputs: tuple[Topic, ...] = ()
    services: tuple[Service, ...] = ()
    clients: tuple[Service, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()
    extra_parameters: tuple[Option, ...] = ()
    is_managed: bool = False
    listens_to_tf: bool = False

    def parameters(self) -> list[tuple[Option, Any]]:
        """Return (option with its full name, default) of every parameter of the node's own."""
        found = [(entry, entry.default) for entry in self.extra_parameters]
        for prefix, config in self.options:
            defaults = to_flat(config)
            for entry in options_of(type(config)):
                found.append((entry.named(prefix + entry.name), defaults[entry.name]))
        return found


def type_name(kind: type) -> str:
    """Return ``sensor_msgs/msg/Image`` of its class, as the graph names it."""
    package, folder = kind.__module__.split(".")[:2]
    return f"{package}/{folder}/{kind.__name__}"
