"""The node ``multi_segmenter``: one segmenter for each of several cameras, in one process."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from rclpy.executors import MultiThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter

from neural_seg_ros.errors import ConfigError, error_text
from neural_seg_ros.options import Option
from neural_seg_ros.ros.segmenter.node import EXECUTOR_THREADS, SWITCH_INTERVAL_SECONDS, Segmenter
from neural_seg_ros.ros.toolkit.interface import Interface
from neural_seg_ros.ros.toolkit.node_parameters import descriptor
from neural_seg_ros.ros.toolkit.process import run_node

if TYPE_CHECKING:
    import torch

    from neural_seg_ros.field.batcher import Batcher
    from neural_seg_ros.field.steps import Steps

CAMERAS = Option(
    "cameras",
    list,
    # Required. An empty list would be no default either: rclpy cannot tell its type.
    None,
    "names of the cameras; camera front gets the node /front/segmenter, which segments /front/image",
    fixed=True,
)
_ACCEPTED = "a list of different names such as [front, rear], of letters, digits and _, beginning with a letter"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_REMAP = ("-r", "--remap")
# Remapping rules that name a process's single node; they would give all segmenters the same name.
_NODE_NAME_RULE = re.compile(r"__(node|name|ns):=")

MULTI_SEGMENTER = Interface(
    node="multi_segmenter",
    about="Runs a `segmenter` for each of several cameras in one process, see [several cameras](multi_camera.md).",
    extra_parameters=(CAMERAS,),
)


class MultiSegmenter(Node):
    """The node that creates and destroys a segmenter for each camera in its parameter ``cameras``.

    Each segmenter is a node in the namespace of its camera, below the namespace of this node. A segmenter with invalid
    parameters is logged and left out. A segmenter that cannot be configured stays unconfigured.

    segmenters  the created segmenters, in the order of ``cameras``

    Raises ConfigError if ``cameras`` is invalid, or if no segmenter could be created.
    """

    def __init__(self, arguments: Sequence[str] = (), **node_options: Any) -> None:
        """Create the segmenters; each gets the ROS arguments among the process's ``arguments``."""
        super().__init__("multi_segmenter", **node_options)
        self.segmenters: list[Segmenter] = []
        self._steps = _SharedSteps()
        try:
            names = self._cameras()
            share_cores(len(names))
            shared_arguments = ["--ros-args", *ros_arguments(arguments)]
            for name in names:
                self._add(name, shared_arguments)
            if not self.segmenters:
                raise ConfigError(f"{CAMERAS.name}: got {names}, accepted: at least one with valid parameters")
        except BaseException:
            # The caller gets no node that it could destroy to stop the workers.
            self.destroy_node()
            raise

    def destroy_node(self) -> None:
        """Destroy the segmenters, then this node; raise the error of one of them only after that."""
        segmenters, self.segmenters = self.segmenters, []
        # The stack runs its callbacks last to first.
        with ExitStack() as stack:
            stack.callback(super().destroy_node)
            for segmenter in reversed(segmenters):
                stack.callback(segmenter.destroy_node)

    def _cameras(self) -> list[str]:
        declared = self.declare_parameter(CAMERAS.name, Parameter.Type.STRING_ARRAY, descriptor(CAMERAS))
        names = list(declared.value or [])
        if not names or len(set(names)) < len(names) or not all(_NAME.fullmatch(name) for name in names):
            raise ConfigError(f"{CAMERAS.name}: got {names}, accepted: {_ACCEPTED}")
        return names

    def _add(self, name: str, arguments: Sequence[str]) -> None:
        namespace = f"{self.get_namespace().rstrip('/')}/{name}"
        try:
            segmenter = Segmenter(
                self._steps.join,
                namespace=namespace,
                context=self.context,
                use_global_arguments=False,
                cli_args=arguments,
            )
        except Exception as error:  # of any kind: the other cameras may be fine
            if not self.context.ok():  # a signal stops the process
                raise
            self.get_logger().error(f"{namespace}/segmenter: {' '.join(error_text(error).split())}")
        else:
            self.segmenters.append(segmenter)


def share_cores(cameras: int) -> None:
    """Limit torch's threads to each camera's share of the cores, unless the user has set OMP_NUM_THREADS.

    Call this before torch is imported, which reads the limit then.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // cameras)))


def ros_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the ROS arguments of a process, without the rules that name its node or the node's namespace."""
    selected: list[str] = []
    is_ros = False
    remaining = iter(arguments)
    for argument in remaining:
        if argument in ("--ros-args", "--"):
            is_ros = argument == "--ros-args"
        elif is_ros and argument in _REMAP:
            rule = next(remaining, "")
            selected += [] if _NODE_NAME_RULE.match(rule) else [argument, rule]
        elif is_ros:
            selected.append(argument)
    return selected


class _SharedSteps:
    """The batcher that computes the steps of all cameras' sessions together where that is faster."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batcher: Batcher | None = None

    def join(self, device: torch.device) -> Steps:
        """Return the steps of one session, for ``Session(make_steps=...)``."""
        # torch takes seconds to import. A worker imports it here, so that the node reacts to SIGINT meanwhile.
        from neural_seg_ros.field.batcher import Batcher

        with self._lock:
            self._batcher = self._batcher or Batcher()
        return self._batcher.join_where_it_pays(device)


def main(args: Sequence[str] | None = None) -> int:
    """Run the segmenters until a signal stops them.

    Returns the exit status, 2 for invalid ``cameras`` or if the parameters of every camera are invalid.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    arguments = sys.argv if args is None else args
    return run_node("multi_segmenter", lambda: MultiSegmenter(arguments), _spin, args)


def _spin(node: MultiSegmenter) -> None:
    executor = MultiThreadedExecutor(1 + EXECUTOR_THREADS * len(node.segmenters))
    for each in (node, *node.segmenters):
        executor.add_node(each)
    executor.spin()


if __name__ == "__main__":
    sys.exit(main())
