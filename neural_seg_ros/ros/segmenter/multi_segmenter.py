"""The node ``multi_segmenter``: a segmenter for each of several cameras, in one process."""

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
from neural_seg_ros.ros.segmenter.node import SWITCH_INTERVAL, THREADS, Segmenter
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
    # No list: rclpy cannot tell the type of an empty one, and it must be given.
    None,
    "names of the cameras; front gets the node /front/segmenter for /front/image",
    fixed=True,
)
_ACCEPTED = "a list of different names such as [front, rear], of letters, digits and _, beginning with a letter"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_REMAP = ("-r", "--remap")
# What a launch file says of the one node of a process would give all of them one name.
_NAMES_THE_NODE = re.compile(r"__(node|name|ns):=")

MULTI_SEGMENTER = Interface(
    node="multi_segmenter",
    about="Makes a `segmenter` for each of several cameras in one process, see [several cameras](multi_camera.md).",
    extra_parameters=(CAMERAS,),
)


class MultiSegmenter(Node):
    """The node that creates and ends a segmenter for each camera named in its parameter ``cameras``.

    Each is a node of its own, in its camera's namespace below that of this node. One whose parameters are not accepted
    is left out, with a line in the log, and one that cannot be configured stays unconfigured.

    segmenters  those that were made, in the order of their names in ``cameras``

    Raises ConfigError where ``cameras`` is not accepted, or no segmenter could be made.
    """

    def __init__(self, arguments: Sequence[str] = (), **node_options: Any) -> None:
        """Take the arguments of the process; the ROS arguments among them go to every segmenter."""
        super().__init__("multi_segmenter", **node_options)
        self.segmenters: list[Segmenter] = []
        self._steps = _SharedSteps()
        try:
            names = self._cameras()
            share_cores(len(names))
            common = ["--ros-args", *ros_arguments(arguments)]
            for name in names:
                self._add(name, common)
            if not self.segmenters:
                raise ConfigError(f"{CAMERAS.name}: got {names}, accepted: at least one whose parameters are accepted")
        except BaseException:
            # Nobody else can stop the workers of a node that was never made.
            self.destroy_node()
            raise

    def destroy_node(self) -> None:
        """End the segmenters, then this node; what one of them raises is raised when all are ended."""
        segmenters, self.segmenters = self.segmenters, []
        with ExitStack() as last_first:
            last_first.callback(super().destroy_node)
            for segmenter in reversed(segmenters):
                last_first.callback(segmenter.destroy_node)

    def _cameras(self) -> list[str]:
        declared = self.declare_parameter(CAMERAS.name, Parameter.Type.STRING_ARRAY, descriptor(CAMERAS))
        names = list(declared.value or [])
        if not names or len(set(names)) < len(names) or not all(_NAME.fullmatch(name) for name in names):
            raise ConfigError(f"{CAMERAS.name}: got {names}, accepted: {_ACCEPTED}")
        return names

    def _add(self, name: str, common: Sequence[str]) -> None:
        namespace = f"{self.get_namespace().rstrip('/')}/{name}"
        try:
            segmenter = Segmenter(
                self._steps.join, namespace=namespace, context=self.context, use_global_arguments=False, cli_args=common
            )
        except Exception as error:  # whatever it is, the others have nothing to do with it
            if not self.context.ok():  # told to stop
                raise
            self.get_logger().error(f"{namespace}/segmenter: {' '.join(error_text(error).split())}")
        else:
            self.segmenters.append(segmenter)


def share_cores(cameras: int) -> None:
    """Have torch compute with each camera's share of the cores, unless the user has set a number of threads.

    Read when torch is first imported.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // cameras)))


def ros_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the ROS arguments of a process, without those that name its node or the node's namespace."""
    kept: list[str] = []
    among = False
    rest = iter(arguments)
    for argument in rest:
        if argument in ("--ros-args", "--"):
            among = argument == "--ros-args"
        elif among and argument in _REMAP:
            rule = next(rest, "")
            kept += [] if _NAMES_THE_NODE.match(rule) else [argument, rule]
        elif among:
            kept.append(argument)
    return kept


class _SharedSteps:
    """The batcher that makes the steps of all cameras' sessions together where that is faster."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batcher: Batcher | None = None

    def join(self, device: torch.device) -> Steps:
        """Make the steps of one session: for ``Session(make_steps=...)``."""
        # torch takes seconds to import. Here that happens in a worker, so that the node answers to SIGINT meanwhile.
        from neural_seg_ros.field.batcher import Batcher

        with self._lock:
            self._batcher = self._batcher or Batcher()
        return self._batcher.join_where_it_pays(device)


def main(args: Sequence[str] | None = None) -> int:
    """Run the segmenters until told to stop; 2 when the cameras, or the parameters of all of them, are not accepted."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    arguments = sys.argv if args is None else args
    return run_node("multi_segmenter", lambda: MultiSegmenter(arguments), _spin, args)


def _spin(node: MultiSegmenter) -> None:
    executor = MultiThreadedExecutor(1 + THREADS * len(node.segmenters))
    for each in (node, *node.segmenters):
        executor.add_node(each)
    executor.spin()


if __name__ == "__main__":
    sys.exit(main())
