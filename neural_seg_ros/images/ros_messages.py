"""ROS image messages to RGB arrays, for messages of rclpy and of rosbags alike.

Color conversions are those of cv_bridge where it is installed, else of rosbags-image; row padding, byte order, planar
YUV and depth are handled here because not both of them do. What every encoding becomes:

- 8-bit color, gray, Bayer and YUV 4:2:2: RGB.
- 16-bit color, gray and Bayer: the high byte of every value, then as with 8 bits.
- nv12, nv21, nv24: RGB by BT.601 with limited range, as OpenCV has it.
- 16UC1 and 32FC1 (depth): gray; the 1st to 99th percentile of the measured values is spread over 1 to 255, and pixels
  without a measurement (0 in 16UC1, NaN and infinite in 32FC1) are 0.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Collection
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neural_seg_ros.errors import ImageError, short
from neural_seg_ros.images.arrays import MAX_PIXELS, MAX_SIDE, MIN_SIDE

try:
    from cv_bridge.boost.cv_bridge_boost import cvtColor2
except (ImportError, AttributeError):  # AttributeError: a cv_bridge built for another major version of NumPy
    from rosbags.image import image_to_cvimage

    cvtColor2 = None  # noqa: N816  the name is cv_bridge's


@dataclass(frozen=True)
class Encoding:
    """The memory layout of an image encoding, and its conversion to 8 bits.

    base      8-bit encoding that the color conversion knows, ``depth``, or a planar ``nv12``, ``nv21``, ``nv24``
    dtype     of one value: ``uint8``, ``uint16`` or ``float32``
    channels  values of one pixel in a row (planar encodings: of the luma rows)
    """

    base: str
    dtype: str = "uint8"
    channels: int = 1


_CHANNELS = {"rgb": 3, "bgr": 3, "rgba": 4, "bgra": 4, "mono": 1} | {
    f"bayer_{pattern}": 1 for pattern in ("rggb", "bggr", "gbrg", "grbg")
}
ENCODINGS: dict[str, Encoding] = {
    **{f"{name}8": Encoding(f"{name}8", "uint8", channels) for name, channels in _CHANNELS.items()},
    **{f"{name}16": Encoding(f"{name}8", "uint16", channels) for name, channels in _CHANNELS.items()},
    # The generic types of OpenCV; its channel order is BGR, as RViz and rqt show them.
    "8UC1": Encoding("mono8"),
    "8UC3": Encoding("bgr8", channels=3),
    "8UC4": Encoding("bgra8", channels=4),
    "16UC1": Encoding("depth", "uint16"),
    "32FC1": Encoding("depth", "float32"),
    # ROS says yuv422 for UYVY and yuv422_yuy2 for YUYV; newer versions use the FourCC as well.
    "yuv422": Encoding("yuv422", channels=2),
    "uyvy": Encoding("yuv422", channels=2),
    "yuv422_yuy2": Encoding("yuv422_yuy2", channels=2),
    "yuyv": Encoding("yuv422_yuy2", channels=2),
    "nv12": Encoding("nv12"),
    "nv21": Encoding("nv21"),
    "nv24": Encoding("nv24"),
}
# Height of all planes together relative to the image, and the (x, y) multiples that chroma subsampling requires.
_PLANES = {"nv12": 1.5, "nv21": 1.5, "nv24": 3}
_EVEN = {"yuv422": (2, 1), "yuv422_yuy2": (2, 1), "nv12": (2, 2), "nv21": (2, 2)}
_BT601 = np.array(  # limited range Y, Cb, Cr, 1 to R, G, B: the coefficients OpenCV uses for NV12
    [
        [1.164, 0.0, 1.596, -1.164 * 16 - 1.596 * 128],
        [1.164, -0.391, -0.813, -1.164 * 16 + (0.391 + 0.813) * 128],
        [1.164, 2.018, 0.0, -1.164 * 16 - 2.018 * 128],
    ]
)
# Of a message: characters of a text, and bytes of a pixel with padding, planes and all.
MAX_TEXT = 256
MAX_PIXEL_BYTES = 16
# The formats of image transports. The size of other formats is not known before decoding.
_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")
_BIG_ENDIAN = sys.byteorder == "big"
_PERCENTILES = (1, 99)
_PERCENTILE_SAMPLES = 20_000


def to_rgb(message: Any, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Convert a ``sensor_msgs`` Image or CompressedImage (jpeg, png, ...) to (H, W, 3) uint8 RGB.

    The array may share the memory of ``message.data``. Raises ImageError naming the field of the message; images of
    more than ``max_pixels`` are refused before they take any memory.
    """
    if hasattr(message, "format"):
        return _decode(message, max_pixels)
    if message.encoding not in ENCODINGS:
        raise ImageError(f"encoding: got {short(message.encoding)}, accepted: {', '.join(ENCODINGS)}")
    encoding = ENCODINGS[message.encoding]
    _check_size(message, encoding, max_pixels)
    if encoding.base in _PLANES:
        return _planar_to_rgb(message, encoding)
    return pixels_to_rgb(_unpack(message, encoding), message.encoding)


