"""The canvas without ROS: where pixels lie, what the mouse draws, and what the menu does."""

from __future__ import annotations

import itertools
import math
from typing import Any

import cv2
import numpy as np
import pytest

from neural_seg_ros.annotations import Box, Click, Stroke
from neural_seg_ros.ros.canvas import (
    Action,
    Board,
    Command,
    Draw,
    Event,
    FrameCheck,
    Freeze,
    Liveness,
    Notify,
    Plane,
    Pointer,
    Tool,
    cells,
    choose,
    class_entry,
    entries,
    texture,
    triangles,
    with_suggestion,
)
from neural_seg_ros.ros.canvas.gestures import MAX_CLIENTS, TIMEOUT_SECONDS

SIZE = 48, 64
PLANE = Plane(SIZE, 2.0)
TILTED = Plane(SIZE, 0.5, position=(1.0, -2.0, 3.0), roll_pitch_yaw=(math.pi / 2, 0.3, -1.2))
FREEZE, NEGATIVE, SUGGEST, CLICK, BOX, BOUNDING, STROKE, UNDO = 1, 2, 3, 11, 12, 13, 14, 31


# -- geometry ----------------------------------------------------------------------------------------------------------


def test_the_picture_is_the_right_way_round_seen_from_above() -> None:
    assert PLANE.point((-0.5, -0.5)) == (-1.0, 0.75, 0.0)  # its upper left corner
    assert PLANE.point((63.5, 47.5)) == (1.0, -0.75, 0.0)
    assert PLANE.point((31.5, 23.5)) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("plane", [PLANE, TILTED])
def test_a_pixel_comes_back_from_the_plane(plane: Plane) -> None:
    for pixel in itertools.product((-0.5, 0.0, 20.125, 63.4), (-0.5, 7.0, 47.4)):
        assert plane.pixel(plane.point(pixel)) == pixel
    assert math.isclose(math.dist(plane.point((0, 0)), plane.point((1, 0))), plane.width / 64)
    assert math.isclose(math.dist(plane.point((0, 0)), plane.point((0, 1))), plane.width / 64)


def test_the_orientation_is_the_rotation_that_moves_the_points() -> None:
    x, y, z, w = TILTED.orientation
    assert math.isclose(x * x + y * y + z * z + w * w, 1)
    roll, pitch, yaw = (cv2.Rodrigues(np.eye(3)[i] * angle)[0] for i, angle in enumerate(TILTED.roll_pitch_yaw))
    local = np.array(TILTED.local((3.0, 5.0)))
    np.testing.assert_allclose(TILTED.point((3.0, 5.0)), yaw @ pitch @ roll @ local + TILTED.position)
    axis = np.array([x, y, z])
    turned = cv2.Rodrigues(axis / np.linalg.norm(axis) * 2 * math.acos(w))[0]
    np.testing.assert_allclose(turned, yaw @ pitch @ roll, atol=1e-12)


def test_what_is_no_point_of_the_plane_is_no_pixel() -> None:
    assert PLANE.pixel((0.0, 0.0, 0.2)) is None
    assert PLANE.pixel((0.0, 0.0, 0.01)) == (31.5, 23.5), "a depth buffer is not exact"
    for bad in (math.nan, math.inf):
        assert PLANE.pixel((bad, 0.0, 0.0)) is None
    assert PLANE.pixel((5.0, 0.0, 0.0)) == (191.5, 23.5)
    assert PLANE.inside((63.4, -0.5))
    assert not PLANE.inside((63.5, 0))
    assert PLANE.nearest((191.5, -7.0)) == (63.0, 0.0)


@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (4, 3)])
def test_triangles_cover_the_frame_face_up(columns: int, rows: int) -> None:
    shape = triangles(SIZE, columns, rows)
    assert len(shape.corners) == len(shape.textures) == 6 * columns * rows
    np.testing.assert_allclose((shape.corners + 0.5) / (64, 48), shape.textures)
    points = np.array([PLANE.local((x, y)) for x, y in shape.corners]).reshape(-1, 3, 3)
    normals = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    assert (normals[:, 2] > 0).all()
    assert math.isclose(normals[:, 2].sum() / 2, 2.0 * 1.5)
    np.testing.assert_allclose(normals[:, :2], 0)


