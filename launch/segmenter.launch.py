"""Starts the segmenter on a camera: ros2 launch neural_seg_ros segmenter.launch.py image:=/camera/image_raw"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.substitutions import FindPackageShare

from launch import LaunchContext, LaunchDescription

# Where an argument is left empty, the parameters file has the word.
ARGUMENTS = (
    ("image", "image", "topic of the camera image; with image_transport:=compressed without its suffix /compressed"),
    ("camera_info", "camera_info", "topic of the camera's calibration, for clicks in 3-D"),
    ("image_transport", "", "how the camera's images arrive; empty: as params_file says"),
    ("preset", "", "defaults of the session's parameters; empty: as params_file says"),
    (
        "params_file",
        PathJoinSubstitution([FindPackageShare("neural_seg_ros"), "config", "segmenter.yaml"]),
        "YAML file of parameters, or several with commas, of which the later ones have the last word; the default one "
        "lists and describes all",
    ),
    ("namespace", "", "namespace of the node"),
    ("use_sim_time", "", "true: take the time from /clock, for a bag that is played; empty: as params_file says"),
)
CHOICES = {
    "image_transport": ["", "raw", "compressed"],
    "preset": ["", "cpu", "gpu", "thesis"],
    "use_sim_time": ["", "true", "false"],
}


def generate_launch_description() -> LaunchDescription:
    """Return one lifecycle node; it activates itself unless the parameter autostart is false."""
    declared = [
        DeclareLaunchArgument(name, default_value=value, description=text, choices=CHOICES.get(name))
        for name, value, text in ARGUMENTS
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_segmenter)])


def _segmenter(context: LaunchContext) -> list[LifecycleNode]:
    given = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    parameters = {name: given[name] for name in ("preset", "image_transport") if given[name]}
    if given["use_sim_time"]:
        parameters["use_sim_time"] = given["use_sim_time"] == "true"
    segmenter = LifecycleNode(
        package="neural_seg_ros",
        executable="segmenter",
        name="segmenter",
        namespace=given["namespace"],
        parameters=[*given["params_file"].split(","), parameters],
        remappings=[
            ("image", given["image"]),
            ("image/compressed", given["image"] + "/compressed"),
            ("camera_info", given["camera_info"]),
            ("image_mouse_left", given["image"] + "_mouse_left"),
        ],
        output="screen",
    )
    return [segmenter]