def check_image(message: Any, accepted: Collection[str]) -> None:
    """Raise ImageError unless an Image has one of the ``accepted`` non-planar encodings and all its bytes."""
    if message.encoding not in accepted:
        raise ImageError(f"encoding: got {short(message.encoding)}, accepted: {', '.join(accepted)}")
    _check_size(message, ENCODINGS[message.encoding], MAX_PIXELS)


def to_pixels(message: Any, accepted: Collection[str]) -> NDArray[Any]:
    """Return the (H, W) or (H, W, C) values of an Image in one of the ``accepted`` non-planar encodings, unchanged.

    Without row padding, in native byte order; the array may share the memory of ``message.data``. Raises ImageError
    naming the field of the message.
    """
    check_image(message, accepted)
    return _unpack(message, ENCODINGS[message.encoding])


def check_bounds(message: Any, max_pixels: int = MAX_PIXELS) -> None:
    """Raise ImageError for a message of more bytes or longer texts than any image of ``max_pixels`` has. Cheap."""
    frame_id = message.header.frame_id
    if len(frame_id) > MAX_TEXT:
        raise ImageError(f"header.frame_id: got {len(frame_id)} characters, accepted: at most {MAX_TEXT}")
    most = MAX_PIXEL_BYTES * max_pixels
    if len(message.data) > most:
        raise ImageError(f"data: got {len(message.data)} bytes, accepted: at most {most} for {max_pixels:,} pixels")


def pixels_to_rgb(pixels: NDArray[Any], encoding: str) -> NDArray[np.uint8]:
    """Convert (H, W) or (H, W, C) pixels in native byte order, non-planar, to (H, W, 3) uint8 RGB."""
    base = ENCODINGS[encoding].base
    if base == "depth":
        return np.asarray(cv2.cvtColor(_depth_to_gray(pixels), cv2.COLOR_GRAY2RGB), np.uint8)
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    pixels = np.ascontiguousarray(pixels)
    return pixels if base == "rgb8" else _convert_color(pixels, base)


def _convert_color(pixels: NDArray[np.uint8], encoding: str) -> NDArray[np.uint8]:
    if cvtColor2 is not None:
        return np.asarray(cvtColor2(pixels, encoding, "rgb8"), np.uint8)
    height, width = pixels.shape[:2]
    packed = SimpleNamespace(height=height, width=width, encoding=encoding, is_bigendian=_BIG_ENDIAN, data=pixels)
    return np.asarray(image_to_cvimage(packed, "rgb8"), np.uint8)


def _check_size(message: Any, encoding: Encoding, max_pixels: int) -> None:
    width, height, name = int(message.width), int(message.height), message.encoding
    _check_sides("width, height: got", width, height, max_pixels)
    multiple_x, multiple_y = _EVEN.get(encoding.base, (1, 1))
    if width % multiple_x or height % multiple_y:
        wanted = "an even width and height" if multiple_y == 2 else "an even width"
        raise ImageError(f"width, height: got {width}x{height} of {name}, accepted: {wanted}")
    least = width * encoding.channels * np.dtype(encoding.dtype).itemsize
    if message.step < least:
        raise ImageError(f"step: got {message.step}, accepted: at least {least} bytes for {width} pixels of {name}")
    expected = int(message.step * height * _PLANES.get(encoding.base, 1))
    if len(message.data) < expected:
        raise ImageError(
            f"data: got {len(message.data)} bytes, accepted: at least {expected} "
            f"for {height} rows of step {message.step} in {name}"
        )


def _check_sides(given: str, width: int, height: int, max_pixels: int) -> None:
    if min(width, height) < MIN_SIDE or max(width, height) > MAX_SIDE or width * height > max_pixels:
        raise ImageError(f"{given} {width}x{height}, accepted: {_sides(max_pixels)}")


def _sides(max_pixels: int) -> str:
    return f"{MIN_SIDE} to {MAX_SIDE} pixels each, at most {max_pixels:,} together"


