"""multi_camera.launch.py: every camera has its topics."""

from __future__ import annotations

import pytest
from launch_recorder import ROOT, Node, run

MULTI = ROOT / "launch" / "multi_camera.launch.py"


def node(**arguments: str) -> Node:
    """Return the one node that it starts."""
    (action,) = run(MULTI, **arguments)
    assert isinstance(action, Node)
    return action


def test_every_camera_has_its_topics() -> None:
    segmenters = node(cameras="[front, rear]", namespace="robot", use_sim_time="true")
    assert segmenters.parameter("cameras") == ["front", "rear"]
    assert segmenters.parameter("use_sim_time") is True
    remapped = dict(segmenters.remappings)
    assert remapped["/robot/front/image"] == "/robot/front/image_raw"
    assert remapped["/robot/rear/image/compressed"] == "/robot/rear/image_raw/compressed"


def test_topics_can_be_named() -> None:
    remapped = dict(node(cameras="[front]", images="[/a/image]").remappings)
    assert remapped["/front/image"] == "/a/image"
    assert remapped["/front/image_mouse_left"] == "/a/image_mouse_left"


def test_parameters_files_are_given_in_order() -> None:
    assert node(params_file="a.yaml,b.yaml").parameters[:2] == ["a.yaml", "b.yaml"]


@pytest.mark.parametrize(
    ("cameras", "images"), [("front", ""), ("[]", ""), ("[front, rear]", "[/a]"), ("[1, 2]", ""), ("{a: b}", "")]
)
def test_cameras_that_are_no_list_are_refused(cameras: str, images: str) -> None:
    with pytest.raises(RuntimeError, match=r"cameras|images"):
        node(cameras=cameras, images=images)
