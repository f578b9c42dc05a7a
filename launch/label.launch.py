"""Launch file to label a camera, video or bag in RViz: ros2 launch neural_seg_ros label.launch.py video:=my.mp4"""

from launch.actions import DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import Action, LaunchContext, LaunchDescription

PACKAGE = "neural_seg_ros"
SHARE = FindPackageShare(PACKAGE)
ARGUMENTS = (
    ("image", "/camera/image_raw", "topic of the images of camera, video or bag, without the suffix /compressed"),
    ("camera_info", "/camera/camera_info", "topic of the camera's calibration, for clicks on points in space"),
    ("video", "", "video file, folder of images or image to play as a camera"),
    ("bag", "", "bag to play, with its time on /clock"),
    ("rate", "1.0", "speed of the bag in multiples of real time"),
    ("loop", "false", "true: repeat the bag; a video always repeats"),
    ("image_transport", "", "transport of the images; empty: as in params_file"),
    ("preset", "", "preset of the session's parameters; empty: as in params_file"),
    (
        "params_file",
        PathJoinSubstitution([SHARE, "config", "segmenter.yaml"]),
        "YAML file of parameters of all nodes, or several with commas; later files override earlier ones",
    ),
    ("namespace", "", "namespace of all nodes, and of the topics that RViz shows"),
    ("use_sim_time", "", "true: use the time of /clock; empty: true with a bag, otherwise as in params_file"),
    ("frame", "map", "world frame at whose origin the canvas lies"),
    ("rviz", "true", "true: open RViz"),
    ("rviz_config", PathJoinSubstitution([SHARE, "config", "label.rviz"]), "configuration file of RViz"),
    ("monitor", "false", "true: open rqt_runtime_monitor to see /diagnostics, for which RViz has no display"),
)
CHOICES = {
    "loop": ["true", "false"],
    "image_transport": ["", "raw", "compressed"],
    "preset": ["", "cpu", "gpu", "thesis"],
    "use_sim_time": ["", "true", "false"],
    "rviz": ["true", "false"],
    "monitor": ["true", "false"],
}
SEGMENTER_ARGUMENTS = ("image", "camera_info", "image_transport", "preset", "params_file", "namespace")
# A separate frame: points clicked in RViz's fixed frame are on the canvas, those in any other frame in the world.
CANVAS_FRAME = "canvas"
# Absolute in label.rviz, which can be opened without this file; remapped to the namespace here.
RVIZ_TOPICS = (
    "/segmenter/overlay",
    "/segmenter/mask_color",
    "/segmenter/confidence",
    "/segmenter/contours",
    "/canvas/update",
    "/canvas/feedback",
    "/canvas/get_interactive_markers",
)


def generate_launch_description() -> LaunchDescription:
    """Return the image source, the segmenter, the canvas with its frame, and RViz."""
    declared = [
        DeclareLaunchArgument(name, default_value=value, description=text, choices=CHOICES.get(name))
        for name, value, text in ARGUMENTS
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_nodes)])


def _nodes(context: LaunchContext) -> list[Action]:
    given = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    if given["video"] and given["bag"]:
        raise RuntimeError(f"video and bag: got {given['video']} and {given['bag']}, accepted: one of them")
    given["use_sim_time"] = given["use_sim_time"] or ("true" if given["bag"] else "")
    nodes = [*_source(given), _segmenter(given), _canvas(given), _frame(given)]
    if given["rviz"] == "true":
        nodes.append(_rviz(given))
    if given["monitor"] == "true":
        nodes.append(Node(package="rqt_runtime_monitor", executable="rqt_runtime_monitor"))
    return nodes


def _source(given: dict[str, str]) -> list[Action]:
    """Return the publisher of the images; none if a camera publishes them already."""
    if given["bag"]:
        loop = ["--loop"] if given["loop"] == "true" else []
        play = ["ros2", "bag", "play", given["bag"], "--clock", "--rate", given["rate"], *loop]
        return [ExecuteProcess(cmd=play, output="screen")]
    if given["video"]:
        topics = [
            ("image_raw", given["image"]),
            ("image_raw/compressed", given["image"] + "/compressed"),
            ("camera_info", given["camera_info"]),
        ]
        return [_node(given, "camera", topics, {"video": given["video"]})]
    return []


def _segmenter(given: dict[str, str]) -> Action:
    source = PythonLaunchDescriptionSource(PathJoinSubstitution([SHARE, "launch", "segmenter.launch.py"]))
    passed = {name: given[name] for name in (*SEGMENTER_ARGUMENTS, "use_sim_time")}
    return IncludeLaunchDescription(source, launch_arguments=passed.items())


def _canvas(given: dict[str, str]) -> Action:
    topics = [("image", given["image"]), ("image/compressed", given["image"] + "/compressed")]
    transport = {"image_transport": given["image_transport"]} if given["image_transport"] else {}
    return _node(given, "canvas", topics, {"frame_id": CANVAS_FRAME, **transport, **_time(given)})


def _frame(given: dict[str, str]) -> Action:
    """Return the publisher of the canvas's frame; RViz shows nothing in a fixed frame without a transform."""
    return Node(
        package="tf2_ros",
        executable="static_transform_publisher",
        name="canvas_frame",
        namespace=given["namespace"],
        arguments=["--frame-id", given["frame"], "--child-frame-id", CANVAS_FRAME],
    )


def _rviz(given: dict[str, str]) -> Action:
    # The action has no name, because all nodes of RViz's tools would get it.
    relative = [(topic, topic.removeprefix("/")) for topic in RVIZ_TOPICS]
    return Node(
        package="rviz2",
        executable="rviz2",
        namespace=given["namespace"],
        arguments=["-d", given["rviz_config"]],
        parameters=[_time(given)],
        remappings=[("/camera/image_raw", given["image"]), *relative],
    )


def _node(given: dict[str, str], name: str, topics: list[tuple[str, str]], parameters: dict[str, object]) -> Action:
    return Node(
        package=PACKAGE,
        executable=name,
        name=name,
        namespace=given["namespace"],
        parameters=[*given["params_file"].split(","), parameters],
        remappings=topics,
        output="screen",
    )


def _time(given: dict[str, str]) -> dict[str, object]:
    return {"use_sim_time": given["use_sim_time"] == "true"} if given["use_sim_time"] else {}