def _unpack(message: Any, encoding: Encoding) -> NDArray[Any]:
    """Return (H, W) or (H, W, C) pixels without row padding, in native byte order; a view where possible."""
    dtype = np.dtype(encoding.dtype)
    used = message.width * encoding.channels * dtype.itemsize
    rows = _bytes(message)[: message.step * message.height].reshape(message.height, message.step)[:, :used]
    pixels = np.ascontiguousarray(rows).view(dtype)
    if bool(message.is_bigendian) != _BIG_ENDIAN and dtype.itemsize > 1:
        pixels = pixels.byteswap()
    if encoding.channels == 1:
        return pixels
    return pixels.reshape(message.height, message.width, encoding.channels)


def _planar_to_rgb(message: Any, encoding: Encoding) -> NDArray[np.uint8]:
    """Convert a luma plane followed by interleaved chroma to RGB (nv24: with rows twice as long)."""
    height, width, step = message.height, message.width, message.step
    planes = _bytes(message)
    if encoding.base == "nv24":
        luma = planes[: step * height].reshape(height, step)[:, :width]
        chroma = planes[step * height : 3 * step * height].reshape(height, 2 * step)[:, : 2 * width]
        yuv = np.dstack((luma, chroma.reshape(height, width, 2)))
        return np.asarray(cv2.transform(yuv, _BT601), np.uint8)
    rows = height * 3 // 2
    yuv = np.ascontiguousarray(planes[: step * rows].reshape(rows, step)[:, :width])
    code = cv2.COLOR_YUV2RGB_NV12 if encoding.base == "nv12" else cv2.COLOR_YUV2RGB_NV21
    return np.asarray(cv2.cvtColor(yuv, code), np.uint8)


def _depth_to_gray(depth: NDArray[Any]) -> NDArray[np.uint8]:
    measured = np.isfinite(depth) if depth.dtype.kind == "f" else depth > 0
    values = depth[measured]
    if not values.size:
        return np.zeros(depth.shape, np.uint8)
    sample = values[:: max(1, values.size // _PERCENTILE_SAMPLES)].astype(np.float64)
    low, high = np.percentile(sample, _PERCENTILES)
    with np.errstate(over="ignore", invalid="ignore"):
        spread = (depth.astype(np.float64) - low) / max(high - low, np.finfo(np.float32).tiny)
    gray = 1 + 254 * np.clip(spread, 0, 1)
    return np.where(measured, gray, 0).astype(np.uint8)


def _decode(message: Any, max_pixels: int) -> NDArray[np.uint8]:
    given = f"{len(message.data)} bytes of format {short(message.format)}"
    undecodable = ImageError(f"data: got {given} that cannot be decoded, accepted: jpeg, png")
    # A few bytes may announce a picture too large for memory, so its size is checked before decoding.
    try:
        with Image.open(io.BytesIO(message.data), formats=_FORMATS) as announced:
            width, height = announced.size
    except Image.DecompressionBombError as error:
        raise ImageError(f"data: {error}, accepted: {_sides(max_pixels)}") from None
    except Exception:  # Pillow can raise anything for a damaged picture
        raise undecodable from None
    _check_sides("data: got a picture of", width, height, max_pixels)
    try:
        pixels = cv2.imdecode(_bytes(message), cv2.IMREAD_UNCHANGED)
    except cv2.error:  # for example no bytes at all
        pixels = None
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        raise undecodable
    _check_sides("data: got a picture of", pixels.shape[1], pixels.shape[0], max_pixels)
    return pixels_to_rgb(pixels, _decoded_encoding(pixels, message.format))


def _decoded_encoding(pixels: NDArray[Any], announced: str) -> str:
    """Return the encoding of pixels; ``announced``: ``jpeg`` or, by image_transport, ``rgb8; jpeg compressed bgr8``.

    A gray picture may hold Bayer or depth values, as its first part says. A color picture is BGR as OpenCV decodes
    it, unless image_transport says that the channels were not swapped to BGR before compression.
    """
    original, _, compression = (part.strip() for part in announced.partition(";"))
    known = ENCODINGS.get(original)
    if pixels.ndim == 2:
        fits = known is not None and (known.dtype, known.channels) == (pixels.dtype.name, 1)
        return original if fits and original not in _PLANES else f"mono{8 * pixels.dtype.itemsize}"
    swapped = known is None or not original.startswith(("rgb", "bgr")) or "compressed bgr" in compression
    alpha = "a" if pixels.shape[2] == 4 else ""
    return f"{'bgr' if swapped else 'rgb'}{alpha}{8 * pixels.dtype.itemsize}"


def _bytes(message: Any) -> NDArray[np.uint8]:
    return np.frombuffer(message.data, np.uint8)
