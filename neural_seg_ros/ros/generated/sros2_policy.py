"""The writer of config/sros2_policy.xml: ``make generated``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from neural_seg_ros.ros.generated.interface_md import NODES
from neural_seg_ros.ros.segmenter import interface
from neural_seg_ros.ros.segmenter.interface import SEGMENTER
from neural_seg_ros.ros.segmenter.multi_segmenter import MULTI_SEGMENTER
from neural_seg_ros.ros.toolkit.interface import Interface, Service, Topic

_VERSION = "0.2.0"
_FOLDER = "/neural_seg"
_CAMERAS = ("front", "rear")
_COLUMNS = 120
_HEAD = f"""\
SROS2: what each node of neural_seg_ros may do; "{_FOLDER}/consumer" is for a node of yours that takes masks.
Written by make generated from the definitions that the nodes use; docs/security.md says how it is used.
Names are those without remapping, below the profile's ns, those with ~ below its node too: in another
namespace write another ns, and where a topic is remapped its name."""
# What rclpy gives every node, and every node with a lifecycle.
_HEARS = ("/clock", "/parameter_events")
_TELLS = ("/parameter_events", "/rosout")
_SERVES = (
    "~/describe_parameters",
    "~/get_parameter_types",
    "~/get_parameters",
    "~/list_parameters",
    "~/set_parameters",
    "~/set_parameters_atomically",
    "~/get_type_description",
)
_MANAGED_TELLS = ("~/transition_event",)
_MANAGED_SERVES = (
    "~/change_state",
    "~/get_state",
    "~/get_available_states",
    "~/get_available_transitions",
    "~/get_transition_graph",
)
# What tf2_ros gives a node that listens to TF: the buffer has a service of its own.
_TF_HEARS = ("/tf", "/tf_static")
_TF_SERVES = ("tf2_frames",)

_TAKEN = (
    *(interface.RESULTS[name] for name in ("mask", "confidence")),
    interface.LABELS,
    interface.LOST,
    interface.STATUS,
)
# A node of somebody else, as an example.
CONSUMER = Interface(
    node="consumer",
    about="",
    inputs=tuple(replace(topic, name=topic.name.replace("~", SEGMENTER.node, 1)) for topic in _TAKEN),
)


@dataclass(frozen=True)
class Profile:
    """The permissions of one node: its namespace, and names as it requests them, ``*`` for any text."""

    namespace: str
    node: str
    subscribe: tuple[str, ...]
    publish: tuple[str, ...]
    reply: tuple[str, ...]
    request: tuple[str, ...]


def profile(interface: Interface, namespace: str = "/") -> Profile:
    """Return the permissions that a node with this interface needs, under its default name."""
    managed, transforms = interface.is_managed, interface.listens_to_tf
    dynamic_outputs = [topic.name.replace("<id>", "*") for topic in interface.dynamic_outputs]
    return Profile(
        namespace,
        interface.node,
        subscribe=(*_names(interface.inputs), *_HEARS, *(_TF_HEARS if transforms else ())),
        publish=(*_names(interface.outputs), *dynamic_outputs, *(_MANAGED_TELLS if managed else ()), *_TELLS),
        reply=(
            *_names(interface.services),
            *(_MANAGED_SERVES if managed else ()),
            *_SERVES,
            *(_TF_SERVES if transforms else ()),
        ),
        request=_names(interface.clients),
    )


def enclaves() -> dict[str, tuple[Profile, ...]]:
    """Return the nodes of each process, by the process's enclave."""
    found: dict[str, tuple[Profile, ...]] = {interface.node: (profile(interface),) for interface in (*NODES, CONSUMER)}
    # Each camera of the one process is a node, and a process has one enclave.
    found[MULTI_SEGMENTER.node] += tuple(profile(SEGMENTER, f"/{camera}") for camera in _CAMERAS)
    return {f"{_FOLDER}/{node}": profiles for node, profiles in found.items()}


def policy_file() -> str:
    """Return the text of config/sros2_policy.xml."""
    policy = Element("policy", version=_VERSION)
    under = SubElement(policy, "enclaves")
    for path, profiles in enclaves().items():
        enclave = SubElement(SubElement(under, "enclave", path=path), "profiles")
        for one in profiles:
            _add(enclave, one)
    indent(policy)
    comment = textwrap.fill(_HEAD, _COLUMNS, initial_indent="<!-- ", subsequent_indent=" " * 5)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{comment} -->\n{tostring(policy, encoding="unicode")}\n'


def _names(offers: Iterable[Topic | Service]) -> tuple[str, ...]:
    return tuple(offer.name for offer in offers)


def _add(profiles: Element, of: Profile) -> None:
    node = SubElement(profiles, "profile", ns=of.namespace, node=of.node)
    for kind, rule, names in (
        ("topic", "subscribe", of.subscribe),
        ("topic", "publish", of.publish),
        ("service", "reply", of.reply),
        ("service", "request", of.request),
    ):
        if names:
            allowed = SubElement(node, f"{kind}s", {rule: "ALLOW"})
            for name in names:
                SubElement(allowed, kind).text = name


if __name__ == "__main__":
    print(policy_file(), end="")
