"""consumers.launch.py: the nodes that take masks, on the topics of a camera and of a segmenter."""

from __future__ import annotations

from launch_recorder import ROOT, Node, run

CONSUMERS = ROOT / "launch" / "consumers.launch.py"


def nodes(**arguments: str) -> dict[str, Node]:
    """Return the started nodes by name."""
    return {action.name: action for action in run(CONSUMERS, **arguments)}


def test_both_nodes_take_the_masks_of_one_segmenter() -> None:
    started = nodes(depth="/d", camera_info="/i", segmenter="/front/segmenter", namespace="robot", use_sim_time="true")
    assert started.keys() == {"labelled_cloud", "detections"}
    for node in started.values():
        assert (node.namespace, node.parameter("use_sim_time")) == ("robot", True)
        assert dict(node.remappings)["segmenter/confidence"] == "/front/segmenter/confidence"
    remapped = dict(started["labelled_cloud"].remappings)
    assert (remapped["depth"], remapped["camera_info"]) == ("/d", "/i")


def test_either_can_be_left_out_and_a_file_has_the_parameters() -> None:
    assert nodes(depth="").keys() == {"detections"}
    started = nodes(detections="false", params_file="my.yaml,site.yaml")
    assert started.keys() == {"labelled_cloud"}
    assert started["labelled_cloud"].parameters == ["my.yaml", "site.yaml"]
