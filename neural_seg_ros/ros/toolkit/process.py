"""A node as a process: start, spin, stop on SIGINT or SIGTERM with status 0."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import rclpy
from rclpy._rclpy_pybind11 import RCLError, UnknownROSArgsError
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from neural_seg_ros.errors import NeuralSegError, one_line

N = TypeVar("N", bound=Node)
_BAD_INPUT = 2


def run_node(name: str, make: Callable[[], N], spin: Callable[[N], None], args: Sequence[str] | None) -> int:
    """Make a node and spin it until ``spin`` returns or it is told to stop.

    Returns the exit status: 0, or 2 with one line on stderr when its arguments or parameters are not accepted.
    """
    # On SIGINT rclpy ends the executor; a KeyboardInterrupt beside that could strike in the middle of the clean-up.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        rclpy.init(args=args)
    except (RCLError, UnknownROSArgsError) as error:
        return _refused(name, error)
    node = None
    try:
        node = make()
        spin(node)
    except ExternalShutdownException:
        pass
    except (NeuralSegError, ParameterException) as error:
        return _refused(name, error)
    except RCLError:
        # Told to stop while it starts, what the node does next fails, as its context is gone.
        if rclpy.ok():
            raise
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _refused(name: str, error: Exception) -> int:
    print(f"{name}: {one_line(error)}", file=sys.stderr)
    return _BAD_INPUT
