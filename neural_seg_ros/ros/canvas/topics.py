"""The topics, services and parameters of the canvas; those it shares with a segmenter are the segmenter's own."""

from __future__ import annotations

from dataclasses import replace

from neural_seg_ros.ros.canvas import Command, marker_server
from neural_seg_ros.ros.canvas.settings import CanvasConfig
from neural_seg_ros.ros.segmenter import interface
from neural_seg_ros.ros.toolkit.interface import Interface, Service, Topic


class CanvasTopics:
    """The topics of the canvas, for the segmenter of this name."""

    clicked_point = replace(interface.POINT, about="a click where it lies on the canvas, in `frame_id`")

    def __init__(self, segmenter: str) -> None:
        def of_segmenter(topic: Topic, about: str) -> Topic:
            return replace(topic, name=topic.name.replace("~", segmenter, 1), about=about, lock_step=None)

        self.overlay = of_segmenter(interface.RESULTS["overlay"], "the frame, as the segmenter draws it")
        self.suggestion = of_segmenter(interface.SUGGESTION, "the pixel that is ringed")
        self.labels = of_segmenter(interface.LABELS, "names of the classes, for the menu")
        self.status = of_segmenter(interface.STATUS, "whether it lives, and is the one that has the frozen frame")
        self.annotation = of_segmenter(
            interface.MARKER,
            "the drawn annotation, with the frame's own header; REMOVE where the frame is to be answered again",
        )
        offers = {service.name: service for service in interface.SEGMENTER.services}
        self.commands: dict[Command, Service] = {
            command: replace(offers[f"~/{command.value}"], name=f"{segmenter}/{command.value}") for command in Command
        }

    @staticmethod
    def image(transport: str) -> Topic:
        """Return the camera's topic for a value of the parameter ``image_transport``."""
        return replace(interface.image(transport), about="the camera, shown where no overlay comes", lock_step=None)

    @property
    def interface(self) -> Interface:
        """All of it."""
        return Interface(
            node="canvas",
            about="Lays a frame into RViz as a picture to draw on, see [canvas](canvas.md). `segmenter/` is what the "
            "parameter `segmenter` says.",
            inputs=(
                self.image("raw"),
                self.image("compressed"),
                self.overlay,
                self.suggestion,
                self.labels,
                self.status,
                self.clicked_point,
                marker_server.FEEDBACK,
            ),
            outputs=(self.annotation, marker_server.UPDATE),
            services=(marker_server.INIT,),
            clients=tuple(self.commands.values()),
            options=(("", CanvasConfig()),),
        )


CANVAS = CanvasTopics(CanvasConfig().segmenter).interface
