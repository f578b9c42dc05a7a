"""The writer of docs/interface.md: ``make generated``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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

# Every node of the package; who adds one adds its interface here.
NODES = (SEGMENTER, MULTI_SEGMENTER, CANVAS, LABELLED_CLOUD, DETECTIONS, CAMERA)

_HEAD = """\
# Topics, services and parameters

Written by `make generated` from the very definitions that the nodes use; tests compare it with these and with running
nodes. Names are relative to the node: `~/mask` of `/segmenter` is `/segmenter/mask`. Outputs without a subscriber cost
nothing. What every ROS 2 node has is not listed (`/rosout`, `/parameter_events`, with simulated time `/clock`, services
for parameters, with a lifecycle those for it), nor what tf2_ros gives the segmenter where it is installed (`/tf`,
`/tf_static`, the service `tf2_frames`).

The quality of service of every topic listed here is overridden by parameters, fixed once the node runs, for
{policies},
but where it says that it is a protocol's:

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
    kept = "keep all" if profile.history == HistoryPolicy.KEEP_ALL else f"keep last {profile.depth}"
    if profile.durability == DurabilityPolicy.TRANSIENT_LOCAL:
        kept = f"transient local, {kept}"
    return f"{reliability}, {kept}"


def _node(interface: Interface) -> str:
    lifecycle = " It has a lifecycle." if interface.is_managed else ""
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
        rows_ = [_parameter(entry, default) for entry, default in parameters if entry.fixed == fixed]
        if rows_:
            blocks.append(_table((title, "default", "accepted", ""), rows_))
    return "\n".join(blocks)


def _topic(topic: Topic) -> tuple[str, ...]:
    quality = quality_text(topic.profile)
    if topic.lock_step is not None:
        quality += f"; in lock-step {quality_text(topic.lock_step)}"
    if topic.fixed:
        quality += "; a protocol's"
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
    default_text = "none: to be given" if default is None else f"`{yaml_value(default)}`"
    return f"`{entry.name}`", default_text, accepted, entry.description


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def lines() -> Iterator[str]:
        yield _row(head)
        yield "|" + "---|" * len(head)
        yield from map(_row, rows)

    return "\n".join(lines()) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    print(interface_file(), end="")
