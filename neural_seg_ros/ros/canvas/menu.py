"""The canvas's context menu: its entries, their effect on a board, and the board's settings in words.

An entry keeps its id whatever else the menu has: RViz may answer from a menu that has been replaced meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from neural_seg_ros.ros.canvas.board import Action, Board, Command, Notify
from neural_seg_ros.ros.canvas.gestures import BACKGROUND, Tool

_FREEZE, _NEGATIVE, _SUGGEST, _TOOLS, _CLASSES, _CLEAR = 1, 2, 3, 10, 20, 30
_TOOL_IDS = dict(enumerate(Tool, start=_TOOLS + 1))
_COMMANDS = {
    31: (Command.UNDO, "undo"),
    32: (Command.REDO, "redo"),
    33: (Command.CLEAR, "all annotations"),
    34: (Command.SAVE, "save"),
    35: (Command.LOAD, "load"),
}
_FIRST_CLASS = 1000
_LAST_CLASS = 65_534
# More would not fit onto a screen.
_MAX_CLASSES = 100
# How RViz (and the package interactive_markers) marks a title with a box, ticked or not.
_BOX = {True: "[x] ", False: "[ ] ", None: ""}


@dataclass(frozen=True)
class Entry:
    """A line of the menu; ``parent`` is the id of the one whose submenu it is in, 0 for none. Ids are from 1."""

    id: int
    title: str
    parent: int = 0


def entries(board: Board, class_names: Mapping[int, str]) -> tuple[Entry, ...]:
    """List all menu lines, each after its parent; the ticks show the settings, the last class is unnamed."""
    return tuple(_entries(board, class_names))


def choose(entry_id: int, board: Board) -> list[Action]:
    """Apply a menu entry to the board, and return the requests that remain for the node."""
    if entry_id in _COMMANDS:
        return board.command(_COMMANDS[entry_id][0])
    if entry_id in _TOOL_IDS:
        board.choose(_TOOL_IDS[entry_id])
    elif _FIRST_CLASS < entry_id <= _FIRST_CLASS + _LAST_CLASS:
        board.paint(entry_id - _FIRST_CLASS)
    elif entry_id == _NEGATIVE:
        board.paint(board.class_id if board.negative else BACKGROUND)
    elif entry_id == _SUGGEST:
        board.suggest = not board.suggest
    elif entry_id == _FREEZE and board.frozen:
        board.follow_camera()
    elif entry_id == _FREEZE:
        return board.freeze()
    else:
        return [Notify(f"menu entry: got {entry_id}, accepted: an entry of the canvas's menu")]
    return []


def caption(board: Board, class_names: Mapping[int, str]) -> str:
    """Describe the settings of the board."""
    state = "frozen" if board.frozen else "resting: press to wake" if board.resting else "live"
    return f"{state} | {board.tool.value} | class {name_of(board.pen.class_id, class_names)}"


def name_of(class_id: int, class_names: Mapping[int, str]) -> str:
    """Return the label of a class: its id, and its name where that is not the id."""
    name = class_names.get(class_id, "")
    return f"{class_id} {name}" if name not in ("", str(class_id)) else str(class_id)


def class_entry(class_id: int) -> int:
    """Return the id of the entry that chooses a class, from 1."""
    return _FIRST_CLASS + class_id


def _entries(board: Board, class_names: Mapping[int, str]) -> Iterator[Entry]:
    yield _line(_FREEZE, "freeze", board.frozen)
    yield _line(_CLASSES, f"class: {name_of(board.class_id, class_names)}")
    for class_id in _classes(board, class_names):
        ticked = class_id == board.class_id and not board.negative
        yield _line(class_entry(class_id), name_of(class_id, class_names), ticked, _CLASSES)
    yield _line(_NEGATIVE, f"negative (class {name_of(BACKGROUND, class_names)})", board.negative)
    yield _line(_TOOLS, f"tool: {board.tool.value}")
    for entry_id, tool in _TOOL_IDS.items():
        yield _line(entry_id, tool.value, tool is board.tool, _TOOLS)
    yield _line(_SUGGEST, "suggest", board.suggest)
    for entry_id, (command, title) in _COMMANDS.items():
        # A clear cannot be undone, so it is in a submenu.
        if command is Command.CLEAR:
            yield _line(_CLEAR, "clear")
        yield _line(entry_id, title, None, _CLEAR if command is Command.CLEAR else 0)


def _classes(board: Board, class_names: Mapping[int, str]) -> list[int]:
    known = sorted({1, board.class_id, *(class_id for class_id in class_names if class_id != BACKGROUND)})
    fresh = [known[-1] + 1] if known[-1] < _LAST_CLASS else []
    return [*sorted({*known[:_MAX_CLASSES], board.class_id}), *fresh]


def _line(entry_id: int, title: str, ticked: bool | None = None, parent: int = 0) -> Entry:
    return Entry(entry_id, _BOX[ticked] + title, parent)