def test_pictures_are_encoded_and_cells_are_means() -> None:
    picture = np.zeros((*SIZE, 3), np.uint8)
    picture[:24, :32] = 255, 100, 0
    decoded = cv2.imdecode(np.frombuffer(texture(picture, 1280, "png"), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(decoded, picture)
    assert texture(picture, 1280, "jpeg")[:2] == b"\xff\xd8"
    small = cv2.imdecode(np.frombuffer(texture(picture, 32, "png"), np.uint8), cv2.IMREAD_COLOR)
    assert small.shape == (24, 32, 3)
    colors = cells(picture, 4)
    assert colors.shape == (3, 4, 3)
    np.testing.assert_allclose(colors[0, 0], (1, 100 / 255, 0))
    np.testing.assert_allclose(colors[0, 3], 0)
    assert cells(picture, 500).shape == (48, 64, 3), "never more cells than pixels"
    ringed = with_suggestion(picture, (20, 30))
    assert (ringed != picture).any()
    assert (ringed[30, 20] == picture[30, 20]).all(), "the pixel itself can be seen"


# -- gestures ----------------------------------------------------------------------------------------------------------


class Mouse:
    """A board with a frame on it, and RViz's events on that."""

    def __init__(self, **settings: Any) -> None:
        self.board = Board(stroke_width=3.0)
        self.frame = self.board.show(PLANE)
        self.now = 0.0
        for name, value in settings.items():
            setattr(self.board, name, value)

    def send(
        self, event: Event, pixel: tuple[float, float] | None, client: str = "rviz", frame: int = 0
    ) -> list[Action]:
        return self.board.point(frame or self.frame, Pointer(client, event, pixel, self.now))

    def press(self, pixel: tuple[float, float] | None, **who: Any) -> list[Action]:
        return self.send(Event.MOVE, pixel, **who) + self.send(Event.PRESS, pixel, **who)

    def release(self, pixel: tuple[float, float] | None, **who: Any) -> list[Action]:
        twice = self.send(Event.RELEASE, pixel, **who) + self.send(Event.MOVE, pixel, **who)
        return twice + self.send(Event.RELEASE, pixel, **who)

    def drag(self, *pixels: tuple[float, float], **who: Any) -> list[Action]:
        return self.press(pixels[0], **who) + self.release(pixels[-1], **who)


def frozen(**settings: Any) -> Mouse:
    return Mouse(frozen=True, **settings)


def drawn(actions: list[Action]) -> list[Any]:
    assert all(isinstance(action, Draw) for action in actions), actions
    return [action.annotation for action in actions if isinstance(action, Draw)]


def said(actions: list[Action]) -> str:
    (action,) = actions
    assert isinstance(action, Notify)
    return action.text


def test_the_first_press_freezes_and_places_the_click() -> None:
    mouse = Mouse()
    assert mouse.press((20.0, 15.0)) == [Freeze()]
    assert mouse.board.frozen
    assert mouse.release((22.0, 15.0)) == [Draw(1, Click(20, 15, 1))]
    assert mouse.drag((3.0, 4.0)) == [Draw(2, Click(3, 4, 1))], "frozen already"


@pytest.mark.parametrize(
    ("tool", "wanted"),
    [
        (Tool.CLICK, Click(30, 20, 1)),
        (Tool.BOX, Box(10, 8, 30, 20, 1)),
        (Tool.BOUNDING, Box(10, 8, 30, 20, 1, bounding=True)),
        (Tool.STROKE, Stroke(((30, 20), (10.2, 7.8)), 1, 3)),
    ],
)
def test_every_tool_draws_with_a_drag(tool: Tool, wanted: Any) -> None:
    (found,) = drawn(frozen(tool=tool).drag((30.0, 20.0), (10.2, 7.8)))
    if isinstance(wanted, Box):
        assert isinstance(found, Box)
        assert sorted((found.x0, found.x1)) == [10, 30]
        assert sorted((found.y0, found.y1)) == [8, 20]
        assert found.bounding == wanted.bounding
    else:
        assert found == wanted


def test_a_box_needs_an_area_and_a_bounding_box_an_object() -> None:
    assert "zero area" in said(frozen(tool=Tool.BOX).drag((30.0, 20.0), (30.2, 40.0)))
    assert "class 0" in said(frozen(tool=Tool.BOUNDING, negative=True).drag((3.0, 2.0), (30.0, 20.0)))
    assert drawn(frozen(tool=Tool.BOX, negative=True).drag((3.0, 2.0), (30.0, 20.0))) == [Box(3, 2, 30, 20, 0)]


def test_points_told_in_between_are_points_of_a_stroke() -> None:
    mouse = frozen(tool=Tool.STROKE)
    mouse.press((3.0, 4.0))
    for pixel in ((3.1, 4.0), (9.0, 4.0), None, (9.0, 12.0)):
        assert mouse.send(Event.MOVE, pixel) == []
    assert drawn(mouse.release((3.0, 12.0))) == [Stroke(((3, 4), (9, 4), (9, 12), (3, 12)), 1, 3)]


def test_a_stroke_continues_where_the_last_one_ended() -> None:
    mouse = frozen(tool=Tool.STROKE)
    assert mouse.drag((3.0, 4.0), (20.0, 4.0)) == [Draw(1, Stroke(((3, 4), (20, 4)), 1, 3))]
    assert mouse.drag((21.0, 5.0), (20.0, 30.0)) == [Draw(1, Stroke(((3, 4), (20, 4), (21, 5), (20, 30)), 1, 3))]
    assert mouse.drag((40.0, 30.0), (50.0, 30.0)) == [Draw(2, Stroke(((40, 30), (50, 30)), 1, 3))]


@pytest.mark.parametrize("between", [UNDO, NEGATIVE, STROKE, class_entry(2)])
def test_a_stroke_begins_anew_after_anything_else(between: int) -> None:
    mouse = frozen(tool=Tool.STROKE)
    mouse.drag((3.0, 4.0), (20.0, 4.0))
    choose(between, mouse.board)
    (action,) = mouse.drag((20.0, 4.0), (20.0, 30.0))
    assert isinstance(action, Draw)
    assert action.key == 2


def test_a_lost_release_drops_its_gesture_and_nothing_else() -> None:
    mouse = frozen(tool=Tool.BOX)
    mouse.press((1.0, 1.0))
    assert "was lost" in said(mouse.press((10.0, 10.0)))
    assert drawn(mouse.release((20.0, 20.0))) == [Box(10, 10, 20, 20, 1)]


def test_a_gesture_without_end_is_dropped_after_a_while() -> None:
    mouse = frozen(tool=Tool.BOX)
    mouse.press((1.0, 1.0))
    mouse.now = TIMEOUT_SECONDS + 1
    assert mouse.release((20.0, 20.0)) == []
    assert mouse.press((10.0, 10.0)) == []


def test_double_click_and_release_without_press() -> None:
    mouse = frozen()
    assert mouse.release((20.0, 15.0)) == []
    assert len(drawn(mouse.drag((20.0, 15.0)))) == 1
    # RViz tells the second press as a release.
    assert mouse.send(Event.RELEASE, (20.0, 15.0)) == []
    assert mouse.release((20.0, 15.0)) == []


@pytest.mark.parametrize("which", [0, 2])
def test_one_of_the_two_messages_of_a_release_is_enough(which: int) -> None:
    mouse = frozen()
    mouse.press((20.0, 15.0))
    release = (Event.RELEASE, Event.MOVE, Event.RELEASE)
    actions = [action for event in release[which:] for action in mouse.send(event, (20.0, 15.0))]
    assert drawn(actions) == [Click(20, 15, 1)]


def test_two_clients_draw_with_their_own_pens() -> None:
    mouse = frozen(tool=Tool.BOX)
    mouse.press((1.0, 1.0), client="a")
    mouse.press((5.0, 5.0), client="b")
    choose(class_entry(4), mouse.board)
    choose(CLICK, mouse.board)
    assert drawn(mouse.release((9.0, 8.0), client="a")) == [Box(1, 1, 9, 8, 1)]
    assert drawn(mouse.release((20.0, 30.0), client="b")) == [Box(5, 5, 20, 30, 1)]
    assert drawn(mouse.drag((7.0, 7.0), client="a")) == [Click(7, 7, 4)]


def test_no_number_of_clients_fills_the_memory() -> None:
    mouse = frozen()
    for number in range(3 * MAX_CLIENTS):
        mouse.press((1.0, 1.0), client=str(number))
    assert mouse.release((1.0, 1.0), client="0") == []
    assert len(drawn(mouse.release((1.0, 1.0), client=str(3 * MAX_CLIENTS - 1)))) == 1


def test_drawing_on_a_dropped_frame_has_no_effect() -> None:
    mouse = Mouse()
    assert "frame 7" in said(mouse.press((20.0, 15.0), frame=7))
    assert not mouse.board.frozen
    mouse.press((20.0, 15.0))
    mouse.frame = mouse.board.show(PLANE)
    assert mouse.release((20.0, 15.0)) == [], "begun on the frame before"
    assert Board().point(0, Pointer("rviz", Event.PRESS, (1.0, 1.0), 0.0)) != [], "no frame yet"


def test_a_drag_starts_inside_and_ends_at_the_border() -> None:
    mouse = frozen(tool=Tool.BOX)
    for pixel in ((-3.0, 4.0), (64.0, 4.0), None):
        assert "beside" in said(mouse.press(pixel))
        assert mouse.release((5.0, 5.0)) == []
    assert drawn(mouse.drag((50.0, 40.0), (300.0, 99.0))) == [Box(50, 40, 63, 47, 1)]
    assert "nothing is drawn" in said(mouse.press((1.0, 1.0)) + mouse.send(Event.RELEASE, None))
    mouse.board.follow_camera()
    assert not mouse.board.frozen
    mouse.press((-3.0, 4.0))
    assert not mouse.board.frozen, "only a press on the picture freezes it"


def test_left_alone_it_rests_and_a_touch_only_wakes_it() -> None:
    mouse = Mouse()
    for touch in (
        lambda: mouse.press((1.0, 1.0)),
        lambda: mouse.board.click((1.0, 1.0)),
        lambda: choose(FREEZE, mouse.board),
    ):
        mouse.board.rest()
        assert mouse.board.resting
        assert mouse.release((1.0, 1.0)) == []
        assert "drew nothing" in said(touch())
        assert (mouse.board.resting, mouse.board.frozen) == (False, False)
    assert mouse.press((1.0, 1.0)) == [Freeze()]
    mouse.board.rest()
    assert not mouse.board.resting, "a user is at work"


# -- the menu ----------------------------------------------------------------------------------------------------------


def titles(board: Board, names: dict[int, str] | None = None) -> list[str]:
    return [entry.title for entry in entries(board, names or {})]


def test_every_line_has_its_own_id_and_comes_after_its_parent() -> None:
    lines = entries(Board(), {0: "background", 3: "cup", 1: "dog"})
    ids = [line.id for line in lines]
    assert len(set(ids)) == len(ids)
    for number, line in enumerate(lines):
        assert line.parent == 0 or line.parent in ids[:number]
    leaves = [line for line in lines if line.id not in {other.parent for other in lines}]
    names = [leaf.title.removeprefix("[x] ").removeprefix("[ ] ") for leaf in leaves]
    assert names == [
        "freeze", "1 dog", "3 cup", "4", "negative (class 0 background)", "click", "box", "bounding box", "stroke",
        "suggest", "undo", "redo", "all annotations", "save", "load",
    ]  # fmt: skip
    for leaf in leaves:
        assert not any(isinstance(action, Notify) for action in choose(leaf.id, Mouse().board)), leaf


def test_what_holds_is_ticked() -> None:
    board = Mouse().board
    ticked = [title for title in titles(board) if title.startswith("[x]")]
    assert ticked == ["[x] 1", "[x] click"]
    for entry in (FREEZE, class_entry(2), NEGATIVE, BOUNDING, SUGGEST):
        choose(entry, board)
    ticked = [title for title in titles(board, {0: "background"}) if title.startswith("[x]")]
    assert ticked == ["[x] freeze", "[x] negative (class 0 background)", "[x] bounding box", "[x] suggest"]
    choose(NEGATIVE, board)
    assert board.pen.class_id == 2
    assert "[x] 2" in titles(board)
    assert "[ ] 3" in titles(board), "one more class than there are"


def test_a_class_that_is_called_by_its_id_has_it_once() -> None:
    # So the segmenter calls classes in use that have no name.
    assert {"[x] 1 dog", "[ ] 3", "[ ] 4"} <= set(titles(Board(), {1: "dog", 3: "3"}))


def test_an_entry_keeps_its_id_when_classes_come() -> None:
    before = {entry.title: entry.id for entry in entries(Board(), {})}
    after = {entry.title: entry.id for entry in entries(Board(), dict.fromkeys(range(1, 50), ""))}
    assert {title: after[title] for title in before} == before
    assert len(entries(Board(), dict.fromkeys(range(60000), ""))) < 150


def test_the_menu_freezes_and_asks_for_commands() -> None:
    mouse = Mouse()
    assert choose(FREEZE, mouse.board) == [Freeze()]
    assert choose(FREEZE, mouse.board) == []
    assert not mouse.board.frozen
    assert choose(UNDO, mouse.board) == [Command.UNDO]
    assert "menu entry: got 999" in said(choose(999, mouse.board))
    assert "no frame" in said(choose(FREEZE, Board()))


def test_a_published_point_is_a_click_with_any_tool() -> None:
    mouse = Mouse(tool=Tool.BOX, class_id=5)
    assert mouse.board.click((3.0, 4.0)) == [Freeze(), Draw(1, Click(3, 4, 5))]
    assert "beside" in said(mouse.board.click((-3.0, 4.0)))


# -- does the segmenter still have it? ---------------------------------------------------------------------------------


def draw(key: int) -> Draw:
    return Draw(key, Click(1, 1, 1))


def test_what_is_drawn_waits_until_the_frame_is_answered() -> None:
    check = FrameCheck(patience=10.0)
    check.start(0.0)
    assert check.add(draw(1), 1.0) == ([], False)
    assert check.waiting == 1
    assert check.expire(9.0) is None
    assert check.confirm_frame() == [draw(1)]
    assert check.add(draw(2), 2.0) == ([draw(2)], False)
    assert check.expire(1e6) is None
    assert check.confirm_frame() == []


def test_what_waited_in_vain_is_dropped_and_the_next_asks_again() -> None:
    check = FrameCheck(patience=10.0)
    check.start(0.0)
    check.add(draw(1), 1.0)
    assert check.expire(10.5) == 1
    assert check.expire(11.0) is None, "said once"
    assert check.add(draw(2), 20.0) == ([], True)
    assert check.confirm_frame() == [draw(2)]
    check.start(30.0)
    check.add(draw(3), 31.0)
    check.start(32.0)
    assert check.confirm_frame() == [], "drawn on the frame before"


def test_a_segmenter_that_comes_back_is_asked_again() -> None:
    check = FrameCheck(patience=10.0)
    check.start(0.0)
    assert not check.lose_segmenter(), "it was not known to have the frame"
    check.start(0.0)
    check.confirm_frame()
    assert check.lose_segmenter()
    assert check.expire(1e6) is None, "nothing is waited for"
    assert check.add(draw(1), 20.0) == ([], True)
    assert check.confirm_frame() == [draw(1)]


def test_unconfirmed_drawings_are_resent_or_reported_lost() -> None:
    check = FrameCheck(patience=10.0)
    check.start(0.0)
    check.add(draw(1), 1.0)
    assert check.confirm_frame() == [draw(1)]
    check.confirm_sent()
    check.add(draw(2), 2.0)
    check.lose_segmenter()
    check.add(draw(3), 3.0)
    check.start_with_another(4.0)
    assert check.confirm_frame() == [draw(2), draw(3)], "it had the first"
    check.start_with_another(20.0)
    assert check.waiting == 2
    assert check.expire(29.0) is None
    assert check.expire(31.0) == 2
    check.start(40.0)
    check.confirm_frame()
    check.add(draw(4), 41.0)
    check.start(42.0)
    check.lose_segmenter()
    assert check.confirm_frame() == [], "drawn on the frame before"


def test_another_session_or_silence_is_noticed() -> None:
    pulse = Liveness()
    assert not pulse.is_silent(100.0), "it may give no signs at all"
    assert [pulse.note_status(began, now) for now, began in enumerate((None, 5.5, 5.5, None, 5.5, 7.5, 7.5), 1)] == [
        False,
        False,
        False,
        False,
        False,
        True,
        False,
    ]
    assert not pulse.is_silent(9.0)
    assert pulse.is_silent(10.5)
    pulse.note_status(7.5, 11.0)
    assert not pulse.is_silent(12.0)
