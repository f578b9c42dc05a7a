"""The SROS2 policy allows what the nodes do and no more: compared with nodes that run, in a namespace and without."""

from __future__ import annotations

import fnmatch
import gc
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

from rclpy.expand_topic_name import expand_topic_name
from rclpy.node import Node
from rclpy.parameter import Parameter
from segmenter_rig import overrides
from shipped_nodes import CAMERAS, RUNNING, Start
from std_msgs.msg import String

from neural_seg_ros.ros.generated.interface_md import NODES
from neural_seg_ros.ros.generated.sros2_policy import policy_file
from neural_seg_ros.ros.toolkit.interface import Interface

pytestmark = pytest.mark.ros

POLICY = Path(__file__).resolve().parents[3] / "config" / "sros2_policy.xml"
RULES = {"topics": ("publish", "subscribe"), "services": ("reply", "request")}
# What is allowed without a use here: tf2_ros may be missing, and rclcpp would listen to changes of parameters.
TF = {"subscribe": {"/tf", "/tf_static"}, "reply": {"tf2_frames"}}
MISSING = {"subscribe": {"/parameter_events"}, "publish": set(), "reply": set(), "request": set()}
# The policy has the topics of the segmenter that a canvas looks for by default.
BY_DEFAULT = [(interface, start) for interface, start in RUNNING if interface in NODES]
Names = dict[str, set[str]]


def allowed(profile: ET.Element, namespace: str | None = None) -> Names:
    """Full names by what is allowed with them, as SROS2 makes them; everything in the profile is known to its schema.

    namespace  in place of the profile's own
    """
    names: Names = {rule: set() for rules in RULES.values() for rule in rules}
    node, given = str(profile.get("node")), str(profile.get("ns")) if namespace is None else namespace
    for group in profile:
        assert group.tag in RULES
        for rule, value in group.attrib.items():
            assert (rule in RULES[group.tag], value) == (True, "ALLOW")
            # No name of ROS, but what DDS takes for any name.
            names[rule] |= {expand_topic_name(str(e.text).replace("*", "ANY"), node, given) for e in group}
        assert all(entry.tag == group.tag[:-1] for entry in group)
    return {rule: {name.replace("ANY", "*") for name in found} for rule, found in names.items()}


def enclaves() -> dict[str, list[ET.Element]]:
    """Profiles by enclave."""
    root = ET.parse(POLICY).getroot()
    assert (root.tag, root.get("version"), [child.tag for child in root]) == ("policy", "0.2.0", ["enclaves"])
    found = {}
    for enclave in root[0]:
        (profiles,) = enclave
        assert (enclave.tag, profiles.tag, {profile.tag for profile in profiles}) == (
            "enclave",
            "profiles",
            {"profile"},
        )
        found[str(enclave.get("path"))] = list(profiles)
    return found


def profile_of(node: str) -> ET.Element:
    """Return the policy of the enclave of a single node."""
    return enclaves()[f"/neural_seg/{node}"][0]


def used(look: Node, name: str, namespace: str) -> Names:
    """Names by what a node does with them, as the graph has it."""
    return {
        rule: {found for found, _ in ask(name, namespace)}
        for rule, ask in {
            "subscribe": look.get_subscriber_names_and_types_by_node,
            "publish": look.get_publisher_names_and_types_by_node,
            "reply": look.get_service_names_and_types_by_node,
            "request": look.get_client_names_and_types_by_node,
        }.items()
    }


def too_little(use: Names, given: Names) -> set[tuple[str, str]]:
    """Return the names that are used and not allowed, by the DDS rule for names."""
    return {
        (rule, name)
        for rule, names in use.items()
        for name in names
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in given[rule])
    }


def too_much(use: Names, given: Names) -> Names:
    """Return the names that are allowed and not used."""
    return {rule: {p for p in patterns if not fnmatch.filter(use[rule], p)} for rule, patterns in given.items()}


def test_the_file_is_up_to_date() -> None:
    assert POLICY.read_text() == policy_file(), "make generated"


