"""The interface of a node: topics, services and parameters, the source of its endpoints and documentation."""

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

    name       name before remapping: ``relative``, ``~/private`` or ``/absolute``
    kind       message class
    profile    quality of service unless parameters override it
    about      one line for the documentation
    lock_step  quality of service in lock-step; None: as ``profile``
    only_if    (parameter, value) that the topic needs to exist; None: it always exists
    max_bytes  size above which a serialized message is refused without reading it; None: no limit
    kind_text  type for the documentation, where it depends on the installed packages
    fixed      True if QoS is fixed by the protocol and cannot be overridden
    """

    name: str
    kind: type
    profile: QoSProfile
    about: str
    lock_step: QoSProfile | None = None
    only_if: tuple[str, Any] | None = None
    max_bytes: int | None = None
    kind_text: str = ""
    fixed: bool = False

    def quality(self, lock_step: bool) -> QoSProfile:
        """Return a new copy of the profile, because rclpy writes overrides into it."""
        return copy.copy(self.lock_step if lock_step and self.lock_step is not None else self.profile)

    def exists(self, parameters: Mapping[str, Any]) -> bool:
        """Return whether a node with these parameters has the topic."""
        return self.only_if is None or parameters[self.only_if[0]] == self.only_if[1]


@dataclass(frozen=True)
class Service:
    """A service that a node provides or calls; ``kind`` is the service class."""

    name: str
    kind: type
    about: str


@dataclass(frozen=True)
class Interface:
    """The topics, services and parameters of a node.

    node              default name
    about             a sentence for the documentation
    dynamic_outputs   outputs created at run time, with ``<id>`` in their names
    clients           services of other nodes that this node calls
    options           (prefix, configuration); its options are parameters of the node, its values their defaults
    extra_parameters  further parameters
    is_managed        True for a lifecycle node
    listens_to_tf     True if the node listens to TF where tf2_ros is installed
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
        """Return (option with its full name, default) of every parameter except those that rclpy declares."""
        parameters = [(entry, entry.default) for entry in self.extra_parameters]
        for prefix, config in self.options:
            defaults = to_flat(config)
            for entry in options_of(type(config)):
                parameters.append((entry.named(prefix + entry.name), defaults[entry.name]))
        return parameters


def type_name(kind: type) -> str:
    """Return the graph's name of a message or service class, such as ``sensor_msgs/msg/Image``."""
    package, folder = kind.__module__.split(".")[:2]
    return f"{package}/{folder}/{kind.__name__}"
