"""Errors of messages in the log: each kind now and then, however many messages a second have it."""

from __future__ import annotations

import re
import time

from rclpy.node import Node

from neural_seg_ros.ros.errors import error_text

_PERIOD = 5.0
_KINDS = 100


class Complaints:
    """Logs one line for each kind of error every few seconds; texts that differ in numbers alone are one kind."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._said: dict[str, float] = {}

    def error(self, error: BaseException) -> None:
        """Log an error as its user reads it."""
        if self._is_due(error_text(error)):
            self._node.get_logger().error(error_text(error))

    def warning(self, text: str) -> None:
        """Log a warning."""
        if self._is_due(text):
            self._node.get_logger().warning(text)

    def _is_due(self, text: str) -> bool:
        kind, now = re.sub(r"[\d.]+", "#", text), time.monotonic()
        if now - self._said.get(kind, -_PERIOD) < _PERIOD:
            return False
        if len(self._said) >= _KINDS:
            self._said.clear()
        self._said[kind] = now
        return bool(self._node.context.ok())
