"""Messages that people and tools draw with become annotations; points in space become clicks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

from geometry_msgs.msg import Point, Point32, PointStamped, PolygonStamped, Transform
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from visualization_msgs.msg import ImageMarker

from neural_seg_ros.annotations import Box, Click, Region, Stroke
from neural_seg_ros.annotations import ros_messages as inputs
from neural_seg_ros.errors import AnnotationError, CameraInfoError
from neural_seg_ros.images.camera_model import is_rectified
from neural_seg_ros.ros.segmenter.projection import CameraFrame, click_at, transform_point

NAMES = {0: "background", 1: "dog", 7: "wet grass", 8: "a:b", 9: "it:bounding"}
TRIANGLE = [(0, 0), (10, 0), (0, 10)]


def polygon(*points: tuple[float, float]) -> PolygonStamped:
    message = PolygonStamped()
    message.polygon.points = [Point32(x=float(x), y=float(y), z=9.0) for x, y in points]
    return message


def marker(kind: int, *points: tuple[float, float], **fields: Any) -> ImageMarker:
    listed = [Point(x=float(x), y=float(y)) for x, y in points]
    return ImageMarker(type=kind, points=listed, **{"id": 5, "ns": "dog", "scale": 0.0, **fields})


def draw(message: ImageMarker) -> Any:
    command = inputs.marker(message, NAMES, 3)
    assert isinstance(command, inputs.Draw)
    assert command.marker_id == 5
    return command.annotations


def test_points_of_a_marker_are_limited() -> None:
    assert len(draw(marker(ImageMarker.POINTS, *[(1, 1)] * 100))) == 100
    with pytest.raises(AnnotationError, match="got 101, accepted: 1 to 100"):
        draw(marker(ImageMarker.POINTS, *[(1, 1)] * 101))


def test_click_of_a_stamped_point_and_of_a_mouse() -> None:
    stamped = PointStamped()
    stamped.point.x, stamped.point.y, stamped.point.z = 12.5, 8.0, 99.0
    assert inputs.click(stamped, 2) == Click(12.5, 8.0, 2)
    assert inputs.click(stamped.point, 2) == Click(12.5, 8.0, 2)


def test_box_is_the_bounding_rectangle() -> None:
    wanted = Box(10, 20, 30, 50, 1)
    assert inputs.box(polygon((30, 20), (10, 50)), 1) == wanted
    assert inputs.box(polygon((10, 20), (30, 20), (30, 50), (10, 50)), 1) == wanted


def test_stroke_and_region() -> None:
    assert inputs.stroke(polygon((1, 2)), 1, 3) == Stroke(((1, 2),), 1, 3)
    assert inputs.region(polygon(*TRIANGLE), 2) == Region(tuple(TRIANGLE), 2)


def test_stamp_of_zero_means_the_latest_frame() -> None:
    header = Header()
    assert inputs.stamp_of(header) is None
    header.stamp.sec, header.stamp.nanosec = 12, 500_000_000
    assert inputs.stamp_of(header) == 12.5


def test_markers() -> None:
    points = [(4, 5), (6, 7)]
    assert draw(marker(ImageMarker.POINTS, *points)) == (Click(4, 5, 1), Click(6, 7, 1))
    assert draw(marker(ImageMarker.POINTS, *points, scale=6.0)) == (Click(4, 5, 1, 3), Click(6, 7, 1, 3))
    assert draw(marker(ImageMarker.LINE_STRIP, *points, scale=4.0)) == (Stroke(tuple(points), 1, 4),)
    assert draw(marker(ImageMarker.LINE_STRIP, *points)) == (Stroke(tuple(points), 1, 1),)
    assert draw(marker(ImageMarker.POLYGON, *TRIANGLE)) == (Region(tuple(TRIANGLE), 1),)
    circle = marker(ImageMarker.CIRCLE, position=Point(x=4.0, y=5.0), scale=20.0)
    assert draw(circle) == (Click(4, 5, 1, 10),)


@pytest.mark.parametrize(
    ("ns", "wanted"),
    [
        ("dog:bounding", Box(0, 0, 10, 10, 1, bounding=True)),
        (" dog : bounding ", Box(0, 0, 10, 10, 1, bounding=True)),
        ("12:bounding", Box(0, 0, 10, 10, 12, bounding=True)),
        (":bounding", Box(0, 0, 10, 10, 3, bounding=True)),
        ("a:b:bounding", Box(0, 0, 10, 10, 8, bounding=True)),
        ("it:bounding:bounding", Box(0, 0, 10, 10, 9, bounding=True)),
        ("it:bounding", Region(tuple(TRIANGLE), 9)),
        ("a:b", Region(tuple(TRIANGLE), 8)),
    ],
)
def test_a_polygon_of_a_bounding_class_is_a_bounding_box(ns: str, wanted: Box | Region) -> None:
    assert draw(marker(ImageMarker.POLYGON, *TRIANGLE, ns=ns)) == (wanted,)


def test_remove_takes_a_marker_back_by_id_whatever_else_it_says() -> None:
    message = marker(ImageMarker.POINTS, ns="nobody", action=ImageMarker.REMOVE, scale=math.nan)
    assert inputs.marker(message, NAMES, 3) == inputs.Remove(5)


@pytest.mark.parametrize(
    ("text", "class_id"), [("dog", 1), ("wet grass", 7), (" dog ", 1), ("7", 7), ("0", 0), ("12", 12), ("", 3)]
)
def test_class_by_name_by_id_or_the_active_one(text: str, class_id: int) -> None:
    assert inputs.class_of(text, NAMES, 3) == class_id


@pytest.mark.parametrize("text", ["cat", "-1", "1.5", "²", "9" * 5000, "Dog"])
def test_unknown_class_names_what_is_accepted(text: str) -> None:
    with pytest.raises(AnnotationError, match=r"accepted: a class id, or .* dog \(1\), wet grass \(7\)"):
        inputs.class_of(text, NAMES, 3)


def test_a_name_that_is_a_number_goes_before_the_id() -> None:
    assert inputs.class_of("7", {2: "7"}, 3) == 2


many = [(float(i), 0.0) for i in range(10_001)]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: inputs.click(Point(x=math.nan), 1), "click: got"),
        (lambda: inputs.click(Point(x=math.inf), 1), "click: got"),
        (lambda: inputs.box(polygon((1, 1)), 1), "box: got 1 points, accepted: 2 opposite or 4 corners"),
        (lambda: inputs.box(polygon((1, 1), (math.nan, 2)), 1), "box: got a point that is not a number"),
        (lambda: inputs.box(polygon((1, 1), (1, 9)), 1), "zero area"),
        (lambda: inputs.stroke(polygon(), 1), "stroke: got "),
        (lambda: inputs.stroke(polygon(*many), 1), "stroke: got 10001 points, accepted: at most 10000"),
        (lambda: inputs.region(polygon((1, 1), (2, 2)), 1), "region: got 2 points"),
        (lambda: draw(marker(ImageMarker.LINE_LIST, (1, 1), (2, 2))), "type: got 2, accepted: 0 (CIRCLE)"),
        (lambda: draw(marker(ImageMarker.POINTS)), "points: got none"),
        (lambda: draw(marker(ImageMarker.POINTS, (1, math.inf))), "not a number or infinite"),
        (lambda: draw(marker(ImageMarker.POINTS, *many)), "10001 points"),
        (lambda: draw(marker(ImageMarker.POINTS, (1, 1), scale=-1.0)), "scale: got -1"),
        (lambda: draw(marker(ImageMarker.POINTS, (1, 1), scale=math.nan)), "scale: got nan"),
        (lambda: draw(marker(ImageMarker.POINTS, (1, 1), action=4)), "action: got 4, accepted: 0 (ADD) | 1 (REMOVE)"),
        (lambda: draw(marker(ImageMarker.POINTS, (1, 1), ns="cat")), "class: got 'cat'"),
        (lambda: draw(marker(ImageMarker.POLYGON, *TRIANGLE, ns="dog:bouding")), "class: got 'dog:bouding'"),
        (lambda: draw(marker(ImageMarker.POLYGON, *TRIANGLE, ns="dog:bouding")), "then :bounding for a bounding box"),
        (lambda: draw(marker(ImageMarker.POLYGON, *TRIANGLE, ns="cat:bounding")), "class: got 'cat'"),
        (lambda: draw(marker(ImageMarker.POLYGON, (1, 1), ns="dog:bounding")), "box: got (1.0, 1.0, 1.0, 1.0) of zero"),
        (lambda: draw(marker(ImageMarker.POLYGON, *TRIANGLE, ns="0:bounding")), "box bounding: got class 0"),
        (
            lambda: draw(marker(ImageMarker.POINTS, (1, 1), ns="dog:bounding")),
            "ns: got 'dog:bounding' on type 4, accepted: :bounding on type 3 (POLYGON)",
        ),
    ],
)
def test_bad_messages_name_the_field_and_what_is_accepted(make: Any, says: str) -> None:
    with pytest.raises(AnnotationError, match="accepted") as raised:
        make()
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


FRAME = (480, 640)
LENS = [-0.3, 0.1, 0.001, -0.002, 0.0]


def info(**fields: Any) -> CameraInfo:
    """Return a lens of 500 pixels focal length, rectified to 400 pixels."""
    k = [500.0, 0.0, 320.0, 0.0, 500.0, 240.0, 0.0, 0.0, 1.0]
    p = [400.0, 0.0, 310.0, 0.0, 0.0, 400.0, 230.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    given = {"width": 640, "height": 480, "distortion_model": "plumb_bob", "d": [0.0] * 5, "k": k, "p": p, **fields}
    roi = given.pop("roi", {})
    made = CameraInfo(**given)
    for name, value in roi.items():
        setattr(made.roi, name, value)
    return made


def project(
    x: float, y: float, z: float, camera: CameraInfo, frame: tuple[int, int] = FRAME, rect: bool = False
) -> Any:
    made = click_at(np.array([x, y, z]), camera, frame, rect, 4)
    assert made.class_id == 4
    return made.x, made.y


def test_projection_of_raw_and_rectified_images() -> None:
    assert project(0, 0, 2, info()) == pytest.approx((320, 240))
    assert project(0.4, -0.2, 2, info()) == pytest.approx((420, 190))
    assert project(0.4, -0.2, 2, info(), rect=True) == pytest.approx((390, 190))
    right = info(p=[400.0, 0.0, 310.0, -40.0, 0.0, 400.0, 230.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    assert project(0.4, -0.2, 2, right, rect=True) == pytest.approx((370, 190))  # right camera of a stereo pair


def test_distortion_follows_the_published_lens_model() -> None:
    x, y = 0.4, -0.3
    k1, k2, p1, p2, _ = LENS
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2 * r2
    wanted = (
        320 + 500 * (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)),
        240 + 500 * (y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y),
    )
    assert project(2 * x, 2 * y, 2, info(d=LENS)) == pytest.approx(wanted, abs=1e-6)
    angle = math.atan(math.hypot(x, y))
    scale = angle * (1 + 0.02 * angle**2) / math.hypot(x, y)
    fisheye = info(d=[0.02, 0.0, 0.0, 0.0], distortion_model="equidistant")
    assert project(x, y, 1, fisheye) == pytest.approx((320 + 500 * x * scale, 240 + 500 * y * scale), abs=1e-4)


def test_region_of_interest_and_binning() -> None:
    part = {"x_offset": 100, "y_offset": 40, "width": 400, "height": 300}
    assert project(0, 0, 1, info(roi=part), (300, 400)) == pytest.approx((220, 200))
    assert project(0, 0, 1, info(binning_x=2, binning_y=2), (240, 320)) == pytest.approx((160, 120))
    both = info(binning_x=2, binning_y=2, roi=part)
    assert project(0, 0, 1, both, (150, 200)) == pytest.approx((110, 100))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: project(0, 0, -1, info()), "accepted: z > 0, in front of the camera"),
        (lambda: project(0, 0, 0, info()), "in front of the camera"),
        (lambda: project(math.nan, 0, 1, info()), "in front of the camera"),
        (lambda: project(1, 0, 1, info()), "outside the frame, accepted: a point that the camera sees"),
        (lambda: project(0, 0, 1, info(k=[0.0] * 9)), "camera_info k: got focal lengths 0 and 0, accepted"),
        (lambda: project(0, 0, 1, info(p=[0.0] * 12), rect=True), "camera_info p"),
        (lambda: project(0, 0, 1, info(), (240, 320)), "of a 640x480 image, accepted: the frame's 320x240"),
        (
            lambda: project(0, 0, 1, info(distortion_model="odd", d=[1.0])),
            "'odd' with 1 coefficients, accepted: plumb_bob",
        ),
        (lambda: project(0, 0, 1, info(d=[0.1, 0.1, 0.1])), "'plumb_bob' with 3 coefficients"),
        # Beyond 47 degrees this lens model folds back and would put the point into the image.
        (lambda: project(2.2, 0, 1, info(d=[-0.3, 0.0, 0.0, 0.0, 0.0])), "degrees off the camera's axis"),
    ],
)
def test_points_the_camera_cannot_see(make: Any, says: str) -> None:
    with pytest.raises((AnnotationError, CameraInfoError), match="accepted") as raised:
        make()
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("topic", "rectified"),
    [
        ("/camera/image_raw", False),
        ("image", False),
        ("/left/image_rect", True),
        ("/a/image_rect_color/compressed", True),
    ],
)
def test_which_topics_are_rectified(topic: str, rectified: bool) -> None:
    assert is_rectified(topic) is rectified


def test_transform_turns_then_moves() -> None:
    quarter = Transform()
    quarter.rotation.z = quarter.rotation.w = math.sqrt(0.5)  # 90 degrees about z: x becomes y
    quarter.translation.x = 10.0
    np.testing.assert_allclose(transform_point(quarter, np.array([1.0, 0.0, 5.0])), [10, 1, 5], atol=1e-12)


@pytest.mark.ros
def test_points_in_other_frames_need_a_transform(probe: Any) -> None:
    frame = CameraFrame(probe.node)
    message = PointStamped()
    message.point.z = 2.0
    for same in ("", "camera_optical", "/camera_optical"):
        message.header.frame_id = same
        np.testing.assert_array_equal(frame.point_in("camera_optical", message), [0, 0, 2])
    message.header.frame_id = "map"
    with pytest.raises(AnnotationError, match="clicked_point frame: got 'map', accepted: "):
        frame.point_in("camera_optical", message)
