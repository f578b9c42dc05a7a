"""Image messages of every encoding, with padding and both byte orders, become the same RGB picture."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from neural_seg_ros.errors import ImageError
from neural_seg_ros.images.ros_messages import ENCODINGS, to_rgb

HEIGHT, WIDTH = 24, 32
RED, GREEN, BLUE = 200, 120, 40


def message(encoding: str, pixels: Any, *, padding: int = 0, big: bool = False) -> SimpleNamespace:
    """Return a message as rosbags gives it; every row gets ``padding`` bytes of rubbish."""
    pixels = np.asarray(pixels)
    if big:
        pixels = pixels.astype(pixels.dtype.newbyteorder(">"))
    rows = np.frombuffer(pixels.tobytes(), np.uint8).reshape(pixels.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    return SimpleNamespace(
        height=HEIGHT, width=WIDTH, encoding=encoding, is_bigendian=int(big), step=rows.shape[1], data=rows.ravel()
    )


def picture() -> Any:
    """Return (H, W, 3) RGB: left half orange, right half gray 90, so that a swap of channels or sides shows."""
    rgb = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    rgb[:, : WIDTH // 2] = RED, GREEN, BLUE
    return rgb


def gray_of(rgb: Any) -> Any:
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)


def alpha(rgb: Any) -> Any:
    return np.dstack([rgb, np.full(rgb.shape[:2], 13, np.uint8)])


def high_byte(pixels: Any) -> Any:
    return (pixels.astype(np.uint16) << 8) | 0xA5


def bayer(rgb: Any, pattern: str) -> Any:
    """Mosaic of a picture: ``pattern`` names the colors of the upper left 2x2 pixels in reading order."""
    mosaic = np.empty(rgb.shape[:2], np.uint8)
    for place, color in enumerate(pattern):
        row, column = divmod(place, 2)
        mosaic[row::2, column::2] = rgb[row::2, column::2, "rgb".index(color)]
    return mosaic


def yuv(rgb: Any) -> tuple[Any, Any, Any]:
    """BT.601 limited range planes, from OpenCV's own forward conversion (chroma at half size)."""
    planes = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420).ravel()
    luma, chroma = HEIGHT * WIDTH, HEIGHT * WIDTH // 4
    shape = HEIGHT // 2, WIDTH // 2
    u, v = planes[luma : luma + chroma].reshape(shape), planes[luma + chroma :].reshape(shape)
    return planes[:luma].reshape(HEIGHT, WIDTH), u, v


def packed_yuv(rgb: Any, order: str) -> Any:
    y, u, v = yuv(rgb)
    channels = {"y0": y[:, ::2], "y1": y[:, 1::2], "u": u.repeat(2, 0), "v": v.repeat(2, 0)}
    return np.dstack([channels[name] for name in order.split()]).reshape(HEIGHT, WIDTH, 2)


