"""One interactive marker, served to any number of RViz.

ROS 2's protocol, as the client in RViz (``interactive_markers``, Jazzy to Rolling) keeps it:

- *Init*: the client calls ``<namespace>/get_interactive_markers``, again after a while without an answer. The response
  has all markers and the number of the last update; updates up to that number are dropped, later ones are applied.
- *Updates* on ``<namespace>/update``, reliable, volatile, keep last 100. Each has the number of the one before plus 1.
  At a gap the client lets its markers go and begins with the init. Markers of an update replace those of their name.
- *Alive* is a server whose service is there. KEEP_ALIVE updates are of ROS 1: the client warns of the first and drops
  all, so none is sent.
- *Feedback* on ``<namespace>/feedback``, reliable, volatile, keep last 100 (a server in C++ keeps 1, and loses some of
  the two or three that a click makes at once). ``client_id`` is the full name of the client's node: two RViz of one
  name are one client.
- A marker whose stamp is 0 stays locked to its frame, and pose and mouse point of its feedback are in that frame.

What RViz makes of the mouse on a control of mode BUTTON: a press gives POSE_UPDATE and MOUSE_DOWN; a release gives
BUTTON_CLICK, POSE_UPDATE and MOUSE_UP; all have the point under the mouse, read from the depth buffer, or say that
there is none. In between nothing is told: only controls that move their marker tell of a drag, by the pose, and the
picture would slide along under the mouse. The second press of a double click is told as a MOUSE_UP. A drag stays with
its control wherever the mouse goes, and is over without MOUSE_UP where an update takes the control away; controls are
known by their name. A menu that is open goes on after an update, and its entries are known by their id.

Where the package is installed its server is used. It also refuses the feedback of one client within a second of
another's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from visualization_msgs.msg import InteractiveMarker, InteractiveMarkerFeedback, InteractiveMarkerUpdate
from visualization_msgs.srv import GetInteractiveMarkers

from neural_seg_ros.ros.toolkit.endpoints import Endpoints
from neural_seg_ros.ros.toolkit.interface import Service, Topic

try:
    from interactive_markers import InteractiveMarkerServer as PackageServer
except ImportError:
    PackageServer = None

NAMESPACE = "canvas"
_QUEUE = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=100, reliability=ReliabilityPolicy.RELIABLE)
UPDATE = Topic(f"{NAMESPACE}/update", InteractiveMarkerUpdate, _QUEUE, "the interactive marker", fixed=True)
FEEDBACK = Topic(f"{NAMESPACE}/feedback", InteractiveMarkerFeedback, _QUEUE, "mouse and menu of RViz", fixed=True)
INIT = Service(f"{NAMESPACE}/get_interactive_markers", GetInteractiveMarkers, "what RViz asks for first")

OnFeedback = Callable[[InteractiveMarkerFeedback], None]


class MarkerServer(Protocol):
    """A server of one interactive marker, which passes feedback of clients on."""

    def show(self, marker: InteractiveMarker) -> None:
        """Show this marker from now on, in place of the one before; both have the same name."""

    def watched(self) -> bool:
        """Return whether any client listens."""

    def destroy(self) -> None:
        """Take the marker away, and all topics."""


def marker_server(node: Node, endpoints: Endpoints, on_feedback: OnFeedback) -> MarkerServer:
    """Make the package's server where it can be imported, else our own; ``on_feedback`` is called while spinning."""
    if PackageServer is None:
        return OwnServer(node, endpoints, on_feedback)
    return InstalledServer(node, on_feedback)


class OwnServer:
    """The protocol for one marker, without the package."""

    def __init__(self, node: Node, endpoints: Endpoints, on_feedback: OnFeedback) -> None:
        self._node, self._endpoints = node, endpoints
        self._sequence = 0
        self._marker: InteractiveMarker | None = None
        self._updates = endpoints.publisher(UPDATE)
        self._feedback = endpoints.subscription(FEEDBACK, on_feedback)
        self._init: Any = node.create_service(INIT.kind, INIT.name, self._on_init)

    def show(self, marker: InteractiveMarker) -> None:
        """Show this marker from now on."""
        self._marker = marker
        self._publish(markers=[marker])

    def watched(self) -> bool:
        """Return whether any client listens."""
        return bool(self._updates.get_subscription_count())

    def destroy(self) -> None:
        """Take the marker away, and all topics."""
        if self._marker is not None and self._node.context.ok():
            self._publish(erases=[self._marker.name])
        self._marker = None
        self._node.destroy_service(self._init)
        self._endpoints.destroy(self._feedback)
        self._endpoints.destroy(self._updates)

    def _publish(self, **changes: Any) -> None:
        self._sequence += 1
        self._updates.publish(
            InteractiveMarkerUpdate(
                server_id=self._node.get_fully_qualified_name(),
                seq_num=self._sequence,
                type=InteractiveMarkerUpdate.UPDATE,
                **changes,
            )
        )

    def _on_init(
        self, request: GetInteractiveMarkers.Request, response: GetInteractiveMarkers.Response
    ) -> GetInteractiveMarkers.Response:
        response.sequence_number = self._sequence
        response.markers = [] if self._marker is None else [self._marker]
        return response


class InstalledServer:
    """The server of the package interactive_markers."""

    def __init__(self, node: Node, on_feedback: OnFeedback) -> None:
        self._node = node
        self._server: Any = PackageServer(node, NAMESPACE)
        self._on_feedback = on_feedback

    def show(self, marker: InteractiveMarker) -> None:
        """Show this marker from now on."""
        self._server.insert(marker, feedback_callback=self._on_feedback)
        self._server.applyChanges()

    def watched(self) -> bool:
        """Return whether any client listens."""
        return bool(self._server.update_pub.get_subscription_count())

    def destroy(self) -> None:
        """Take the marker away, and all topics."""
        # It publishes an update.
        if self._node.context.ok():
            self._server.shutdown()
