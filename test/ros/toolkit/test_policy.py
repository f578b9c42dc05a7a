"""The SROS2 policy allows exactly the names that running nodes use, with a namespace and without."""

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
# Names that are allowed and may be unused here: tf2_ros may be missing, and only rclcpp reads /parameter_events.
TF = {"subscribe": {"/tf", "/tf_static"}, "reply": {"tf2_frames"}}
MISSING = {"subscribe": {"/parameter_events"}, "publish": set(), "reply": set(), "request": set()}
# The policy has the topics of the canvas's default segmenter only.
BY_DEFAULT = [(interface, start) for interface, start in RUNNING if interface in NODES]
Names = dict[str, set[str]]


def allowed(profile: ET.Element, namespace: str | None = None) -> Names:
    """Return the full names in a profile by permission, resolved as SROS2 does; check the profile's schema.

    namespace  replaces the profile's own; None: keep it
    """
    names: Names = {rule: set() for rules in RULES.values() for rule in rules}
    node, given = str(profile.get("node")), str(profile.get("ns")) if namespace is None else namespace
    for group in profile:
        assert group.tag in RULES
        for rule, value in group.attrib.items():
            assert (rule in RULES[group.tag], value) == (True, "ALLOW")
            # The wildcard of DDS is no valid ROS name.
            names[rule] |= {expand_topic_name(str(e.text).replace("*", "ANY"), node, given) for e in group}
        assert all(entry.tag == group.tag[:-1] for entry in group)
    return {rule: {name.replace("ANY", "*") for name in found} for rule, found in names.items()}


def enclaves() -> dict[str, list[ET.Element]]:
    """Return the profiles by enclave."""
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
    """Return the profile of a node that has its own enclave."""
    return enclaves()[f"/neural_seg/{node}"][0]


def used(observer: Node, name: str, namespace: str) -> Names:
    """Return the names that a node uses, by permission, from the graph."""
    return {
        rule: {found for found, _ in query(name, namespace)}
        for rule, query in {
            "subscribe": observer.get_subscriber_names_and_types_by_node,
            "publish": observer.get_publisher_names_and_types_by_node,
            "reply": observer.get_service_names_and_types_by_node,
            "request": observer.get_client_names_and_types_by_node,
        }.items()
    }


def missing_permissions(use: Names, given: Names) -> set[tuple[str, str]]:
    """Return the names that are used and not allowed; wildcards match as in DDS."""
    return {
        (rule, name)
        for rule, names in use.items()
        for name in names
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in given[rule])
    }


def unused_permissions(use: Names, given: Names) -> Names:
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
def test_policy_allows_exactly_the_names_in_use(
    probe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interface: Interface, start: Start, namespace: str
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    # A node of the same name from an earlier test, if collected later, would leave the graph during this test.
    gc.collect()
    given = allowed(profile_of(interface.node), namespace)
    options = {"namespace": namespace, "parameter_overrides": [Parameter("use_sim_time", value=True)]}
    node = probe.add(start(tmp_path, **options))
    if interface.node == "detections":
        node._labels._on_labels(String(data='{"1": "cup", "300": "spoon"}'))

    # Topics that depend on a parameter may be missing, such as one of the two image topics.
    conditional = {node.resolve_topic_name(topic.name) for topic in interface.inputs if topic.only_if}
    missing = {rule: {node.resolve_topic_name(name) for name in MISSING[rule] | TF.get(rule, set())} for rule in given}

    def all_are_used() -> bool:
        use = used(probe.node, interface.node, namespace)
        assert not missing_permissions(use, given)
        unused = unused_permissions(use, given)
        return all(names <= missing[rule] | conditional for rule, names in unused.items())

    probe.until(lambda: interface.node in probe.node.get_node_names(), what="the node")
    probe.until(all_are_used, 10, "the use of all allowed names")


def test_several_cameras_stay_within_their_enclave(probe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    gc.collect()
    start = next(start for interface, start in RUNNING if interface.node == "multi_segmenter")
    node = probe.add(start(tmp_path))
    profiles = {(p.get("ns"), p.get("node")): allowed(p) for p in enclaves()["/neural_seg/multi_segmenter"]}
    assert set(profiles) == {("/", "multi_segmenter"), *((f"/{camera}", "segmenter") for camera in CAMERAS)}
    assert [each.get_namespace() for each in node.segmenters] == [f"/{camera}" for camera in CAMERAS]
    for (namespace, name), given in profiles.items():

        def is_visible(name: str = name, namespace: Any = namespace) -> bool:
            return bool(used(probe.node, name, namespace)["reply"])

        probe.until(is_visible, what=f"{name} in {namespace}")
        assert not missing_permissions(used(probe.node, name, str(namespace)), given)
        if name == "segmenter":
            assert given == allowed(profile_of("segmenter"), str(namespace))


def test_a_consumer_may_only_subscribe_to_masks(probe: Any) -> None:
    node = probe.add(Node("consumer", parameter_overrides=overrides({"use_sim_time": True})))
    given = allowed(profile_of("consumer"))
    probe.until(lambda: used(probe.node, "consumer", "/")["reply"], what="the node")
    probe.until(lambda: used(probe.node, "consumer", "/")["reply"] == given["reply"], what="services of its parameters")
    assert not missing_permissions(used(probe.node, node.get_name(), "/"), given)
    assert given["publish"] == {"/parameter_events", "/rosout"}
    assert not given["request"]
    offered = allowed(profile_of("segmenter"))["publish"]
    assert given["subscribe"] - {"/clock", "/parameter_events"} <= offered


def test_the_canvas_may_only_annotate() -> None:
    segmenter, canvas = allowed(profile_of("segmenter")), allowed(profile_of("canvas"))
    own = {"/parameter_events", "/rosout"}
    assert {name for name in canvas["publish"] - own if not name.startswith("/canvas/")} <= segmenter["subscribe"]
    assert canvas["request"] <= segmenter["reply"]
    assert not any("parameters" in name or "state" in name for name in canvas["request"])


def test_only_the_canvas_calls_services() -> None:
    callers = {path for path, profiles in enclaves().items() if any(allowed(p)["request"] for p in profiles)}
    assert callers == {"/neural_seg/canvas"}