def semi_planar(rgb: Any, order: str) -> Any:
    y, u, v = yuv(rgb)
    chroma = np.dstack((u, v) if order == "uv" else (v, u)).reshape(HEIGHT // 2, WIDTH)
    return np.vstack([y, chroma])


RGB = picture()
GRAY = gray_of(RGB)
BGR = RGB[..., ::-1]
EXACT = {
    "rgb8": RGB,
    "bgr8": BGR,
    "rgba8": alpha(RGB),
    "bgra8": alpha(BGR),
    "8UC3": BGR,
    "8UC4": alpha(BGR),
    "rgb16": high_byte(RGB),
    "bgr16": high_byte(BGR),
    "rgba16": high_byte(alpha(RGB)),
    "bgra16": high_byte(alpha(BGR)),
}
MOSAIC = {
    f"bayer_{pattern}{bits}": bayer(RGB, pattern) for pattern in ("rggb", "bggr", "gbrg", "grbg") for bits in (8, 16)
}
YUV = {
    "yuv422": packed_yuv(RGB, "u y0 v y1"),
    "uyvy": packed_yuv(RGB, "u y0 v y1"),
    "yuv422_yuy2": packed_yuv(RGB, "y0 u y1 v"),
    "yuyv": packed_yuv(RGB, "y0 u y1 v"),
    "nv12": semi_planar(RGB, "uv"),
    "nv21": semi_planar(RGB, "vu"),
}
GRAYS = {"mono8": GRAY, "8UC1": GRAY, "mono16": high_byte(GRAY)}


@pytest.mark.parametrize("padding", [0, 8, 10])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("encoding", [*EXACT, *MOSAIC, *YUV, *GRAYS])
def test_every_encoding_gives_the_picture(encoding: str, padding: int, big: bool) -> None:
    pixels = {**EXACT, **MOSAIC, **YUV, **GRAYS}[encoding]
    if encoding in MOSAIC and encoding.endswith("16"):
        pixels = high_byte(pixels)
    rgb = to_rgb(message(encoding, pixels, padding=padding, big=big))
    assert rgb.shape == (HEIGHT, WIDTH, 3)
    assert rgb.dtype == np.uint8
    if encoding in GRAYS:
        np.testing.assert_array_equal(rgb, np.dstack([GRAY] * 3))
    elif encoding in EXACT:
        np.testing.assert_array_equal(rgb, RGB)
    else:  # colors are interpolated at the border between the halves, and rounded
        away = np.r_[2 : WIDTH // 2 - 2, WIDTH // 2 + 2 : WIDTH - 2]
        difference = np.abs(rgb.astype(int) - RGB)[2:-2, away]
        assert difference.max() <= (0 if encoding in MOSAIC else 3)


def test_nv24_has_a_chroma_sample_for_every_pixel() -> None:
    y, u, v = yuv(RGB)
    full = np.dstack([u.repeat(2, 0).repeat(2, 1), v.repeat(2, 0).repeat(2, 1)]).reshape(HEIGHT, 2 * WIDTH)
    for padding in (0, 6):
        data = np.concatenate(
            [
                np.pad(y, ((0, 0), (0, padding))).ravel(),
                np.pad(full, ((0, 0), (0, 2 * padding))).ravel(),
            ]
        )
        given = message("nv24", y, padding=padding)
        given.data = data
        assert np.abs(to_rgb(given).astype(int) - RGB).max() <= 3


def test_every_accepted_encoding_is_in_this_table() -> None:
    assert set(ENCODINGS) == {*EXACT, *MOSAIC, *YUV, *GRAYS, "nv24", "16UC1", "32FC1"}


@pytest.mark.parametrize("big", [False, True])
def test_depth_is_spread_over_gray_missing_depth_is_black(big: bool) -> None:
    meters = np.linspace(0.5, 4.0, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    meters[3, 3:7] = np.nan, np.inf, -np.inf, 1e30  # the last one is an outlier, not missing
    millimeters = np.linspace(500, 4000, HEIGHT * WIDTH).astype(np.uint16).reshape(HEIGHT, WIDTH)
    millimeters[3, 3:6] = 0
    for encoding, depth in (("32FC1", meters), ("16UC1", millimeters)):
        rgb = to_rgb(message(encoding, depth, padding=4, big=big))
        gray = rgb[..., 0]
        np.testing.assert_array_equal(rgb, np.dstack([gray] * 3))
        np.testing.assert_array_equal(gray[3, 3:6], 0)
        assert gray[0, 0] == 1
        assert gray[-1, -1] == 255
        assert abs(int(gray[HEIGHT // 2, WIDTH // 2]) - 132) <= 4
    assert to_rgb(message("32FC1", meters, big=big))[3, 6, 0] == 255


@pytest.mark.parametrize("value", [0.0, 2.5, np.nan])
def test_flat_depth_is_accepted(value: float) -> None:
    rgb = to_rgb(message("32FC1", np.full((HEIGHT, WIDTH), value, np.float32)))
    assert (rgb == (0 if np.isnan(value) else 1)).all()


def compressed(pixels: Any, suffix: str, form: str) -> SimpleNamespace:
    return SimpleNamespace(format=form, data=cv2.imencode(suffix, pixels)[1])


@pytest.mark.parametrize(
    "form",
    ["jpeg", "png", "rgb8; jpeg compressed bgr8", "bgr8; png compressed bgr8", "bgra8; jpeg compressed bgr8", ""],
)
def test_compressed_color(form: str) -> None:
    suffix = ".png" if "png" in form else ".jpg"
    rgb = to_rgb(compressed(BGR, suffix, form))
    away = np.r_[0:8, 24:WIDTH]  # jpeg mixes the colors of the halves
    assert np.abs(rgb.astype(int) - RGB)[:, away].max() <= (0 if suffix == ".png" else 4)


def test_compressed_without_the_swap_to_bgr() -> None:
    np.testing.assert_array_equal(to_rgb(compressed(RGB, ".png", "rgb8; png compressed rgb8")), RGB)


def test_compressed_gray_alpha_16_bit_bayer_and_depth() -> None:
    np.testing.assert_array_equal(to_rgb(compressed(GRAY, ".png", "mono8; png compressed ")), np.dstack([GRAY] * 3))
    np.testing.assert_array_equal(to_rgb(compressed(alpha(BGR), ".png", "png")), RGB)
    np.testing.assert_array_equal(to_rgb(compressed(high_byte(BGR), ".png", "png")), RGB)
    np.testing.assert_array_equal(
        to_rgb(compressed(high_byte(GRAY), ".png", "mono16; png compressed ")), np.dstack([GRAY] * 3)
    )
    mosaic = to_rgb(compressed(bayer(RGB, "rggb"), ".png", "bayer_rggb8; png compressed "))
    np.testing.assert_array_equal(mosaic[8:16, 4:12], RGB[8:16, 4:12])
    depth = np.linspace(500, 4000, HEIGHT * WIDTH).astype(np.uint16).reshape(HEIGHT, WIDTH)
    assert to_rgb(compressed(depth, ".png", "16UC1; png compressed 16UC1")).max() == 255


def changed(**fields: Any) -> SimpleNamespace:
    return SimpleNamespace(**{**vars(message("rgb8", RGB)), **fields})


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (changed(encoding="rgb9"), "encoding: got 'rgb9', accepted: rgb8"),
        (changed(encoding=""), "encoding: got ''"),
        (changed(step=10), "step: got 10, accepted: at least 96 bytes"),
        (changed(data=np.zeros(50, np.uint8)), "data: got 50 bytes, accepted: at least 2304"),
        (changed(data=np.zeros(0, np.uint8)), "data: got 0 bytes"),
        (changed(width=0, height=0, step=0), "width, height: got 0x0"),
        (changed(height=1), "width, height: got 32x1"),
        (changed(width=40_000, step=120_000), "width, height: got 40000x24"),
        (changed(encoding="yuv422", width=31), "an even width"),
        (changed(encoding="nv21", height=23), "an even width and height"),
        (changed(encoding="nv24"), "data: got 2304 bytes, accepted: at least 6912"),
        (SimpleNamespace(format="jpeg", data=np.arange(99, dtype=np.uint8)), "format 'jpeg' that cannot be decoded"),
        (compressed(RGB.astype(np.float32), ".hdr", "hdr"), "format 'hdr' that cannot be decoded"),
        (compressed(RGB[:1, :1], ".png", "png"), "data: got a picture of 1x1, accepted: 8 to"),
        (SimpleNamespace(format="rgb8; jpeg compressed bgr8", data=b""), "0 bytes of format 'rgb8; jpeg"),
    ],
)
def test_bad_messages_name_the_field_and_what_is_accepted(bad: Any, says: str) -> None:
    with pytest.raises(ImageError, match="accepted") as raised:
        to_rgb(bad)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_truncated_jpeg_does_not_crash() -> None:
    whole = cv2.imencode(".jpg", BGR)[1]
    with pytest.raises(ImageError, match="cannot be decoded"):
        to_rgb(SimpleNamespace(format="jpeg", data=whole[:40]))


class TestFromArray:
    """Needs the message classes of rclpy."""

    @pytest.fixture
    def from_array(self) -> Any:
        pytest.importorskip("sensor_msgs.msg", reason="ROS messages are not installed", exc_type=ImportError)
        from neural_seg_ros.ros.toolkit.conversion import from_array

        return from_array

    @pytest.fixture
    def header(self, from_array: Any) -> Any:
        from std_msgs.msg import Header

        header = Header(frame_id="camera")
        header.stamp.sec, header.stamp.nanosec = 12, 34
        return header

    @pytest.mark.parametrize("encoding", ["rgb8", "mono8", "mono16", "bgr8", "32FC1"])
    def test_there_and_back(self, from_array: Any, header: Any, encoding: str) -> None:
        depth = np.linspace(0, 1, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
        pixels = {**EXACT, **GRAYS, "32FC1": depth}[encoding]
        image = from_array(pixels, encoding, header)
        assert (image.height, image.width, image.encoding, image.is_bigendian) == (HEIGHT, WIDTH, encoding, 0)
        assert image.step == WIDTH * pixels.itemsize * (3 if pixels.ndim == 3 else 1)
        assert bytes(image.data) == pixels.tobytes()
        assert image.header == header
        if encoding in EXACT:
            np.testing.assert_array_equal(to_rgb(image), RGB)

    def test_a_view_with_gaps_is_packed(self, from_array: Any, header: Any) -> None:
        image = from_array(GRAY[:, ::2], "mono8", header)
        assert bytes(image.data) == GRAY[:, ::2].tobytes()

    @pytest.mark.parametrize(
        ("pixels", "encoding"),
        [(RGB, "mono8"), (GRAY, "rgb8"), (GRAY, "mono16"), (RGB.astype(np.float32), "rgb8"), (GRAY, "none")],
    )
    def test_what_does_not_fit_the_encoding_is_refused(
        self, from_array: Any, header: Any, pixels: Any, encoding: str
    ) -> None:
        with pytest.raises(ImageError, match="accepted"):
            from_array(pixels, encoding, header)

    def test_640x480_takes_under_2_ms(self, from_array: Any, header: Any) -> None:
        pixels = np.zeros((480, 640, 3), np.uint8)
        from_array(pixels, "rgb8", header)
        times = []
        for _ in range(20):
            start = time.perf_counter()
            from_array(pixels, "rgb8", header)
            times.append(time.perf_counter() - start)
        assert min(times) < 0.002

    def test_compressed_message_of_rclpy(self, from_array: Any) -> None:
        from sensor_msgs.msg import CompressedImage

        png = cv2.imencode(".png", BGR)[1].tobytes()
        np.testing.assert_array_equal(to_rgb(CompressedImage(format="png", data=png)), RGB)


def test_messages_of_rosbags() -> None:
    typesys = pytest.importorskip("rosbags.typesys")
    types = typesys.get_typestore(typesys.Stores.LATEST).types
    time_type, header_type = types["builtin_interfaces/msg/Time"], types["std_msgs/msg/Header"]
    header = header_type(stamp=time_type(sec=1, nanosec=2), frame_id="camera")
    bgr = np.ascontiguousarray(BGR)
    image = types["sensor_msgs/msg/Image"](header, HEIGHT, WIDTH, "bgr8", 0, 3 * WIDTH, bgr.ravel())
    np.testing.assert_array_equal(to_rgb(image), RGB)
    png = types["sensor_msgs/msg/CompressedImage"](header, "png", cv2.imencode(".png", bgr)[1])
    np.testing.assert_array_equal(to_rgb(png), RGB)
