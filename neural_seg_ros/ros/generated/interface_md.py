"""The writer of docs/interface.md: ``make generated``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from neural_seg_ros.options import Option
from neural_seg_ros.ros.camera import CAMERA
from neural_seg_ros.ros.canvas.topics import CANVAS
from neural_seg_ros.ros.consumers.detections import DETECTIONS
from neural_seg_ros.ros.consumers.labelled_cloud import LABELLED_CLOUD
from neural_seg_ros.ros.generated.parameters_yaml import yaml_value
from neural_seg_ros.ros.segmenter.interface import SEGMENTER
from neural_seg_ros.ros.segmenter.multi_segmenter import MULTI_SEGMENTER
from neural_seg_ros.ros.toolkit.interface import Interface, Service, Topic, type_name
from neural_seg_ros.ros.toolkit.qos_parameters import PUBLISHER, policies

# Interfaces of all nodes of the package; a new node is added here.
NODES = (SEGMENTER, MULTI_SEGMENTER, CANVAS, LABELLED_CLOUD, DETECTIONS, CAMERA)

_HEAD = """\
# Topics, services and parameters

`make generated` writes this page from the definitions that the nodes use; tests compare it with those definitions and
with running nodes. Names are relative to the node: `~/mask` of `/segmenter` is `/segmenter/mask`. Outputs without a
subscriber cost nothing. The page omits what every ROS 2 node has: `/rosout`, `/parameter_events`, `/clock` with
simulated time, and the services for parameters and, for a lifecycle node, for its lifecycle. It also omits what tf2_ros
adds to the segmenter if it is installed: `/tf`, `/tf_static` and the service `tf2_frames`.

Parameters override the quality of service of every topic on this page, except where it is fixed by the protocol. They
cannot change while the node runs. The policies are
{policies}.
An example:

```yaml
/**/segmenter:
  ros__parameters:
    qos_overrides:
      /camera/image_raw:          # the name after remapping
        subscription:             # or publisher
          reliability: reliable
```

In one line: `-p qos_overrides./camera/image_raw.subscription.reliability:=reliable`.
"""


def interface_file() -> str:
    """Return the text of docs/interface.md."""
    words = [f"`{kind.name.lower()}`" for kind in policies(PUBLISHER)]
    head = _HEAD.format(policies=", ".join(words[:-1]) + " and " + words[-1])
    return "\n".join([head, *(_node(interface) for interface in NODES)])


def quality_text(profile: QoSProfile) -> str:
    """Describe a QoS profile in words."""
    reliability = "best effort" if profile.reliability == ReliabilityPolicy.BEST_EFFORT else "reliable"
    history = "keep all" if profile.history == HistoryPolicy.KEEP_ALL else f"keep last {profile.depth}"
    durability = "transient local, " if profile.durability == DurabilityPolicy.TRANSIENT_LOCAL else ""
    return f"{reliability}, {durability}{history}"


def _node(interface: Interface) -> str:
    lifecycle = " It is a lifecycle node." if interface.is_managed else ""
    blocks = [f"## {interface.node}\n\n{interface.about}{lifecycle}\n"]
    published = (*interface.outputs, *interface.dynamic_outputs)
    for title, topics in (("Subscribes to", interface.inputs), ("Publishes", published)):
        if topics:
            blocks.append(_table((title, "type", "quality of service", ""), map(_topic, topics)))
    for title, services in (("Service", interface.services), ("Calls", interface.clients)):
        if services:
            blocks.append(_table((title, "type", ""), map(_service, services)))
    parameters = interface.parameters()
    for title, fixed in (("Parameter, fixed once the node runs", True), ("Parameter, changeable", False)):
        rows = [_parameter(entry, default) for entry, default in parameters if entry.fixed == fixed]
        if rows:
            blocks.append(_table((title, "default", "accepted", ""), rows))
    return "\n".join(blocks)


def _topic(topic: Topic) -> tuple[str, ...]:
    quality = quality_text(topic.profile)
    if topic.lock_step is not None:
        quality += f"; in lock-step {quality_text(topic.lock_step)}"
    if topic.fixed:
        quality += "; fixed by the protocol"
    about = topic.about
    if topic.only_if is not None:
        about += f"; with `{topic.only_if[0]}: {topic.only_if[1]}`"
    return f"`{topic.name}`", _kind(topic.kind_text or type_name(topic.kind)), quality, about


def _service(service: Service) -> tuple[str, ...]:
    return f"`{service.name}`", _kind(type_name(service.kind)), service.about


def _kind(text: str) -> str:
    return ", ".join(f"`{part}`" if "/" in part else part for part in text.split(", ")).replace("`else ", "else `")


def _parameter(entry: Option, default: Any) -> tuple[str, ...]:
    accepted = "list of str" if entry.kind is list else entry.accepted
    default_text = "none (required)" if default is None else f"`{yaml_value(default)}`"
    return f"`{entry.name}`", default_text, accepted, entry.description


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join([_row(head), "|" + "---|" * len(head), *map(_row, rows)]) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    print(interface_file(), end="")
