"""The labelling canvas: a frozen frame that is drawn on with the mouse. The node is ``ros/canvas.py``."""

from neural_seg_ros.ros.canvas.board import Action, Board, Command, Draw, Freeze, Say
from neural_seg_ros.ros.canvas.frame_check import FrameCheck
from neural_seg_ros.ros.canvas.geometry import Plane, Triangles, triangles
from neural_seg_ros.ros.canvas.gestures import Dropped, Event, Gesture, Gestures, Pointer
from neural_seg_ros.ros.canvas.liveness import Liveness
from neural_seg_ros.ros.canvas.menu import Entry, caption, choose, class_entry, entries
from neural_seg_ros.ros.canvas.pen import Pen, Tool
from neural_seg_ros.ros.canvas.surface import cells, texture, with_suggestion

__all__ = [
    "Action",
    "Board",
    "Command",
    "Draw",
    "Dropped",
    "Entry",
    "Event",
    "FrameCheck",
    "Freeze",
    "Gesture",
    "Gestures",
    "Liveness",
    "Pen",
    "Plane",
    "Pointer",
    "Say",
    "Tool",
    "Triangles",
    "caption",
    "cells",
    "choose",
    "class_entry",
    "entries",
    "texture",
    "triangles",
    "with_suggestion",
]
