"""The SROS2 policy allows what the segmenter does: its topics and services are those of a node that runs."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

from segmenter_rig import Rig

pytestmark = pytest.mark.ros

POLICY = Path(__file__).resolve().parents[1] / "config" / "sros2_policy.xml"
RULES = {"topics": ("publish", "subscribe"), "services": ("reply", "request")}


def allowed(profile: ET.Element) -> dict[str, set[str]]:
    """Names by what is allowed with them; everything in the profile is known to the schema."""
    names: dict[str, set[str]] = {rule: set() for rules in RULES.values() for rule in rules}
    for group in profile:
        assert group.tag in RULES
        for rule, value in group.attrib.items():
            assert (rule in RULES[group.tag], value) == (True, "ALLOW")
            names[rule] |= {str(entry.text) for entry in group}
        assert all(entry.tag == group.tag[:-1] and entry.text.startswith("/") for entry in group)
    return names


def profiles() -> dict[str, ET.Element]:
    """By enclave; one node each."""
    root = ET.parse(POLICY).getroot()
    assert (root.tag, root.get("version"), [child.tag for child in root]) == ("policy", "0.2.0", ["enclaves"])
    found = {}
    for enclave in root[0]:
        assert enclave.tag == "enclave"
        ((profile,),) = enclave
        assert (profile.tag, profile.get("ns")) == ("profile", "/")
        found[enclave.get("path")] = profile
    return found


def test_a_node_needs_nothing_that_the_policy_does_not_allow(probe: Any, tmp_path: Path) -> None:
    rig = Rig(probe, session_directory=str(tmp_path)).connected()
    node, given = rig.node, allowed(profiles()["/neural_seg/segmenter"])
    for rule, names in {
        "subscribe": node.get_subscriber_names_and_types_by_node,
        "publish": node.get_publisher_names_and_types_by_node,
        "reply": node.get_service_names_and_types_by_node,
    }.items():
        used = {name for name, _ in names("segmenter", "/")}
        assert used
        assert used <= given[rule], rule
    assert not given["request"]


def test_who_annotates_may_do_so_and_nothing_else() -> None:
    segmenter, canvas = (allowed(profiles()[f"/neural_seg/{name}"]) for name in ("segmenter", "canvas"))
    own = {"/parameter_events", "/rosout"}
    assert {name for name in canvas["publish"] - own if not name.startswith("/canvas/")} <= segmenter["subscribe"]
    assert canvas["request"] <= segmenter["reply"]
    assert not any("parameters" in name or "state" in name for name in canvas["request"])
    consumer = allowed(profiles()["/neural_seg/consumer"])
    assert consumer["publish"] == own
    assert not consumer["request"]
