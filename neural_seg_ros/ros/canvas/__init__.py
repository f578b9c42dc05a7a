"""The labeling canvas: a frozen frame that is drawn on with the mouse. The node is ``ros/canvas.py``."""

from neural_seg_ros.ros.canvas.board import Action, Board, Command, Draw, Freeze, Notify
from neural_seg_ros.ros.canvas.frame_check import FrameCheck, Liveness
from neural_seg_ros.ros.canvas.geometry import Plane, Triangles, cells, texture, triangles, with_suggestion
from neural_seg_ros.ros.canvas.gestures import Dropped, Event, Gesture, Gestures, Pen, Pointer, Tool
from neural_seg_ros.ros.canvas.menu import Entry, caption, choose, class_entry, entries

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
    "Notify",
    "Pen",
    "Plane",
    "Pointer",
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
