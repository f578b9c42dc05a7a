"""docs/interface.md agrees with the interfaces in the code, and these agree with running nodes."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

from rcl_interfaces.srv import ListParameters
from shipped_nodes import RUNNING, Start

from neural_seg_ros.ros.generated.interface_md import NODES, interface_file
from neural_seg_ros.ros.toolkit.interface import Interface, Service, Topic, type_name
from neural_seg_ros.ros.toolkit.qos_parameters import PUBLISHER, SUBSCRIPTION, policies

pytestmark = pytest.mark.ros

FILE = Path(__file__).parents[3] / "docs" / "interface.md"
# Names that rclpy adds to every node and every lifecycle node. Nodes of the same name share one /rosout.
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
# Subscriptions and the service of tf2_ros, where it is installed.
TF = {
    ("/tf", "tf2_msgs/msg/TFMessage"),
    ("/tf_static", "tf2_msgs/msg/TFMessage"),
    ("/tf2_frames", "tf2_msgs/srv/FrameGraph"),
}


def test_the_file_is_up_to_date() -> None:
    assert FILE.read_text() == interface_file(), "make generated"


def test_every_node_is_tested() -> None:
    assert {interface.node for interface in NODES} == {interface.node for interface, _ in RUNNING}


@pytest.mark.parametrize(("interface", "start"), RUNNING, ids=[start.__name__ for _, start in RUNNING])
def test_running_nodes_match_the_file(
    probe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interface: Interface, start: Start
) -> None:
    # multi_segmenter would set it for all later tests.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    # A node of the same name from an earlier test, if collected later, would remove names from the graph.
    gc.collect()
    node = probe.add(start(tmp_path))
    own = {entry.name for entry, _ in interface.parameters()}
    values = {name: node.get_parameter(name).value for name in own}

    def expected(topics: tuple[Topic, ...]) -> set[tuple[str, str]]:
        return {(node.resolve_topic_name(t.name), type_name(t.kind)) for t in topics if t.exists(values)}

    inputs, outputs = expected(interface.inputs), expected(interface.outputs)

    def resolved(services: tuple[Service, ...]) -> set[tuple[str, str]]:
        return {(node.resolve_service_name(s.name), type_name(s.kind)) for s in services}

    services, clients = resolved(interface.services), resolved(interface.clients)
    standard = SERVICES | (LIFECYCLE_SERVICES if interface.is_managed else set())
    services |= {(f"/{interface.node}/{name}", kind) for name, kind in standard}
    transitions = {(f"/{interface.node}/transition_event", "lifecycle_msgs/msg/TransitionEvent")}
    published = outputs | (transitions if interface.is_managed else set())

    def graph(query: Any) -> set[tuple[str, str]]:
        return {(name, kind) for name, kinds in query(interface.node, "/") for kind in kinds} - TOPICS - TF

    observer = probe.node
    probe.until(lambda: interface.node in observer.get_node_names(), what="the node")
    probe.until(lambda: graph(observer.get_publisher_names_and_types_by_node) == published, what=f"{published}")
    probe.until(lambda: graph(observer.get_service_names_and_types_by_node) == services, what=f"{services}")
    probe.until(lambda: graph(observer.get_client_names_and_types_by_node) == clients, what=f"{clients}")
    probe.until(lambda: graph(observer.get_subscriber_names_and_types_by_node) == inputs, what=f"{inputs}")

    request = ListParameters.Request()
    listed = set(probe.call(ListParameters, f"/{interface.node}/list_parameters", request).result.names)
    fixed = {node.resolve_topic_name(t.name) for t in (*interface.inputs, *interface.outputs) if t.fixed}
    qos_parameters = {
        f"qos_overrides.{name}.{side}.{policy.name.lower()}"
        for side, topics in ((SUBSCRIPTION, inputs), (PUBLISHER, outputs))
        for name, _ in topics
        if name not in fixed
        for policy in policies(side)
    }
    assert listed == own | qos_parameters | PARAMETERS
