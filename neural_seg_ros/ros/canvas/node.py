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
    Pointer,
    Say,
    caption,
    choose,
    entries,
    with_suggestion,
)
from neural_seg_ros.ros.canvas.feed import Feed, KeyFrame
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

_TICK = 0.05
_LONGEST_CLIENT = 200


class Canvas(Node):
    """The node that shows a frame as an interactive marker and sends drawings on it to the segmenter.

    Nothing is drawn on a frame before the segmenter has answered that it still has it: a click must not end up on
    another picture. Raises ConfigError for parameters that are not accepted.
    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__("canvas", **node_options)
        self._config = config = declare(self, CanvasConfig)
        self._surface = config.make_surface()
        self._board = Board(config.stroke_width)
        self._question = FrameCheck(config.patience)
        self._frame: KeyFrame | None = None
        self._said = ""
        self._dirty = False
        self._next_frame = 0.0
        self._touched = time.monotonic()
        # Its own in this run: what an earlier one drew must not be replaced.
        self._first_key = time.time_ns() // 1_000_000 % 2**30
        self._log = log = ThrottledLog(self)
        topics, parameters = CanvasTopics(config.segmenter), dataclasses.asdict(config)
        endpoints = Endpoints(self, topics.interface, log, exists=lambda topic: topic.exists(parameters))
        self._annotations = endpoints.publisher(topics.annotation)
        self._commands: dict[Command, Any] = {
            command: self.create_client(service.kind, service.name) for command, service in topics.commands.items()
        }
        image = topics.image(config.image_transport)
        self._feed = Feed(endpoints, topics, image, self._on_overlay, self._on_change, self._on_sign)
        endpoints.subscription(topics.clicked_point, self._on_clicked_point)
        # The server of the package does not catch exceptions of callbacks.
        self._server = marker_server(self, endpoints, log.guard(FEEDBACK.name, self._on_feedback))
        # Of its own, as with use_sim_time the node's clock stands still until someone publishes the time.
        self.create_timer(_TICK, log.guard("tick", self._tick), clock=Clock(clock_type=ClockType.STEADY_TIME))
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
        self._touched = time.monotonic()
        if message.event_type == InteractiveMarkerFeedback.MENU_SELECT:
            self._do(choose(message.menu_entry_id, self._board))
            self._dirty = True
            return
        event = event_of(message)
        if event is None:
            return
        if message.header.frame_id.lstrip("/") != self._config.frame_id.lstrip("/"):
            self._say(f"feedback frame: got {message.header.frame_id!r}, accepted: {self._config.frame_id!r}")
            return
        point = message.mouse_point
        pixel = self._pixel((point.x, point.y, point.z)) if message.mouse_point_valid else None
        client = message.client_id[:_LONGEST_CLIENT]
        self._do(self._board.point(frame_number(message), Pointer(client, event, pixel, time.monotonic())))

    def _on_clicked_point(self, message: PointStamped) -> None:
        # Points in other frames are of the world, and the segmenter's.
        if message.header.frame_id.lstrip("/") != self._config.frame_id.lstrip("/"):
            return
        frame, pixel = self._frame, self._pixel((message.point.x, message.point.y, message.point.z))
        # Another canvas may lie beside this one.
        if frame is not None and pixel is not None and frame.plane.inside(pixel):
            self._touched = time.monotonic()
            self._do(self._board.click(pixel))

    def _on_overlay(self) -> None:
        # While live, changes are shown with the next frame.
        if self._frame is None or not self._board.frozen:
            return
        answered = self._feed.answer(self._frame)
        if answered is not None:
            self._frame, self._dirty = answered, True
            self._send(self._question.answered())

    def _on_change(self) -> None:
        self._dirty = True

    def _on_sign(self, another: bool) -> None:
        if not another:
            self._question.alive()
        elif self._board.frozen:
            self._question.ask_another(time.monotonic())
            self._say("segmenter started again: it is asked whether it has the frozen frame")
            self._look()

    def _pixel(self, point: Vector) -> tuple[float, float] | None:
        return None if self._frame is None else self._frame.plane.pixel(point)

    # -- commands ------------------------------------------------------------------------------------------------------

    def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Freeze):
                self._freeze()
            elif isinstance(action, Draw):
                self._draw(action)
            elif isinstance(action, Command):
                self._call(action)
            elif isinstance(action, Say):
                self._say(action.text)

    def _freeze(self) -> None:
        self._said, self._dirty = "", True
        if self._frame is not None and stamp_of(self._frame.header) is None:
            self._say("frozen frame: the camera's images have no stamp, so that nothing that is drawn finds its frame")
        self._question.ask(time.monotonic())
        self._look()

    def _look(self) -> None:
        """Have the segmenter answer the frozen frame again, and keep it."""
        if self._frame is not None and self._board.frozen:
            self._annotations.publish(reanswer_marker(self._first_key, self._frame.header))

    def _draw(self, draw: Draw) -> None:
        ready, again = self._question.draw(draw, time.monotonic())
        if again:
            self._look()
        self._send(ready)
        self._dirty = True

    def _send(self, draws: Sequence[Draw]) -> None:
        assert self._frame is not None
        for draw in draws:
            self._said = ""
            self._annotations.publish(
                annotation_marker(draw.annotation, self._first_key + draw.key, self._frame.header)
            )

    def _call(self, command: Command) -> None:
        client = self._commands[command]
        if not (client.service_is_ready() and self._lives(time.monotonic())):
            name = self.resolve_service_name(client.srv_name)
            self._say(f"{command.value}: {name} is not there; is the segmenter running?")
            return
        answered = self._log.guard(command.value, partial(self._on_answer, command))
        client.call_async(Trigger.Request()).add_done_callback(answered)

    def _on_answer(self, command: Command, future: Any) -> None:
        if not self.context.ok():
            return
        answer = future.result()
        if answer.success:
            self._said, self._dirty = answer.message, True
            self._log.info(("did", command), f"{command.value}: {answer.message}")
        else:
            self._say(f"{command.value}: {answer.message}")
        self._look()

    def _say(self, text: str) -> None:
        self._said, self._dirty = text, True
        self._log.warning(("said", text.partition(":")[0]), text)

    # -- display -------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        now = time.monotonic()
        if self._board.frozen:
            self._wait(now)
        elif now >= self._next_frame:
            self._next_frame = now + 1.0 / self._config.rate
            self._follow(now)
        if self._dirty and self._server.watched():
            self._show()

    def _wait(self, now: float) -> None:
        if not self._lives(now) and self._question.forget():
            self._say("segmenter gone: what is drawn waits for one that has the frozen frame")
        dropped = self._question.given_up(now)
        if dropped is None:
            return
        lost = f"; {dropped} drawn on it are not sent" if dropped else ""
        if self._question.of_another:
            # It never will.
            self._board.go_on()
            self._say(f"frozen frame: the segmenter was started again without it{lost}. Follows the camera again")
        else:
            self._say(
                f"frozen frame: no answer within {self._config.patience:g} s{lost}. Is the segmenter running and "
                "enabled, with the same camera, and is the frame among its recent ones (live.ring)? "
                "Unfreeze for a newer frame"
            )

    def _lives(self, now: float) -> bool:
        """Return whether a segmenter is alive: the services of a killed one stay for a while, its status does not."""
        # A recorder subscribes to the annotations too, but only a segmenter has its services.
        return bool(self._commands[Command.UNDO].service_is_ready()) and not self._feed.pulse.silent(now)

    def _follow(self, now: float) -> None:
        if not self._server.watched():
            self._touched = now
            self._board.go_on()
            if self._frame is not None:
                return
        # RViz keeps the texture of a marker that was replaced: an open display must not fill its memory over night.
        if self._config.idle and now - self._touched > self._config.idle and not self._board.resting:
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
        said = [caption(self._board, self._feed.class_names)]
        if self._board.suggest and nothing_suggested:
            said.append("no suggestion for this frame")
        if self._question.waiting:
            said.append("waits for the segmenter")
        return " | ".join([*said, *([self._said] if self._said else [])])


def main(args: Sequence[str] | None = None) -> int:
    """Serve the canvas until told to stop; 2 when parameters are not accepted."""
    return run_node("canvas", Canvas, rclpy.spin, args)


if __name__ == "__main__":
    sys.exit(main())
