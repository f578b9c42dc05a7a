"""Log lines that a stream of bad messages cannot turn into a flood."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node

from neural_seg_ros.errors import error_text

_PERIOD = 5.0
_KINDS = 100
_OTHERS = "others"


@dataclass
class _Line:
    logged: float
    held_back: int = 0


class ThrottledLog:
    """A log that writes the first line of a kind at once, then one each period, with the number held back.

    Any thread may log. Nothing is logged once the node's context is shut down.
    """

    def __init__(self, node: Node, period: float = _PERIOD, clock: Callable[[], float] = time.monotonic) -> None:
        self._node, self._period, self._clock = node, period, clock
        self._lock = threading.Lock()
        self._lines: dict[Hashable, _Line] = {}

    def refused(self, source: str, error: BaseException) -> None:
        """Log an error; its kind is its source (a topic), its type and the field that it names."""
        text = error_text(error)
        named, colon, _ = text.partition(": got")
        self.error((source, type(error), named if colon else ""), text)

    def guard(self, source: str, callback: Callable[..., None]) -> Callable[..., None]:
        """Wrap the callback of a source: exceptions are logged as ``refused`` and do not end the node."""

        def call(*arguments: Any) -> None:
            try:
                callback(*arguments)
            except Exception as error:  # whatever it is, the next message has nothing to do with it
                self.refused(source, error)

        return call

    def error(self, kind: Hashable, text: str) -> None:
        line = self._admitted(kind, text)
        if line is not None:
            self._node.get_logger().error(line)

    def warning(self, kind: Hashable, text: str) -> None:
        line = self._admitted(kind, text)
        if line is not None:
            self._node.get_logger().warning(line)

    def info(self, kind: Hashable, text: str) -> None:
        line = self._admitted(kind, text)
        if line is not None:
            self._node.get_logger().info(line)

    def _admitted(self, kind: Hashable, text: str) -> str | None:
        """Return the line to log now, if any."""
        if not self._node.context.ok():
            return None
        now = self._clock()
        with self._lock:
            # Kinds may name what a sender chose, so there must be no end of neither memory nor lines.
            if kind not in self._lines and len(self._lines) >= _KINDS:
                self._lines = {key: line for key, line in self._lines.items() if now - line.logged < self._period}
            if kind not in self._lines and len(self._lines) >= _KINDS:
                kind = _OTHERS
            line = self._lines.get(kind)
            if line is not None and now - line.logged < self._period:
                line.held_back += 1
                return None
            self._lines[kind] = _Line(now)
        return f"{text} ({line.held_back} more like this before)" if line is not None and line.held_back else text
