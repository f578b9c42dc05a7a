"""A log with a bounded rate, so that a stream of bad messages does not flood it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node

from neural_seg_ros.errors import error_text

_PERIOD_SECONDS = 5.0
_MAX_KINDS = 100
_OTHER_KINDS = "others"


@dataclass
class _Line:
    logged_at: float
    suppressed: int = 0


class ThrottledLog:
    """A log that writes the first line of a kind at once, then one per period, with the number of suppressed lines.

    period  seconds
    clock   returns the time in seconds

    Any thread may log. Nothing is logged after the node's context is shut down.
    """

    def __init__(
        self, node: Node, period: float = _PERIOD_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._node, self._period, self._clock = node, period, clock
        self._lock = threading.Lock()
        self._lines: dict[Hashable, _Line] = {}

    def refused(self, source: str, error: BaseException) -> None:
        """Log an error; its kind is its source (a topic), its type and the field in its message."""
        text = error_text(error)
        field, colon, _ = text.partition(": got")
        self.error((source, type(error), field if colon else ""), text)

    def guard(self, source: str, callback: Callable[..., None]) -> Callable[..., None]:
        """Return a callback that logs exceptions by ``refused``, so that they do not end the node."""

        def call(*arguments: Any) -> None:
            try:
                callback(*arguments)
            except Exception as error:  # of any kind: the next message may be fine
                self.refused(source, error)

        return call

    def error(self, kind: Hashable, text: str) -> None:
        line = self._line_to_log(kind, text)
        if line is not None:
            self._node.get_logger().error(line)

    def warning(self, kind: Hashable, text: str) -> None:
        line = self._line_to_log(kind, text)
        if line is not None:
            self._node.get_logger().warning(line)

    def info(self, kind: Hashable, text: str) -> None:
        line = self._line_to_log(kind, text)
        if line is not None:
            self._node.get_logger().info(line)

    def _line_to_log(self, kind: Hashable, text: str) -> str | None:
        """Return the line to log now, or None."""
        if not self._node.context.ok():
            return None
        now = self._clock()
        with self._lock:
            # A sender can choose text that is part of a kind, so both memory and the number of lines are bounded.
            if kind not in self._lines and len(self._lines) >= _MAX_KINDS:
                self._lines = {key: line for key, line in self._lines.items() if now - line.logged_at < self._period}
            if kind not in self._lines and len(self._lines) >= _MAX_KINDS:
                kind = _OTHER_KINDS
            line = self._lines.get(kind)
            if line is not None and now - line.logged_at < self._period:
                line.suppressed += 1
                return None
            self._lines[kind] = _Line(now)
        return f"{text} ({line.suppressed} more like this before)" if line is not None and line.suppressed else text
