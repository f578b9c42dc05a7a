"""Launch file of the segmenter: ros2 launch neural_seg_ros segmenter.launch.py image:=/camera/image_raw"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.substitutions import FindPackageShare

from launch import LaunchContext, LaunchDescription

# An empty argument leaves the value to the parameters file.
ARGUMENTS = (
    ("image", "image", "topic of the camera's images, without the suffix /compressed"),
    ("camera_info", "camera_info", "topic of the camera's calibration, for clicks on points in space"),
    ("image_transport", "", "transport of the images; empty: as in params_file"),
    ("preset", "", "preset of the session's parameters; empty: as in params_file"),
    (
        "params_file",
        PathJoinSubstitution([FindPackageShare("neural_seg_ros"), "config", "segmenter.yaml"]),
        "YAML file of parameters, or several with commas; later files override earlier ones; the default file "
        "describes all parameters",
    ),
    ("namespace", "", "namespace of the node"),
    ("use_sim_time", "", "true: use the time of /clock, for a played bag; empty: as in params_file"),
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
