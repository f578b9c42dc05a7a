"""The node ``canvas``: a camera frame in RViz that is labeled with the mouse, with nothing but RViz's own displays."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import rclpy
from geometry_msgs.msg import PointStamped
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_srvs.srv import Trigger
from visualization_msgs.msg import InteractiveMarkerFeedback

from neural_seg_ros.annotations.ros_messages import stamp_of
from neural_seg_ros.ros.canvas import (
    Action,
    Board,
    Command,
    Draw,
    FrameCheck,
    Freeze,
    Notify,
    Pointer,
    caption,
    choose,
    entries,
    with_suggestion,
)
from neural_seg_ros.ros.canvas.feed import CanvasFrame, Feed
from neural_seg_ros.ros.canvas.geometry import Vector
from neural_seg_ros.ros.canvas.marker_server import FEEDBACK, NAMESPACE, marker_server
from neural_seg_ros.ros.canvas.messages import (
    MARKER_NAME,
    annotation_marker,
    event_of,
    frame_number,
    interactive_marker,
    reanswer_marker,
)
from neural_seg_ros.ros.canvas.settings import CanvasConfig
from neural_seg_ros.ros.canvas.topics import CanvasTopics
from neural_seg_ros.ros.toolkit.endpoints import Endpoints
from neural_seg_ros.ros.toolkit.node_parameters import declare
from neural_seg_ros.ros.toolkit.process import run_node
from neural_seg_ros.ros.toolkit.throttled_log import ThrottledLog

_TICK_SECONDS = 0.05
_MAX_CLIENT_NAME = 200


class Canvas(Node):
    """The node that shows a frame as an interactive marker and sends drawings on it to the segmenter.

    A drawing waits until the segmenter has confirmed that it still has the frame, so that a click cannot end up on
    another picture. Raises ConfigError for parameters that are not accepted.
    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__("canvas", **node_options)
        self._config = config = declare(self, CanvasConfig)
        self._surface = config.make_surface()
        self._board = Board(config.stroke_width)
        self._frame_check = FrameCheck(config.patience)
        self._frame: CanvasFrame | None = None
        self._notice = ""
        self._dirty = False
        self._next_frame = 0.0
        self._touched_at = time.monotonic()
        # Keys differ between runs, so that annotations of an earlier run are not replaced.
        self._first_key = time.time_ns() // 1_000_000 % 2**30
        self._log = log = ThrottledLog(self)
        topics, parameters = CanvasTopics(config.segmenter), dataclasses.asdict(config)
        endpoints = Endpoints(self, topics.interface, log, exists=lambda topic: topic.exists(parameters))
        self._annotations = endpoints.publisher(topics.annotation)
        self._commands: dict[Command, Any] = {
            command: self.create_client(service.kind, service.name) for command, service in topics.commands.items()
        }
        image = topics.image(config.image_transport)
        self._feed = Feed(endpoints, topics, image, self._on_overlay, self._on_change, self._on_status)
        endpoints.subscription(topics.clicked_point, self._on_clicked_point)
        # The server of the package does not catch exceptions of callbacks.
        self._server = marker_server(self, endpoints, log.guard(FEEDBACK.name, self._on_feedback))
        # With use_sim_time the node's clock stands still until a time is published, so the timer has its own clock.
        self.create_timer(_TICK_SECONDS, log.guard("tick", self._tick), clock=Clock(clock_type=ClockType.STEADY_TIME))
        place = self.resolve_topic_name(NAMESPACE)
        self.get_logger().info(f"serves the interactive marker {place}, its surface: {self._surface.kind}")

    def destroy_node(self) -> None:
        """Take the marker away, then destroy the node."""
        if hasattr(self, "_server"):
            self._server.destroy()
        super().destroy_node()

    # -- inputs --------------------------------------------------------------------------------------------------------

    def _on_feedback(self, message: InteractiveMarkerFeedback) -> None:
        if message.marker_name != MARKER_NAME:
            return
        self._touched_at = time.monotonic()
        if message.event_type == InteractiveMarkerFeedback.MENU_SELECT:
            self._apply(choose(message.menu_entry_id, self._board))
            self._dirty = True
            return
        event = event_of(message)
        if event is None:
            return
        if message.header.frame_id.lstrip("/") != self._config.frame_id.lstrip("/"):
            self._notify(f"feedback frame: got {message.header.frame_id!r}, accepted: {self._config.frame_id!r}")
            return
        point = message.mouse_point
        pixel = self._pixel((point.x, point.y, point.z)) if message.mouse_point_valid else None
        client = message.client_id[:_MAX_CLIENT_NAME]
        self._apply(self._board.point(frame_number(message), Pointer(client, event, pixel, time.monotonic())))

    def _on_clicked_point(self, message: PointStamped) -> None:
        # Points in other coordinate frames are for the segmenter.
        if message.header.frame_id.lstrip("/") != self._config.frame_id.lstrip("/"):
            return
        frame, pixel = self._frame, self._pixel((message.point.x, message.point.y, message.point.z))
        # Another canvas may lie beside this one.
        if frame is not None and pixel is not None and frame.plane.inside(pixel):
            self._touched_at = time.monotonic()
            self._apply(self._board.click(pixel))

    def _on_overlay(self) -> None:
        # While live, changes are shown with the next frame.
        if self._frame is None or not self._board.frozen:
            return
        answered = self._feed.answer(self._frame)
        if answered is not None:
            self._frame, self._dirty = answered, True
            self._send(self._frame_check.confirm_frame())

    def _on_change(self) -> None:
        self._dirty = True

    def _on_status(self, another: bool) -> None:
        if not another:
            self._frame_check.confirm_sent()
        elif self._board.frozen:
            self._frame_check.start_with_another(time.monotonic())
            self._notify("the segmenter was restarted; checking whether it has the frozen frame")
            self._request_answer()

    def _pixel(self, point: Vector) -> tuple[float, float] | None:
        return None if self._frame is None else self._frame.plane.pixel(point)

    # -- commands ------------------------------------------------------------------------------------------------------

    def _apply(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Freeze):
                self._freeze()
            elif isinstance(action, Draw):
                self._draw(action)
            elif isinstance(action, Command):
                self._call(action)
            elif isinstance(action, Notify):
                self._notify(action.text)

    def _freeze(self) -> None:
        self._notice, self._dirty = "", True
        if self._frame is not None and stamp_of(self._frame.header) is None:
            self._notify(
                "frozen frame: the camera's images have no stamp, so drawings cannot be matched to their frame"
            )
        self._frame_check.start(time.monotonic())
        self._request_answer()

    def _request_answer(self) -> None:
        """Request the segmenter to answer the frozen frame again, and to hold it."""
        if self._frame is not None and self._board.frozen:
            self._annotations.publish(reanswer_marker(self._first_key, self._frame.header))

    def _draw(self, draw: Draw) -> None:
        ready, again = self._frame_check.add(draw, time.monotonic())
        if again:
            self._request_answer()
        self._send(ready)
        self._dirty = True

    def _send(self, draws: Sequence[Draw]) -> None:
        assert self._frame is not None
        for draw in draws:
            self._notice = ""
            self._annotations.publish(
                annotation_marker(draw.annotation, self._first_key + draw.key, self._frame.header)
            )

    def _call(self, command: Command) -> None:
        client = self._commands[command]
        if not (client.service_is_ready() and self._segmenter_is_alive(time.monotonic())):
            name = self.resolve_service_name(client.srv_name)
            self._notify(f"{command.value}: {name} is not available; is the segmenter running?")
            return
        answered = self._log.guard(command.value, partial(self._on_answer, command))
        client.call_async(Trigger.Request()).add_done_callback(answered)

    def _on_answer(self, command: Command, future: Any) -> None:
        if not self.context.ok():
            return
        answer = future.result()
        if answer.success:
            self._notice, self._dirty = answer.message, True
            self._log.info(("done", command), f"{command.value}: {answer.message}")
        else:
            self._notify(f"{command.value}: {answer.message}")
        self._request_answer()

    def _notify(self, text: str) -> None:
        self._notice, self._dirty = text, True
        self._log.warning(("notice", text.partition(":")[0]), text)

    # -- display -------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        now = time.monotonic()
        if self._board.frozen:
            self._expire_check(now)
        elif now >= self._next_frame:
            self._next_frame = now + 1.0 / self._config.rate
            self._follow(now)
        if self._dirty and self._server.watched():
            self._show()

    def _expire_check(self, now: float) -> None:
        if not self._segmenter_is_alive(now) and self._frame_check.lose_segmenter():
            self._notify("the segmenter is gone; drawings wait for one that has the frozen frame")
        dropped = self._frame_check.expire(now)
        if dropped is None:
            return
        lost = f"; drawings dropped: {dropped}" if dropped else ""
        if self._frame_check.other_segmenter_asked:
            # The other segmenter will never have it.
            self._board.follow_camera()
            self._notify(
                f"frozen frame: the restarted segmenter does not have it{lost}. The canvas follows the camera again"
            )
        else:
            self._notify(
                f"frozen frame: no answer within {self._config.patience:g} s{lost}. Is the segmenter running and "
                "enabled, with the same camera, and is the frame among its recent ones (live.ring)? "
                "Unfreeze for a newer frame"
            )

    def _segmenter_is_alive(self, now: float) -> bool:
        """Return whether a segmenter is alive: the services of a killed one stay for a while, its status does not."""
        # A recorder subscribes to the annotations too, but only a segmenter has its services.
        return bool(self._commands[Command.UNDO].service_is_ready()) and not self._feed.liveness.is_silent(now)

    def _follow(self, now: float) -> None:
        if not self._server.watched():
            self._touched_at = now
            self._board.follow_camera()
            if self._frame is not None:
                return
        # RViz keeps the texture of every replaced marker, so a canvas left open would fill its memory overnight.
        if self._config.idle and now - self._touched_at > self._config.idle and not self._board.resting:
            self._board.rest()
            self._dirty = True
        if self._board.resting:
            return
        frame = self._feed.newest(self._frame, self._config.plane)
        if frame is None:
            return
        if not frame.is_same(self._frame):
            self._board.show(frame.plane)
        self._frame, self._dirty = frame, True

    def _show(self) -> None:
        frame, board = self._frame, self._board
        if frame is None:
            return
        self._dirty = False
        suggestion = self._feed.suggestion(frame) if board.suggest else None
        self._server.show(
            interactive_marker(
                self._config.frame_id,
                frame.plane,
                frame.picture if suggestion is None else with_suggestion(frame.picture, suggestion),
                board.frame,
                entries(board, self._feed.class_names),
                self._caption(suggestion is None),
                self._surface,
            )
        )

    def _caption(self, nothing_suggested: bool) -> str:
        parts = [caption(self._board, self._feed.class_names)]
        if self._board.suggest and nothing_suggested:
            parts.append("no suggestion for this frame")
        if self._frame_check.waiting:
            parts.append("waits for the segmenter")
        return " | ".join([*parts, *([self._notice] if self._notice else [])])


def main(args: Sequence[str] | None = None) -> int:
    """Serve the canvas until shutdown; return 2 if parameters are not accepted."""
    return run_node("canvas", Canvas, rclpy.spin, args)


if __name__ == "__main__":
    sys.exit(main())
