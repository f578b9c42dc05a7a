"""Depth and labels to points, against the same written out pixel by pixel."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from neural_seg_ros.errors import CameraInfoError, ImageError
from neural_seg_ros.images.camera_model import Rays, camera_rays
from neural_seg_ros.images.ros_messages import to_pixels
from neural_seg_ros.ros.consumers import cloud

HEIGHT, WIDTH = 12, 16
K = [20.0, 0.0, 7.5, 0.0, 25.0, 5.0, 0.0, 0.0, 1.0]
P = [10.0, 0.0, 8.0, 0.0, 0.0, 12.0, 6.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def info(**fields: Any) -> SimpleNamespace:
    roi = SimpleNamespace(**{"x_offset": 0, "y_offset": 0, "width": 0, "height": 0, **fields.pop("roi", {})})
    given = {"width": WIDTH, "height": HEIGHT, "distortion_model": "plumb_bob", "d": [0.0] * 5, "k": K, "p": P}
    return SimpleNamespace(**{**given, "binning_x": 0, "binning_y": 0, "roi": roi, **fields})


def scene(seed: int = 0) -> tuple[Any, Any, Any]:
    """Depth in millimeters with holes, labels, confidence."""
    rng = np.random.default_rng(seed)
    millimeters = rng.integers(200, 60_000, (HEIGHT, WIDTH)).astype(np.uint16)
    millimeters[rng.random((HEIGHT, WIDTH)) < 0.2] = 0
    labels = rng.choice(np.array([0, 1, 3, 255], np.uint8), (HEIGHT, WIDTH))
    return millimeters, labels, rng.integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8)


def test_rays_are_those_of_the_pinhole_pixel_by_pixel() -> None:
    for rectified, (fx, cx, fy, cy) in ((False, (20, 7.5, 25, 5)), (True, (10, 8, 12, 6))):
        rays = camera_rays(info(), (HEIGHT, WIDTH), rectified)
        for v in range(HEIGHT):
            for u in range(WIDTH):
                assert rays.x[0, u] == pytest.approx((u - cx) / fx, abs=1e-6)
                assert rays.y[v, 0] == pytest.approx((v - cy) / fy, abs=1e-6)


@pytest.mark.parametrize(
    ("model", "coefficients"),
    [("plumb_bob", [-0.2, 0.05, 0.001, -0.002, 0.0]), ("equidistant", [0.02, 0.01, 0.0, 0.0])],
)
def test_rays_through_a_lens_come_back_to_their_pixels(model: str, coefficients: list[float]) -> None:
    rays = camera_rays(info(distortion_model=model, d=coefficients), (HEIGHT, WIDTH), rectified=False)
    points = np.dstack([rays.x, rays.y, np.ones((HEIGHT, WIDTH))]).reshape(-1, 1, 3).astype(np.float64)
    project = cv2.fisheye.projectPoints if model == "equidistant" else cv2.projectPoints
    pixels, _ = project(points, np.zeros(3), np.zeros(3), np.array(K).reshape(3, 3), np.array(coefficients))
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    np.testing.assert_allclose(pixels.reshape(HEIGHT, WIDTH, 2), np.dstack([u, v]), atol=1e-3)
    straight = camera_rays(info(distortion_model=model, d=coefficients), (HEIGHT, WIDTH), rectified=True)
    assert straight.x.shape == (1, WIDTH)


def test_rays_of_a_part_of_the_sensor_and_of_binned_pixels() -> None:
    part = {"x_offset": 4, "y_offset": 2, "width": 8, "height": 6}
    rays = camera_rays(info(roi=part), (6, 8), rectified=False)
    assert (rays.x[0, 1], rays.y[1, 0]) == pytest.approx(((5 - 7.5) / 20, (3 - 5) / 25))
    rays = camera_rays(info(roi=part, binning_x=2, binning_y=2), (3, 4), rectified=False)
    assert (rays.x[0, 1], rays.y[1, 0]) == pytest.approx(((6 - 7.5) / 20, (4 - 5) / 25))


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (info(k=[0.0] * 9), "camera_info k: got focal lengths 0 and 0, accepted"),
        (info(k=[math.nan] * 9), "camera_info k: got focal lengths nan"),
        (info(k=[20.0, 0.0, math.inf, 0.0, 25.0, 5.0, 0.0, 0.0, 1.0]), "camera_info k"),
        (info(d=[0.1]), "camera_info d: got 'plumb_bob' with 1 coefficients, accepted: plumb_bob"),
        (info(d=[math.nan] * 5), "camera_info d"),
        (info(width=640, height=480), "of a 640x480 image, accepted: the frame's 16x12"),
        (info(binning_x=2), "of a 8x12 image"),
    ],
)
def test_calibrations_that_are_refused(bad: Any, says: str) -> None:
    with pytest.raises(CameraInfoError, match="accepted") as raised:
        camera_rays(bad, (HEIGHT, WIDTH), rectified=False)
    assert says in str(raised.value)


def test_meters_and_what_was_not_measured() -> None:
    np.testing.assert_array_equal(
        cloud.meters(np.array([[0, 1, 1500, 65535]], np.uint16)), np.array([[np.nan, 0.001, 1.5, 65.535]], np.float32)
    )
    given = np.array([[0, -1, np.nan, np.inf, -np.inf, 1e-3, 2.5]], np.float32)
    np.testing.assert_array_equal(
        cloud.meters(given), np.array([[np.nan] * 5 + [1e-3, 2.5]], np.float32), err_msg="float32 is metres"
    )


def test_masked_depth_keeps_its_type_and_its_values() -> None:
    millimeters, labels, _ = scene()
    keep = labels == 3
    taken = cloud.masked(millimeters, keep)
    meters = cloud.masked(millimeters.astype(np.float32) / 1000, keep)
    assert (taken.dtype, meters.dtype) == (np.uint16, np.float32)
    for v in range(HEIGHT):
        for u in range(WIDTH):
            assert taken[v, u] == (millimeters[v, u] if labels[v, u] == 3 else 0)
            assert np.isnan(meters[v, u]) == (labels[v, u] != 3)
    assert cloud.masked(millimeters, None) is millimeters


@pytest.mark.parametrize("lens", [[0.0] * 5, [-0.2, 0.05, 0.001, -0.002, 0.0]])
@pytest.mark.parametrize("selected", [None, 1, 3])
def test_points_are_those_of_a_loop_over_the_pixels(lens: list[float], selected: int | None) -> None:
    millimeters, labels, confidence = scene()
    rays = camera_rays(info(d=lens), (HEIGHT, WIDTH), rectified=False)
    x, y = (np.broadcast_to(axis, (HEIGHT, WIDTH)) for axis in (rays.x, rays.y))
    keep = None if selected is None else labels == selected
    points = cloud.organized(cloud.meters(millimeters), rays, labels, confidence, keep)
    there = []
    for v in range(HEIGHT):
        for u in range(WIDTH):
            point, z = points[v, u], millimeters[v, u] / 1000
            assert (point["label"], point["confidence"]) == (labels[v, u], np.float32(confidence[v, u] / 255))
            if z > 0 and selected in (None, labels[v, u]):
                assert (point["x"], point["y"], point["z"]) == pytest.approx((x[v, u] * z, y[v, u] * z, z), rel=1e-5)
                there.append(point)
            else:
                assert np.isnan([point["x"], point["y"], point["z"]]).all()
    packed = cloud.dense(points)
    assert (packed.shape, packed.dtype) == ((len(there),), cloud.POINT)
    assert packed.tolist() == np.array(there, cloud.POINT).tolist()


def test_points_without_confidence_and_with_16_bit_labels() -> None:
    millimeters, labels, _ = scene()
    rays = camera_rays(info(), (HEIGHT, WIDTH), rectified=False)
    points = cloud.organized(cloud.meters(millimeters), rays, labels.astype(np.uint16) + 1000)
    assert (points["confidence"] == 1).all()
    np.testing.assert_array_equal(points["label"], labels.astype(int) + 1000)


def test_no_depth_at_all_is_no_point() -> None:
    rays = camera_rays(info(), (HEIGHT, WIDTH), rectified=False)
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    points = cloud.organized(cloud.meters(np.zeros((HEIGHT, WIDTH), np.uint16)), rays, labels)
    assert np.isnan(points["x"]).all()
    assert cloud.dense(points).shape == (0,)


def test_where_the_lens_model_gives_no_ray_there_is_no_point() -> None:
    x = np.full((2, 2), 0.5, np.float32)
    x[0, 1] = np.nan
    rays = Rays(x, np.zeros((2, 2), np.float32), (2, 2))
    points = cloud.organized(np.ones((2, 2), np.float32), rays, np.zeros((2, 2), np.uint8))
    assert np.isnan(points["z"]).tolist() == [[False, True], [False, False]]
    assert len(cloud.dense(points)) == 3


def test_points_lie_as_pcl_has_them() -> None:
    fields = cloud.POINT.fields
    assert fields is not None
    assert {name: (kind.str[1:], offset) for name, (kind, offset, *_) in fields.items()} == {
        "x": ("f4", 0),
        "y": ("f4", 4),
        "z": ("f4", 8),
        "label": ("u4", 12),
        "confidence": ("f4", 16),
    }


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize(("encoding", "kind"), [("16UC1", "u2"), ("32FC1", "f4"), ("mono16", "u2"), ("mono8", "u1")])
def test_pixels_of_messages_in_either_byte_order_with_padding(
    encoding: str, kind: str, padding: int, big: bool
) -> None:
    values = np.random.default_rng(0).integers(0, 200, (HEIGHT, WIDTH)).astype(kind)
    rows = values.astype(f"{'>' if big else '<'}{kind}").view(np.uint8).reshape(HEIGHT, -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    message = SimpleNamespace(
        width=WIDTH, height=HEIGHT, encoding=encoding, step=rows.shape[1], is_bigendian=big, data=rows.tobytes()
    )
    pixels = to_pixels(message, (encoding,))
    np.testing.assert_array_equal(pixels, values)
    assert pixels.dtype == np.dtype(kind)
    with pytest.raises(ImageError, match=f"encoding: got '{encoding}', accepted: rgb8, bgr8"):
        to_pixels(message, ("rgb8", "bgr8"))
