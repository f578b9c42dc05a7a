"""A stand-in for RViz in canvas tests: a client of the interactive-marker protocol, and its mouse.

It keeps to what RViz's client does (``neural_seg_ros/ros/marker_server.py`` has the protocol): init by service, updates
in sequence, feedback in the order in which RViz tells it. Where a pixel lies it reads from the marker's triangles and
texture coordinates, as the renderer does, and not from the code that made them.
"""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from visualization_msgs.msg import InteractiveMarker, InteractiveMarkerFeedback, InteractiveMarkerUpdate, Marker
from visualization_msgs.srv import GetInteractiveMarkers

Pixel = tuple[float, float]


RELIABLE = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=100, reliability=ReliabilityPolicy.RELIABLE)


class RvizClient:
    """One RViz with an InteractiveMarkers display on a namespace."""

    def __init__(self, probe: Any, namespace: str = "/canvas", name: str = "rviz") -> None:
        self._probe = probe
        self._namespace = namespace
        self.name = name
        self.markers: dict[str, InteractiveMarker] = {}
        self.gaps = 0
        # Of the newest update that is shown.
        self.sequence = 0
        self._last: int | None = None
        self._waiting: list[InteractiveMarkerUpdate] | None = []
        node = probe.node
        self._feedback = node.create_publisher(InteractiveMarkerFeedback, f"{namespace}/feedback", RELIABLE)
        node.create_subscription(InteractiveMarkerUpdate, f"{namespace}/update", self._on_update, RELIABLE)
        probe.until(self._feedback.get_subscription_count, what="a server for feedback")

    def init(self) -> RvizClient:
        """Ask for the markers; updates up to the answer's number are old."""
        answer = self._ask()
        self.markers = {marker.name: marker for marker in answer.markers}
        self.sequence = answer.sequence_number
        waiting, self._waiting = self._waiting or [], None
        for update in waiting:
            if update.seq_num > answer.sequence_number:
                self._apply(update)
        return self

    def _ask(self) -> GetInteractiveMarkers.Response:
        """Return the server's answer; asked again every second without one, as it may not know yet where to send it."""
        node = self._probe.node
        client = node.create_client(GetInteractiveMarkers, f"{self._namespace}/get_interactive_markers")
        self._probe.until(client.service_is_ready, what="the service of the markers")
        asked: list[tuple[float, Any]] = []

        def answered() -> bool:
            now = time.monotonic()
            if not asked or now - asked[-1][0] > 1.0:
                asked.append((now, client.call_async(GetInteractiveMarkers.Request())))
            return any(future.done() for _, future in asked)

        self._probe.until(answered, what="the markers")
        node.destroy_client(client)
        return next(future.result() for _, future in asked if future.done())

    @property
    def marker(self) -> InteractiveMarker:
        (marker,) = self.markers.values()
        return marker

    @property
    def picture(self) -> Marker:
        return self.marker.controls[0].markers[0]

    @property
    def control(self) -> str:
        return str(self.marker.controls[0].name)

    @property
    def text(self) -> str:
        return " ".join(self.marker.controls[1].markers[0].text.split())

    @property
    def menu(self) -> dict[str, int]:
        """Ids of the lines by their titles."""
        return {entry.title: entry.id for entry in self.marker.menu_entries}

    def shows(self, text: str) -> bool:
        return bool(self.markers) and text in self.text

    def point(self, pixel: Pixel, size: tuple[int, int]) -> NDArray[np.float64]:
        """Return (3,) where a pixel of a frame of (height, width) is, in the marker's frame."""
        wanted = (np.array(pixel) + 0.5) / size[::-1]
        marker = self.picture
        points = np.array([(p.x, p.y, p.z) for p in marker.points]).reshape(-1, 3, 3)
        places = np.array([(c.u, c.v) for c in marker.uv_coordinates]).reshape(-1, 3, 2)
        corners = np.concatenate((places, np.ones((len(places), 3, 1))), 2)
        weights = np.stack([np.linalg.solve(corner.T, [*wanted, 1.0]) for corner in corners])
        inside = int(weights.min(1).argmax())
        local = weights[inside] @ points[inside]
        pose = self.marker.pose
        x, y, z, w = (getattr(pose.orientation, axis) for axis in "xyzw")
        turn = 2 * np.cross([x, y, z], local)
        at = np.array([pose.position.x, pose.position.y, pose.position.z])
        return np.asarray(local + w * turn + np.cross([x, y, z], turn) + at)

    def send(self, event: int, point: Any = None, **fields: Any) -> None:
        """Feedback on the picture; ``point`` (3,) is under the mouse, None where there is nothing."""
        message = InteractiveMarkerFeedback(
            client_id=self.name, marker_name=self.marker.name, control_name=self.control, event_type=event
        )
        message.header.frame_id = self.marker.header.frame_id
        message.pose = self.marker.pose
        if point is not None:
            message.mouse_point_valid = True
            message.mouse_point.x, message.mouse_point.y, message.mouse_point.z = (float(value) for value in point)
        for name, value in fields.items():
            setattr(message, name, value)
        self._feedback.publish(message)

    def press(self, point: Any, **fields: Any) -> None:
        self.send(InteractiveMarkerFeedback.POSE_UPDATE, point, **fields)
        self.send(InteractiveMarkerFeedback.MOUSE_DOWN, point, **fields)

    def release(self, point: Any, **fields: Any) -> None:
        self.send(InteractiveMarkerFeedback.BUTTON_CLICK, point, **fields)
        self.send(InteractiveMarkerFeedback.POSE_UPDATE, point, **fields)
        self.send(InteractiveMarkerFeedback.MOUSE_UP, point, **fields)

    def drag(self, size: tuple[int, int], *pixels: Pixel, **fields: Any) -> None:
        """Press on the first pixel of a frame of (height, width), release on the last."""
        self.press(self.point(pixels[0], size), **fields)
        self.release(self.point(pixels[-1], size), **fields)

    def choose(self, title: str) -> None:
        """Select a line of the context menu, whether it is ticked or not."""
        entry = next(number for line, number in self.menu.items() if line in (title, f"[ ] {title}", f"[x] {title}"))
        self.send(InteractiveMarkerFeedback.MENU_SELECT, menu_entry_id=entry)

    def texture(self) -> NDArray[np.uint8]:
        """Return (H, W, 3) uint8 RGB."""
        data = np.frombuffer(bytes(self.picture.texture.data), np.uint8)
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])

    def seen_from_above(self, width: int) -> NDArray[np.uint8]:
        """Draw the textured triangles as (H, W, 3) uint8, without the marker's pose, from +z, x to the right."""
        marker, texture = self.picture, self.texture()
        points = np.array([(p.x, p.y) for p in marker.points])
        low, high = points.min(0), points.max(0)
        scale = width / (high[0] - low[0])
        height = round((high[1] - low[1]) * scale)
        screen = np.stack(((points[:, 0] - low[0]) * scale, (high[1] - points[:, 1]) * scale), 1)
        places = np.array([(c.u, c.v) for c in marker.uv_coordinates]) * texture.shape[1::-1]
        seen = np.zeros((height, width, 3), np.uint8)
        for number in range(0, len(points), 3):
            part = slice(number, number + 3)
            # Pixel centers are half a pixel from the corners that coordinates count from.
            warp = cv2.getAffineTransform(
                (places[part] - 0.5).astype(np.float32), (screen[part] - 0.5).astype(np.float32)
            )
            drawn = cv2.warpAffine(texture, warp, (width, height), borderMode=cv2.BORDER_REPLICATE)
            mask = np.zeros((height, width), np.uint8)
            cv2.fillConvexPoly(mask, np.rint((screen[part] - 0.5) * 16).astype(np.int32), 1, shift=4)
            seen[mask == 1] = drawn[mask == 1]
        return seen

    def _on_update(self, update: InteractiveMarkerUpdate) -> None:
        assert update.type == InteractiveMarkerUpdate.UPDATE, "a client of ROS 2 warns of KEEP_ALIVE"
        if self._last is not None and update.seq_num != self._last + 1:
            self.gaps += 1
        self._last = update.seq_num
        if self._waiting is None:
            self._apply(update)
        else:
            self._waiting.append(update)

    def _apply(self, update: InteractiveMarkerUpdate) -> None:
        self.sequence = update.seq_num
        for marker in update.markers:
            self.markers[marker.name] = marker
        for pose in update.poses:
            self.markers[pose.name].header, self.markers[pose.name].pose = pose.header, pose.pose
        for name in update.erases:
            self.markers.pop(name, None)
