"""Launch files and the RViz configuration agree with the executables, topics and files of the package."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from launch_recorder import (
    ROOT,
    DeclareLaunchArgument,
    ExecuteProcess,
    LogInfo,
    Node,
    ProcessExited,
    RegisterEventHandler,
    describe,
    run,
    text_of,
)

from neural_seg_ros.cli.main import load_command

NAME = "neural_seg_ros"
FILES = sorted((ROOT / "launch").glob("*.launch.py"))
CONSUMERS, LABEL, MULTI_CAMERA, REPLAY, SEGMENTER = FILES
# Arguments with which each file starts everything that it can.
GIVEN: dict[Path, dict[str, str]] = defaultdict(
    dict,
    {
        LABEL: {"video": "my.mp4", "monitor": "true"},
        REPLAY: {"bag": "my_bag", "image_topic": "/camera/image_raw", "out": "out", "play": "true", "rviz": "true"},
    },
)
IMAGE = "rviz_default_plugins/Image"
MARKERS = "rviz_default_plugins/InteractiveMarkers"
# Classes as RViz of Jazzy writes them.
RVIZ_CLASSES = {
    "rviz_common/Displays",
    "rviz_common/Time",
    "rviz_common/Tool Properties",
    "rviz_common/Views",
    IMAGE,
    MARKERS,
    "rviz_default_plugins/FocusCamera",
    "rviz_default_plugins/Grid",
    "rviz_default_plugins/Interact",
    "rviz_default_plugins/MoveCamera",
    "rviz_default_plugins/PublishPoint",
    "rviz_default_plugins/Select",
    "rviz_default_plugins/TF",
    "rviz_default_plugins/TopDownOrtho",
}
CAMERA = "/camera/image_raw"


@pytest.fixture(scope="module")
def entry_points() -> set[str]:
    """Return the executables of the package."""
    names = re.findall(r'f"([a-z_-]+) = \{NAME\}\.', (ROOT / "setup.py").read_text())
    assert "segmenter" in names
    return set(names)


@pytest.fixture(scope="module")
def dependencies() -> set[str]:
    tags = [element for element in ET.parse(ROOT / "package.xml").getroot() if element.tag.endswith("depend")]
    return {str(element.text) for element in tags}


@pytest.fixture(scope="module")
def rviz() -> dict[str, Any]:
    content = yaml.safe_load((ROOT / "config" / "label.rviz").read_text())
    assert isinstance(content, dict)
    return content


def started(path: Path, **arguments: str) -> list[Any]:
    """Return all actions, including those after the success of a process."""
    actions = run(path, **arguments)
    for action in list(actions):
        if isinstance(action, RegisterEventHandler):
            actions += action.event_handler.on_exit(ProcessExited(0), None) or []
    return actions


def nodes(actions: list[Any]) -> dict[str, Node]:
    return {action.executable: action for action in actions if isinstance(action, Node)}


def commands(actions: list[Any]) -> list[list[str]]:
    return [
        [text_of(part, None) for part in action.cmd]  # type: ignore[arg-type]
        for action in actions
        if isinstance(action, ExecuteProcess)
    ]


def classes(part: Any) -> set[str]:
    """Return all values of Class in an RViz configuration."""
    if isinstance(part, list):
        return set().union(*map(classes, part))
    if not isinstance(part, dict):
        return set()
    own = {part["Class"]} if part.get("Class") else set()
    return own.union(*map(classes, part.values()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_arguments_are_described(path: Path) -> None:
    arguments = describe(path).arguments
    for argument in arguments.values():
        assert argument.description, f"{argument.name} is not described"
        assert argument.description[0] != argument.description[0].upper() or argument.description.split()[0].isupper()
        if argument.default_value in ("true", "false"):
            assert argument.choices == ["true", "false"], argument.name
    shared = {"params_file", "namespace", "use_sim_time"}
    assert path == REPLAY or shared <= arguments.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_usage_lines_name_existing_arguments(path: Path) -> None:
    usage = ast.get_docstring(ast.parse(path.read_text()))
    assert usage is not None
    assert f"ros2 launch neural_seg_ros {path.name}" in usage
    assert set(re.findall(r"(\w+):=", usage)) <= describe(path).arguments.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_started_executables_exist(path: Path, entry_points: set[str], dependencies: set[str]) -> None:
    actions = started(path, **GIVEN[path])
    found = nodes(actions)
    assert found
    for node in found.values():
        if node.package == NAME:
            assert node.executable in entry_points, f"{node.executable} is no entry point of setup.py"
        else:
            assert node.package in dependencies, f"{node.package} is not in package.xml"
        named = [part for part in (*node.parameters, *node.arguments) if isinstance(part, str)]
        for file in (text for text in named if text.startswith(str(ROOT))):
            assert Path(file).is_file(), file
    for command in commands(actions):
        if command[0] != "ros2":
            package, executable = command[0].split("/")
            assert package == NAME
            assert executable in entry_points
        else:
            assert command[:3] == ["ros2", "bag", "play"]
            assert {"ros2bag", "rosbag2_storage_mcap"} <= dependencies


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_values_outside_the_choices_are_refused(path: Path) -> None:
    for argument in describe(path).arguments.values():
        if argument.choices:
            with pytest.raises(RuntimeError, match=argument.name):
                run(path, **{**GIVEN[path], argument.name: "perhaps"})


def test_several_parameters_files_are_given_in_order() -> None:
    for path in (LABEL, SEGMENTER):
        for node in nodes(run(path, **{**GIVEN[path], "params_file": "a.yaml,b.yaml"})).values():
            if node.package == NAME:
                assert [part for part in node.parameters if isinstance(part, str)] == ["a.yaml", "b.yaml"]


def test_label_plays_a_video_as_the_camera() -> None:
    found = nodes(run(LABEL, video="my.mp4", image="/front/image"))
    assert found["camera"].parameter("video") == "my.mp4"
    assert ("image_raw", "/front/image") in found["camera"].remappings
    for name in ("segmenter", "canvas"):
        assert ("image", "/front/image") in found[name].remappings
    assert found["rviz2"].remappings[0] == (CAMERA, "/front/image")
    assert all(node.parameter("use_sim_time") is None for node in found.values())


def test_label_plays_a_bag_and_follows_its_time() -> None:
    actions = run(LABEL, bag="my_bag", loop="true", rate="0.5")
    (play,) = commands(actions)
    assert play == ["ros2", "bag", "play", "my_bag", "--clock", "--rate", "0.5", "--loop"]
    found = nodes(actions)
    assert "camera" not in found
    assert all(found[name].parameter("use_sim_time") is True for name in ("segmenter", "canvas", "rviz2"))


def test_label_uses_a_camera_that_runs_already() -> None:
    assert nodes(run(LABEL, rviz="false")).keys() == {"segmenter", "canvas", "static_transform_publisher"}


def test_label_refuses_two_sources() -> None:
    with pytest.raises(RuntimeError, match="video and bag"):
        run(LABEL, video="my.mp4", bag="my_bag")


def test_label_starts_all_in_its_namespace() -> None:
    found = nodes(run(LABEL, video="my.mp4", namespace="robot", frame="odom"))
    assert {node.namespace for node in found.values()} == {"robot"}
    canvas = found["canvas"].parameter("frame_id")
    assert found["static_transform_publisher"].arguments == ["--frame-id", "odom", "--child-frame-id", canvas]
    # RViz resolves relative names in its own namespace.
    assert all(new == old.removeprefix("/") for old, new in found["rviz2"].remappings[1:])


def test_rviz_knows_every_class(rviz: dict[str, Any]) -> None:
    assert classes(rviz) == RVIZ_CLASSES


def test_rviz_shows_topics_that_label_remaps(rviz: dict[str, Any]) -> None:
    displays = rviz["Visualization Manager"]["Displays"]
    images = {display["Topic"]["Value"] for display in displays if display["Class"] == IMAGE}
    assert CAMERA in images
    assert describe(LABEL).arguments["image"].default_value == CAMERA
    (canvas,) = (display for display in displays if display["Class"] == MARKERS)
    namespace = canvas["Interactive Markers Namespace"]
    protocol = {f"{namespace}/{name}" for name in ("update", "feedback", "get_interactive_markers")}
    remapped = dict(nodes(run(LABEL))["rviz2"].remappings)
    assert images | protocol == remapped.keys()
    for shown in (display for display in displays if display["Class"] == IMAGE):
        # Best effort matches reliable and best-effort cameras.
        assert shown["Topic"]["Reliability Policy"] == "Best Effort"


def test_rviz_looks_down_on_the_canvas(rviz: dict[str, Any]) -> None:
    manager = rviz["Visualization Manager"]
    # RViz publishes clicked points in the fixed frame.
    assert manager["Global Options"]["Fixed Frame"] == nodes(run(LABEL))["canvas"].parameter("frame_id")
    assert manager["Views"]["Current"]["Class"] == "rviz_default_plugins/TopDownOrtho"
    tools = {tool["Class"]: tool for tool in manager["Tools"]}
    assert manager["Tools"][0]["Class"] == "rviz_default_plugins/Interact"
    assert tools["rviz_default_plugins/PublishPoint"]["Topic"]["Value"] == "/clicked_point"


def test_rviz_shows_topics_of_the_segmenter(rviz: dict[str, Any]) -> None:
    pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)
    from neural_seg_ros.ros.segmenter.outputs import CONTOURS, RESULTS

    displays = rviz["Visualization Manager"]["Displays"]
    images = {display["Topic"]["Value"] for display in displays if display["Class"] == IMAGE}
    assert images - {CAMERA} <= {f"/segmenter/{name}" for name in (*RESULTS, *CONTOURS)}


def test_replay_is_a_command_that_neural_seg_accepts(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").touch()
    (label,) = commands(
        run(
            REPLAY,
            bag=str(tmp_path),
            image_topic="/camera/image_raw",
            out=str(tmp_path / "out"),
            annotations=str(tmp_path / "a.yaml"),
            preset="gpu",
            device="cpu",
            options="--two-pass --every 3 --set 'field.width=32'",
        )
    )
    assert label[:2] == [f"{NAME}/neural-seg", "replay"]
    given = load_command("replay").make_context("replay", label[2:]).params
    assert given["two_pass"] is True
    assert given["every"] == 3
    assert given["preset"] == "gpu"


def test_replay_plays_bag_and_masks_when_it_is_labeled() -> None:
    label, after = run(REPLAY, **GIVEN[REPLAY])
    assert after.event_handler.target_action is label
    played = after.event_handler.on_exit(ProcessExited(0), None)
    (play,) = commands(played)
    assert play == ["ros2", "bag", "play", "-i", "my_bag", "-i", "out/masks.mcap", "--clock", "--rate", "1.0"]
    assert nodes(played)["rviz2"].parameter("use_sim_time") is True
    failed = after.event_handler.on_exit(ProcessExited(1), None)
    assert [type(action) for action in failed] == [LogInfo]


def test_replay_can_play_alone() -> None:
    actions = run(REPLAY, **{**GIVEN[REPLAY], "label": "false"})
    assert [command[:3] for command in commands(actions)] == [["ros2", "bag", "play"]]


def test_replay_needs_bag_topic_and_folder() -> None:
    for name in ("bag", "image_topic", "out"):
        with pytest.raises(RuntimeError, match=name):
            run(REPLAY, **{key: value for key, value in GIVEN[REPLAY].items() if key != name})


def consumers(**arguments: str) -> dict[str, Node]:
    """Return the nodes that consumers.launch.py starts, by name."""
    return {action.name: action for action in run(CONSUMERS, **arguments)}


def test_consumers_subscribe_to_one_segmenter() -> None:
    started = consumers(
        depth="/d", camera_info="/i", segmenter="/front/segmenter", namespace="robot", use_sim_time="true"
    )
    assert started.keys() == {"labelled_cloud", "detections"}
    for node in started.values():
        assert (node.namespace, node.parameter("use_sim_time")) == ("robot", True)
        assert dict(node.remappings)["segmenter/confidence"] == "/front/segmenter/confidence"
    remapped = dict(started["labelled_cloud"].remappings)
    assert (remapped["depth"], remapped["camera_info"]) == ("/d", "/i")


def test_consumers_can_be_left_out() -> None:
    assert consumers(depth="").keys() == {"detections"}
    started = consumers(detections="false", params_file="my.yaml,site.yaml")
    assert started.keys() == {"labelled_cloud"}
    assert started["labelled_cloud"].parameters == ["my.yaml", "site.yaml"]


def multi_camera(**arguments: str) -> Node:
    """Return the one node that multi_camera.launch.py starts."""
    (action,) = run(MULTI_CAMERA, **arguments)
    assert isinstance(action, Node)
    return action


def test_every_camera_has_its_topics() -> None:
    segmenters = multi_camera(cameras="[front, rear]", namespace="robot", use_sim_time="true")
    assert segmenters.parameter("cameras") == ["front", "rear"]
    assert segmenters.parameter("use_sim_time") is True
    remapped = dict(segmenters.remappings)
    assert remapped["/robot/front/image"] == "/robot/front/image_raw"
    assert remapped["/robot/rear/image/compressed"] == "/robot/rear/image_raw/compressed"


def test_camera_topics_can_be_given() -> None:
    remapped = dict(multi_camera(cameras="[front]", images="[/a/image]").remappings)
    assert remapped["/front/image"] == "/a/image"
    assert remapped["/front/image_mouse_left"] == "/a/image_mouse_left"


def test_multi_camera_passes_parameters_files_in_order() -> None:
    assert multi_camera(params_file="a.yaml,b.yaml").parameters[:2] == ["a.yaml", "b.yaml"]


@pytest.mark.parametrize(
    ("cameras", "images"), [("front", ""), ("[]", ""), ("[front, rear]", "[/a]"), ("[1, 2]", ""), ("{a: b}", "")]
)
def test_invalid_camera_lists_are_refused(cameras: str, images: str) -> None:
    with pytest.raises(RuntimeError, match=r"cameras|images"):
        multi_camera(cameras=cameras, images=images)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_real_launch_accepts_the_files(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Build the actions with the real modules, without starting them."""
    pytest.importorskip("launch_ros.actions", reason="launch_ros is not installed", exc_type=ImportError)
    from launch.actions import OpaqueFunction

    from launch import LaunchContext

    # Make the package look installed below this prefix.
    marker = tmp_path / "share" / "ament_index" / "resource_index" / "packages" / NAME
    marker.parent.mkdir(parents=True)
    marker.touch()
    (tmp_path / "share" / NAME).symlink_to(ROOT)
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path}:{os.environ.get('AMENT_PREFIX_PATH', '')}".rstrip(":"))
    spec = importlib.util.spec_from_file_location("launch_file", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    context = LaunchContext()
    context.launch_configurations.update(GIVEN[path])
    for entity in module.generate_launch_description().entities:
        actions = entity.visit(context)
        assert not isinstance(entity, OpaqueFunction) or actions


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_show_args(path: Path) -> None:
    if shutil.which("ros2") is None:
        pytest.skip("ros2 is not installed")
    shown = subprocess.run(
        ["ros2", "launch", str(path), "--show-args"], check=True, capture_output=True, text=True, timeout=60
    )
    for argument in describe(path).arguments.values():
        assert isinstance(argument, DeclareLaunchArgument)
        assert f"'{argument.name}':" in shown.stdout
