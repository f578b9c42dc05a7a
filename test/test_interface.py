"""docs/interface.md is what the code says, and what the code says is what running nodes have."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

from rcl_interfaces.srv import ListParameters
from rclpy.parameter import Parameter
from segmenter_rig import overrides

from neural_seg_ros.ros.camera import CAMERA, Camera
from neural_seg_ros.ros.canvas import Canvas
from neural_seg_ros.ros.canvas_interface import CANVAS, CanvasTopics
from neural_seg_ros.ros.detections import DETECTIONS, Detections
from neural_seg_ros.ros.interface import Interface, Service, Topic, type_name
from neural_seg_ros.ros.interface_file import NODES, interface_file
from neural_seg_ros.ros.labelled_cloud import LABELLED_CLOUD, LabelledCloud
from neural_seg_ros.ros.multi_segmenter import MULTI_SEGMENTER, MultiSegmenter
from neural_seg_ros.ros.qos_parameters import PUBLISHER, SUBSCRIPTION, policies
from neural_seg_ros.ros.segmenter import Segmenter
from neural_seg_ros.ros.segmenter_interface import SEGMENTER
from neural_seg_ros.video import write_image

pytestmark = pytest.mark.ros

FILE = Path(__file__).parents[1] / "docs" / "interface.md"
# What rclpy gives every node (/rosout once for all of a name, of an earlier test too), and every node with a lifecycle.
TOPICS = {("/rosout", "rcl_interfaces/msg/Log"), ("/parameter_events", "rcl_interfaces/msg/ParameterEvent")}
SERVICES = {
    ("describe_parameters", "rcl_interfaces/srv/DescribeParameters"),
    ("get_parameter_types", "rcl_interfaces/srv/GetParameterTypes"),
    ("get_parameters", "rcl_interfaces/srv/GetParameters"),
    ("get_type_description", "type_description_interfaces/srv/GetTypeDescription"),
    ("list_parameters", "rcl_interfaces/srv/ListParameters"),
    ("set_parameters", "rcl_interfaces/srv/SetParameters"),
    ("set_parameters_atomically", "rcl_interfaces/srv/SetParametersAtomically"),
}
PARAMETERS = {"use_sim_time", "start_type_description_service"}
LIFECYCLE_SERVICES = {
    ("change_state", "lifecycle_msgs/srv/ChangeState"),
    ("get_available_states", "lifecycle_msgs/srv/GetAvailableStates"),
    ("get_available_transitions", "lifecycle_msgs/srv/GetAvailableTransitions"),
    ("get_state", "lifecycle_msgs/srv/GetState"),
    ("get_transition_graph", "lifecycle_msgs/srv/GetAvailableTransitions"),
}
# Subscribed to by the transform listener, where tf2_ros is installed.
TF = {("/tf", "tf2_msgs/msg/TFMessage"), ("/tf_static", "tf2_msgs/msg/TFMessage")}

Start = Callable[[Path], Any]


def segmenter(_: Path) -> Segmenter:
    return Segmenter(parameter_overrides=overrides({}))


def compressed(_: Path) -> Segmenter:
    return Segmenter(parameter_overrides=overrides({"image_transport": "compressed"}))


def camera(folder: Path) -> Camera:
    write_image(folder / "0.png", np.zeros((48, 64, 3), np.uint8))
    return Camera(parameter_overrides=[Parameter("video", value=str(folder))])


def canvas(_: Path) -> Canvas:
    return Canvas()


def canvas_of_another_segmenter(_: Path) -> Canvas:
    given = {"segmenter": "/arm/segmenter", "image_transport": "compressed"}
    return Canvas(parameter_overrides=[Parameter(name, value=value) for name, value in given.items()])


def multi_segmenter(_: Path) -> MultiSegmenter:
    return MultiSegmenter(
        ["--ros-args", "-p", "autostart:=false"], parameter_overrides=[Parameter("cameras", value=["front"])]
    )


def labelled_cloud(_: Path) -> LabelledCloud:
    node = LabelledCloud()
    node.matched.listen(True)
    return node


def detections(_: Path) -> Detections:
    node = Detections(parameter_overrides=[Parameter("use_confidence", value=False)])
    node.matched.listen(True)
    return node


RUNNING = [
    (SEGMENTER, segmenter),
    (SEGMENTER, compressed),
    (MULTI_SEGMENTER, multi_segmenter),
    (CANVAS, canvas),
    (CanvasTopics("/arm/segmenter").interface, canvas_of_another_segmenter),
    (LABELLED_CLOUD, labelled_cloud),
    (DETECTIONS, detections),
    (CAMERA, camera),
]


def test_the_file_is_up_to_date() -> None:
    assert FILE.read_text() == interface_file(), "python -m neural_seg_ros.ros.interface_file > docs/interface.md"


def test_every_node_is_looked_at() -> None:
    assert {interface.node for interface in NODES} == {interface.node for interface, _ in RUNNING}


@pytest.mark.parametrize(("interface", "start"), RUNNING, ids=[start.__name__ for _, start in RUNNING])
def test_the_graph_of_the_running_node_is_what_the_file_says(
    probe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interface: Interface, start: Start
) -> None:
    # Or a node of several cameras sets it for all tests after this one.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    # A node of the same name from an earlier test may be collected late, and take what is this one's from the graph.
    gc.collect()
    node = probe.add(start(tmp_path))
    own = {entry.name for entry, _ in interface.parameters()}
    values = {name: node.get_parameter(name).value for name in own}

    def expected(topics: tuple[Topic, ...]) -> set[tuple[str, str]]:
        return {(node.resolve_topic_name(t.name), type_name(t.kind)) for t in topics if t.exists(values)}

    inputs, outputs = expected(interface.inputs), expected(interface.outputs)

    def called(services: tuple[Service, ...]) -> set[tuple[str, str]]:
        return {(node.resolve_service_name(s.name), type_name(s.kind)) for s in services}

    services, clients = called(interface.services), called(interface.clients)
    standard = SERVICES | (LIFECYCLE_SERVICES if interface.is_managed else set())
    services |= {(f"/{interface.node}/{name}", kind) for name, kind in standard}
    transitions = {(f"/{interface.node}/transition_event", "lifecycle_msgs/msg/TransitionEvent")}
    published = outputs | (transitions if interface.is_managed else set())

    def graph(ask: Any) -> set[tuple[str, str]]:
        return {(name, kind) for name, kinds in ask(interface.node, "/") for kind in kinds} - TOPICS - TF

    look = probe.node
    probe.until(lambda: interface.node in look.get_node_names(), what="the node")
    probe.until(lambda: graph(look.get_publisher_names_and_types_by_node) == published, what=f"{published}")
    probe.until(lambda: graph(look.get_service_names_and_types_by_node) == services, what=f"{services}")
    probe.until(lambda: graph(look.get_client_names_and_types_by_node) == clients, what=f"{clients}")
    probe.until(lambda: graph(look.get_subscriber_names_and_types_by_node) == inputs, what=f"{inputs}")

    request = ListParameters.Request()
    listed = set(probe.call(ListParameters, f"/{interface.node}/list_parameters", request).result.names)
    fixed = {node.resolve_topic_name(t.name) for t in (*interface.inputs, *interface.outputs) if t.fixed}
    quality = {
        f"qos_overrides.{name}.{side}.{policy.name.lower()}"
        for side, topics in ((SUBSCRIPTION, inputs), (PUBLISHER, outputs))
        for name, _ in topics
        if name not in fixed
        for policy in policies(side)
    }
    assert listed == own | quality | PARAMETERS
