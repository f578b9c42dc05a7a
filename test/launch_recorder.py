"""A fake of the modules ``launch`` and ``launch_ros`` that records the actions of a launch file and starts nothing.

It has the parts that our launch files use, and refuses what the real modules refuse: unknown keywords, a default or a
value outside the choices, and a missing argument.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import yaml

ROOT = Path(__file__).resolve().parents[1]
# Module of each executable of setup.py, for ``python -m``.
MODULES = {
    "camera": "neural_seg_ros.ros.camera",
    "canvas": "neural_seg_ros.ros.canvas.node",
    "detections": "neural_seg_ros.ros.consumers.detections",
    "labelled_cloud": "neural_seg_ros.ros.consumers.labelled_cloud",
    "multi_segmenter": "neural_seg_ros.ros.segmenter.multi_segmenter",
    "segmenter": "neural_seg_ros.ros.segmenter.node",
}


class LaunchContext:
    def __init__(self, configurations: dict[str, str]) -> None:
        self.launch_configurations = configurations


@dataclass
class LaunchConfiguration:
    name: str

    def perform(self, context: LaunchContext) -> str:
        return context.launch_configurations[self.name]


@dataclass
class FindPackageShare:
    """A substitution by the repository, which has launch/ and config/ as the installed package has."""

    package: str

    def perform(self, context: LaunchContext) -> str:
        assert self.package == "neural_seg_ros"
        return str(ROOT)


@dataclass
class PathJoinSubstitution:
    parts: list[Any]

    def perform(self, context: LaunchContext) -> str:
        return "/".join(text_of(part, context) for part in self.parts)


@dataclass
class ExecutableInPackage:
    executable: str
    package: str

    def perform(self, context: LaunchContext) -> str:
        return f"{self.package}/{self.executable}"


@dataclass
class DeclareLaunchArgument:
    name: str
    default_value: Any = field(default=None, kw_only=True)
    description: str | None = field(default=None, kw_only=True)
    choices: list[str] | None = field(default=None, kw_only=True)

    def set_in(self, context: LaunchContext) -> None:
        configurations = context.launch_configurations
        if self.name not in configurations:
            if self.default_value is None:
                raise RuntimeError(f"Required launch argument {self.name!r} was not provided.")
            configurations[self.name] = text_of(self.default_value, context)
        if self.choices is not None and configurations[self.name] not in self.choices:
            raise RuntimeError(f"Argument {self.name!r} provided value {configurations[self.name]!r} is not valid.")


@dataclass(kw_only=True)
class OpaqueFunction:
    function: Callable[[LaunchContext], list[Any] | None]


@dataclass(kw_only=True)
class ExecuteProcess:
    cmd: list[Any]
    output: str = "log"


@dataclass(kw_only=True)
class Node:
    package: str
    executable: str
    name: str | None = None
    namespace: str = ""
    parameters: list[Any] = field(default_factory=list)
    remappings: list[tuple[str, str]] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    output: str = "log"

    def parameter(self, name: str) -> Any:
        """Return the value of a parameter in its dictionaries, None if there is none."""
        return next((given[name] for given in self.parameters if isinstance(given, dict) and name in given), None)


@dataclass(kw_only=True)
class LifecycleNode(Node):
    name: str
    namespace: str


@dataclass
class PythonLaunchDescriptionSource:
    location: Any


@dataclass
class IncludeLaunchDescription:
    source: PythonLaunchDescriptionSource
    launch_arguments: Iterable[tuple[str, str]] = field(default=(), kw_only=True)


@dataclass
class RegisterEventHandler:
    event_handler: Any


@dataclass(kw_only=True)
class OnProcessExit:
    target_action: Any
    on_exit: Callable[[Any, LaunchContext], list[Any] | None]


@dataclass(kw_only=True)
class LogInfo:
    msg: str


@dataclass
class ProcessExited:
    returncode: int


@dataclass
class LaunchDescription:
    entities: list[Any]

    @property
    def arguments(self) -> dict[str, DeclareLaunchArgument]:
        return {each.name: each for each in self.entities if isinstance(each, DeclareLaunchArgument)}


_ACTIONS = (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
)
_MODULES: dict[str, tuple[type, ...]] = {
    "launch": (LaunchContext, LaunchDescription),
    "launch.actions": _ACTIONS,
    "launch.event_handlers": (OnProcessExit,),
    "launch.events": (),
    "launch.events.process": (ProcessExited,),
    "launch.launch_description_sources": (PythonLaunchDescriptionSource,),
    "launch.substitutions": (LaunchConfiguration, PathJoinSubstitution),
    "launch_ros": (),
    "launch_ros.actions": (LifecycleNode, Node),
    "launch_ros.substitutions": (ExecutableInPackage, FindPackageShare),
}


def text_of(value: Any, context: LaunchContext) -> str:
    """Return a text, or the text that replaces a substitution."""
    return value if isinstance(value, str) else str(value.perform(context))


def command(node: Node, folder: Path) -> list[str]:
    """Return the command with which launch_ros would start a node; write its parameter files into a folder."""
    ros = [] if node.name is None else ["-r", f"__node:={node.name}"]
    if node.namespace:
        ros += ["-r", "__ns:=/" + node.namespace.strip("/")]
    for number, given in enumerate(node.parameters):
        file = Path(given) if isinstance(given, str) else folder / f"{node.executable}_{number}.yaml"
        if isinstance(given, dict):
            file.write_text(yaml.safe_dump({"/**": {"ros__parameters": given}}))
        ros += ["--params-file", str(file)]
    for old, new in node.remappings:
        ros += ["-r", f"{old}:={new}"]
    return [sys.executable, "-m", MODULES[node.executable], *node.arguments, "--ros-args", *ros]


def describe(path: Path) -> LaunchDescription:
    """Return the description that a launch file generates."""
    modules = {name: ModuleType(name) for name in _MODULES}
    for name, members in _MODULES.items():
        for member in members:
            setattr(modules[name], member.__name__, member)
    modules["launch"].Action = object  # type: ignore[attr-defined]
    spec = importlib.util.spec_from_file_location(path.name.replace(".", "_"), path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with mock.patch.dict(sys.modules, modules):
        spec.loader.exec_module(module)
    description = module.generate_launch_description()
    assert isinstance(description, LaunchDescription)
    return description


def run(path: Path, **arguments: str) -> list[Any]:
    """Return the actions of a launch file and of the files it includes, for arguments ``name:=value``."""
    context = LaunchContext(dict(arguments))
    actions: list[Any] = []
    for entity in describe(path).entities:
        if isinstance(entity, DeclareLaunchArgument):
            entity.set_in(context)
        else:
            assert isinstance(entity, OpaqueFunction)
            actions += entity.function(context) or []
    flat: list[Any] = []
    for action in actions:
        if isinstance(action, IncludeLaunchDescription):
            included = Path(text_of(action.source.location, context))
            flat += run(included, **dict(action.launch_arguments))
        else:
            flat.append(action)
    return flat
