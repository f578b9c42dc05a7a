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
SROS2 permissions of the nodes of neural_seg_ros; "{_FOLDER}/consumer" is for a node of yours that
subscribes to masks. make generated writes this file from the definitions that the nodes use; docs/security.md
explains its use. Names are those before remapping, relative to the profile's ns, and names with ~ to its node
too. For another namespace change ns; for a remapped topic change its name."""
# Topics and services that rclpy creates for every node, and for every lifecycle node.
_SUBSCRIBED = ("/clock", "/parameter_events")
_PUBLISHED = ("/parameter_events", "/rosout")
_SERVICES = (
    "~/describe_parameters",
    "~/get_parameter_types",
    "~/get_parameters",
    "~/list_parameters",
    "~/set_parameters",
    "~/set_parameters_atomically",
    "~/get_type_description",
)
_LIFECYCLE_PUBLISHED = ("~/transition_event",)
_LIFECYCLE_SERVICES = (
    "~/change_state",
    "~/get_state",
    "~/get_available_states",
    "~/get_available_transitions",
    "~/get_transition_graph",
)
# Topics and the service of tf2_ros's buffer, for nodes that listen to TF.
_TF_SUBSCRIBED = ("/tf", "/tf_static")
_TF_SERVICES = ("tf2_frames",)

_MASK_TOPICS = (
    *(interface.RESULTS[name] for name in ("mask", "confidence")),
    interface.LABELS,
    interface.LOST,
    interface.STATUS,
)
# An example of a user's own node.
CONSUMER = Interface(
    node="consumer",
    about="",
    inputs=tuple(replace(topic, name=topic.name.replace("~", SEGMENTER.node, 1)) for topic in _MASK_TOPICS),
)


@dataclass(frozen=True)
class Profile:
    """The permissions of one node: its namespace, and names before remapping, with ``*`` for any text."""

    namespace: str
    node: str
    subscribe: tuple[str, ...]
    publish: tuple[str, ...]
    reply: tuple[str, ...]
    request: tuple[str, ...]


def profile(interface: Interface, namespace: str = "/") -> Profile:
    """Return the permissions that a node with this interface needs, under its default name."""
    is_managed, listens_to_tf = interface.is_managed, interface.listens_to_tf
    dynamic_outputs = [topic.name.replace("<id>", "*") for topic in interface.dynamic_outputs]
    return Profile(
        namespace,
        interface.node,
        subscribe=(*_names(interface.inputs), *_SUBSCRIBED, *(_TF_SUBSCRIBED if listens_to_tf else ())),
        publish=(
            *_names(interface.outputs),
            *dynamic_outputs,
            *(_LIFECYCLE_PUBLISHED if is_managed else ()),
            *_PUBLISHED,
        ),
        reply=(
            *_names(interface.services),
            *(_LIFECYCLE_SERVICES if is_managed else ()),
            *_SERVICES,
            *(_TF_SERVICES if listens_to_tf else ()),
        ),
        request=_names(interface.clients),
    )


def enclaves() -> dict[str, tuple[Profile, ...]]:
    """Return the profiles of the nodes of each process, by the enclave of the process."""
    profiles: dict[str, tuple[Profile, ...]] = {
        interface.node: (profile(interface),) for interface in (*NODES, CONSUMER)
    }
    # A process has one enclave, and each camera is a node of this process.
    profiles[MULTI_SEGMENTER.node] += tuple(profile(SEGMENTER, f"/{camera}") for camera in _CAMERAS)
    return {f"{_FOLDER}/{node}": of_process for node, of_process in profiles.items()}


def policy_file() -> str:
    """Return the text of config/sros2_policy.xml."""
    policy = Element("policy", version=_VERSION)
    parent = SubElement(policy, "enclaves")
    for path, profiles in enclaves().items():
        element = SubElement(SubElement(parent, "enclave", path=path), "profiles")
        for permissions in profiles:
            _add(element, permissions)
    indent(policy)
    comment = textwrap.fill(_HEAD, _COLUMNS, initial_indent="<!-- ", subsequent_indent=" " * 5)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{comment} -->\n{tostring(policy, encoding="unicode")}\n'


def _names(entries: Iterable[Topic | Service]) -> tuple[str, ...]:
    return tuple(entry.name for entry in entries)


def _add(profiles: Element, permissions: Profile) -> None:
    node = SubElement(profiles, "profile", ns=permissions.namespace, node=permissions.node)
    for kind, rule, names in (
        ("topic", "subscribe", permissions.subscribe),
        ("topic", "publish", permissions.publish),
        ("service", "reply", permissions.reply),
        ("service", "request", permissions.request),
    ):
        if names:
            allowed = SubElement(node, f"{kind}s", {rule: "ALLOW"})
            for name in names:
                SubElement(allowed, kind).text = name


if __name__ == "__main__":
    print(policy_file(), end="")
