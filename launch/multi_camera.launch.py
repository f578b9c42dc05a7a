"""Launch file of several cameras in one process:

ros2 launch neural_seg_ros multi_camera.launch.py cameras:='[front, rear]'
"""

import yaml
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchContext, LaunchDescription

ARGUMENTS = (
    ("cameras", "[front, rear]", "names of the cameras, a YAML list; camera NAME gets the node NAME/segmenter"),
    ("images", "", "topics of their images, a YAML list in the same order; empty: NAME/image_raw for each"),
    (
        "params_file",
        PathJoinSubstitution([FindPackageShare("neural_seg_ros"), "config", "segmenter.yaml"]),
        "YAML file of parameters, or several with commas; later files override earlier ones; its key "
        "/front/segmenter: is for one camera, /**/segmenter: for all",
    ),
    ("namespace", "", "namespace of the cameras"),
    ("use_sim_time", "", "true: use the time of /clock, for a played bag; empty: as in params_file"),
)
CHOICES = {"use_sim_time": ["", "true", "false"]}


def generate_launch_description() -> LaunchDescription:
    """Return one process with a segmenter for each camera."""
    declared = [
        DeclareLaunchArgument(name, default_value=value, description=text, choices=CHOICES.get(name))
        for name, value, text in ARGUMENTS
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_segmenters)])


def _segmenters(context: LaunchContext) -> list[Node]:
    given = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    above = "/" + given["namespace"].strip("/") if given["namespace"].strip("/") else ""
    cameras = _names("cameras", given["cameras"])
    images = _names("images", given["images"]) if given["images"] else [f"{above}/{name}/image_raw" for name in cameras]
    if len(images) != len(cameras):
        raise RuntimeError(f"images: got {len(images)} topics, accepted: one for each of {len(cameras)} cameras")
    parameters: dict[str, object] = {"cameras": cameras}
    if given["use_sim_time"]:
        parameters["use_sim_time"] = given["use_sim_time"] == "true"
    # The action has no name, so that use_sim_time applies to the cameras' nodes too.
    segmenters = Node(
        package="neural_seg_ros",
        executable="multi_segmenter",
        namespace=given["namespace"],
        parameters=[*given["params_file"].split(","), parameters],
        # Absolute, because a relative name would be resolved in the camera's own namespace.
        remappings=[
            (f"{above}/{name}/{topic}", image + suffix)
            for name, image in zip(cameras, images, strict=True)
            for topic, suffix in (
                ("image", ""),
                ("image/compressed", "/compressed"),
                ("image_mouse_left", "_mouse_left"),
            )
        ],
        output="screen",
    )
    return [segmenters]


def _names(argument: str, text: str) -> list[str]:
    given = yaml.safe_load(text)
    if not isinstance(given, list) or not given or not all(isinstance(name, str) for name in given):
        raise RuntimeError(f"{argument}: got {text!r}, accepted: a list such as [front, rear]")
    return given
