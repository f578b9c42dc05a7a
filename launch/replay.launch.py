"""Launch file that labels a bag, and plays the bag with its masks:

ros2 launch neural_seg_ros replay.launch.py bag:=my_bag image_topic:=/camera/image_raw annotations:=a.yaml out:=out
"""

import shlex

from launch.actions import DeclareLaunchArgument, ExecuteProcess, LogInfo, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import ExecutableInPackage, FindPackageShare

from launch import Action, LaunchContext, LaunchDescription

PACKAGE = "neural_seg_ros"
# None: the argument is required.
ARGUMENTS = (
    ("bag", None, "bag folder, .mcap, .db3 or ROS 1 .bag file; only ROS 2 bags can be played"),
    ("image_topic", None, "topic of its raw or compressed images"),
    ("out", None, "folder of the results; created if missing"),
    ("annotations", "", "YAML file of classes and annotations; empty: use those recorded in the bag"),
    ("preset", "", "preset of the session's parameters; empty: as in config, or cpu"),
    ("device", "", "device that computes the masks: auto | cpu | cuda | cuda:N; empty: as in config, or auto"),
    ("config", "", "YAML file of options of neural-seg replay, with the session's options under session:"),
    ("options", "", "further options of neural-seg replay, for example options:='--two-pass --every 3'"),
    ("label", "true", "true: run neural-seg replay; false: only play its earlier results"),
    ("play", "false", "true: play bag and masks, by one clock, after the bag is labeled"),
    ("rate", "1.0", "speed of playing in multiples of real time"),
    ("rviz", "false", "true: open RViz with the played images and confidence"),
    (
        "rviz_config",
        PathJoinSubstitution([FindPackageShare(PACKAGE), "config", "label.rviz"]),
        "configuration file of RViz",
    ),
)
CHOICES = {
    "preset": ["", "cpu", "gpu", "thesis"],
    "label": ["true", "false"],
    "play": ["true", "false"],
    "rviz": ["true", "false"],
}


def generate_launch_description() -> LaunchDescription:
    """Return neural-seg replay, then ros2 bag play of the bag and masks.mcap, each if requested."""
    declared = [
        DeclareLaunchArgument(name, default_value=value, description=text, choices=CHOICES.get(name))
        for name, value, text in ARGUMENTS
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_actions)])


def _actions(context: LaunchContext) -> list[Action]:
    given = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    play = _play(given) if given["play"] == "true" else []
    if given["label"] == "false":
        return play
    label = ExecuteProcess(cmd=_command(given), output="screen")

    def after_labeling(event: ProcessExited, context: LaunchContext) -> list[Action]:
        if event.returncode:
            return [LogInfo(msg=f"neural-seg replay failed with status {event.returncode}, so nothing is played")]
        return [LogInfo(msg=f"results are in {given['out']}"), *play]

    return [label, RegisterEventHandler(OnProcessExit(target_action=label, on_exit=after_labeling))]


def _command(given: dict[str, str]) -> list[str | ExecutableInPackage]:
    options = ["--image-topic", given["image_topic"], "--out", given["out"]]
    for name in ("annotations", "config", "preset", "device"):
        if given[name]:
            options += [f"--{name}", given[name]]
    executable = ExecutableInPackage(executable="neural-seg", package=PACKAGE)
    return [executable, "replay", given["bag"], *options, *shlex.split(given["options"])]


def _play(given: dict[str, str]) -> list[Action]:
    bags = ["-i", given["bag"], "-i", given["out"] + "/masks.mcap"]
    play = ["ros2", "bag", "play", *bags, "--clock", "--rate", given["rate"]]
    actions: list[Action] = [ExecuteProcess(cmd=play, output="screen")]
    if given["rviz"] == "true":
        rviz = Node(
            package="rviz2",
            executable="rviz2",
            arguments=["-d", given["rviz_config"]],
            parameters=[{"use_sim_time": True}],
            remappings=[("/camera/image_raw", given["image_topic"])],
        )
        actions.append(rviz)
    return actions
