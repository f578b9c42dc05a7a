"""Launch file of the consumers of masks: labeled points, masked depth, boxes and regions of interest:

ros2 launch neural_seg_ros consumers.launch.py depth:=/camera/aligned_depth_to_color/image_raw \
    camera_info:=/camera/color/camera_info
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription

ARGUMENTS = (
    ("depth", "depth", "topic of depth images aligned to the labeled camera; empty: do not start labelled_cloud"),
    ("camera_info", "camera_info", "topic of that camera's calibration"),
    ("detections", "true", "true: start detections too, for boxes and regions of interest"),
    ("segmenter", "segmenter", "name of the segmenter that publishes the masks, relative to the namespace or absolute"),
    (
        "params_file",
        "",
        "YAML file of parameters for /**/labelled_cloud: and /**/detections:, or several with commas; later files "
        "override earlier ones",
    ),
    ("namespace", "", "namespace of the nodes"),
    ("use_sim_time", "", "true: use the time of /clock, for a played bag; empty: as in params_file"),
)
CHOICES = {"use_sim_time": ["", "true", "false"], "detections": ["true", "false"]}
MASKS = ("mask", "confidence", "labels")


def generate_launch_description() -> LaunchDescription:
    """Return one process per node."""
    declared = [
        DeclareLaunchArgument(name, default_value=value, description=text, choices=CHOICES.get(name))
        for name, value, text in ARGUMENTS
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_nodes)])


def _nodes(context: LaunchContext) -> list[Node]:
    given = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    names = ["labelled_cloud"] * bool(given["depth"]) + ["detections"] * (given["detections"] == "true")
    masks = [(f"segmenter/{topic}", f"{given['segmenter']}/{topic}") for topic in MASKS]
    camera = [(topic, given[topic]) for topic in ("depth", "camera_info")]
    parameters: list[object] = [*given["params_file"].split(",")] if given["params_file"] else []
    if given["use_sim_time"]:
        parameters.append({"use_sim_time": given["use_sim_time"] == "true"})
    return [
        Node(
            package="neural_seg_ros",
            executable=name,
            name=name,
            namespace=given["namespace"],
            parameters=parameters,
            remappings=masks + (camera if name == "labelled_cloud" else []),
            output="screen",
        )
        for name in names
    ]
