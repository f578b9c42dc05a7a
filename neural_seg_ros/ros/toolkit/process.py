"""A node as a process: start, spin, and exit with status 0 on SIGINT or SIGTERM."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import rclpy

# Private: rclpy raises these errors and exports them nowhere. Their public base RuntimeError would hide our own bugs.
from rclpy._rclpy_pybind11 import RCLError, UnknownROSArgsError
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from neural_seg_ros.errors import NeuralSegError, one_line

N = TypeVar("N", bound=Node)
_BAD_INPUT_STATUS = 2


def run_node(name: str, make: Callable[[], N], spin: Callable[[N], None], args: Sequence[str] | None) -> int:
    """Make a node and spin it until ``spin`` returns or a signal stops the process.

    Returns the exit status: 0, or 2 with one line on stderr for invalid arguments or parameters.
    """
    # rclpy ends the executor on SIGINT. A KeyboardInterrupt on top of that could interrupt the clean-up.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        rclpy.init(args=args)
    except (RCLError, UnknownROSArgsError) as error:
        return _report(name, error)
    node = None
    try:
        node = make()
        spin(node)
    except ExternalShutdownException:
        pass
    except (NeuralSegError, ParameterException) as error:
        return _report(name, error)
    except RCLError:
        # A signal during the start shuts the context down, and the node's next call to rclpy fails.
        if rclpy.ok():
            raise
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _report(name: str, error: Exception) -> int:
    print(f"{name}: {one_line(error)}", file=sys.stderr)
    return _BAD_INPUT_STATUS