def test_every_node_has_an_enclave() -> None:
    nodes = {interface.node for interface in NODES} | {"consumer"}
    assert set(enclaves()) == {f"/neural_seg/{node}" for node in nodes}
    assert all(str(profiles[0].get("node")) in path for path, profiles in enclaves().items())


@pytest.mark.parametrize("namespace", ["/", "/left"])
@pytest.mark.parametrize(("interface", "start"), BY_DEFAULT, ids=[start.__name__ for _, start in BY_DEFAULT])
def test_the_policy_allows_what_a_node_uses_and_no_more(
    probe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interface: Interface, start: Start, namespace: str
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    # A node of the same name from an earlier test may be collected late, and leaves the graph then.
    gc.collect()
    given = allowed(profile_of(interface.node), namespace)
    options = {"namespace": namespace, "parameter_overrides": [Parameter("use_sim_time", value=True)]}
    node = probe.add(start(tmp_path, **options))
    if interface.node == "detections":
        node._labels._on_labels(String(data='{"1": "cup", "300": "spoon"}'))

    # Each topic of the camera is one of two, as is what comes with a parameter.
    conditional = {node.resolve_topic_name(topic.name) for topic in interface.inputs if topic.only_if}
    missing = {rule: {node.resolve_topic_name(name) for name in MISSING[rule] | TF.get(rule, set())} for rule in given}

    def settled() -> bool:
        use = used(probe.node, interface.node, namespace)
        assert not too_little(use, given)
        left = too_much(use, given)
        return all(names <= missing[rule] | conditional for rule, names in left.items())

    probe.until(lambda: interface.node in probe.node.get_node_names(), what="the node")
    probe.until(settled, 10, "that all is used that is allowed")


def test_several_cameras_stay_within_their_enclave(probe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    gc.collect()
    start = next(start for interface, start in RUNNING if interface.node == "multi_segmenter")
    node = probe.add(start(tmp_path))
    profiles = {(p.get("ns"), p.get("node")): allowed(p) for p in enclaves()["/neural_seg/multi_segmenter"]}
    assert set(profiles) == {("/", "multi_segmenter"), *((f"/{camera}", "segmenter") for camera in CAMERAS)}
    assert [each.get_namespace() for each in node.segmenters] == [f"/{camera}" for camera in CAMERAS]
    for (namespace, name), given in profiles.items():

        def seen(name: str = name, namespace: Any = namespace) -> bool:
            return bool(used(probe.node, name, namespace)["reply"])

        probe.until(seen, what=f"{name} in {namespace}")
        assert not too_little(used(probe.node, name, str(namespace)), given)
        if name == "segmenter":
            assert given == allowed(profile_of("segmenter"), str(namespace))


def test_a_node_of_ones_own_may_take_masks_and_nothing_else(probe: Any) -> None:
    node = probe.add(Node("consumer", parameter_overrides=overrides({"use_sim_time": True})))
    given = allowed(profile_of("consumer"))
    probe.until(lambda: used(probe.node, "consumer", "/")["reply"], what="the node")
    probe.until(lambda: used(probe.node, "consumer", "/")["reply"] == given["reply"], what="services of its parameters")
    assert not too_little(used(probe.node, node.get_name(), "/"), given)
    assert given["publish"] == {"/parameter_events", "/rosout"}
    assert not given["request"]
    offered = allowed(profile_of("segmenter"))["publish"]
    assert given["subscribe"] - {"/clock", "/parameter_events"} <= offered


def test_who_annotates_may_do_so_and_nothing_else() -> None:
    segmenter, canvas = allowed(profile_of("segmenter")), allowed(profile_of("canvas"))
    own = {"/parameter_events", "/rosout"}
    assert {name for name in canvas["publish"] - own if not name.startswith("/canvas/")} <= segmenter["subscribe"]
    assert canvas["request"] <= segmenter["reply"]
    assert not any("parameters" in name or "state" in name for name in canvas["request"])


def test_only_the_canvas_calls_services() -> None:
    callers = {path for path, profiles in enclaves().items() if any(allowed(p)["request"] for p in profiles)}
    assert callers == {"/neural_seg/canvas"}
