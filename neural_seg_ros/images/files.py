"""Frames and labels in and out: video files, folders of images, single images, label images."""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neural_seg_ros.errors import SourceError, one_line
from neural_seg_ros.files import whole_file
from neural_seg_ros.images.arrays import Labels

RgbImage = NDArray[np.uint8]
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
_LABEL_NAME = re.compile(r"\d{5,}\.png")
DEFAULT_FPS = 25.0  # of a folder of images, and of a video without a rate


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a source: ``index`` from 0, ``stamp`` in seconds, ``image`` (H, W, 3) uint8 RGB."""

    index: int
    stamp: float
    image: RgbImage


class FrameSource(Protocol):
    """Frames in order; every iteration starts from the first.

    fps    frames per second
    count  frames as far as is known before reading, 0 if unknown
    """

    @property
    def fps(self) -> float: ...

    @property
    def count(self) -> int: ...

    def __iter__(self) -> Iterator[Frame]: ...


@dataclass(frozen=True)
class ImageFiles:
    """Image files as frames, ``index / fps`` seconds apart; they may differ in size."""

    paths: tuple[Path, ...]
    fps: float = DEFAULT_FPS

    @property
    def count(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Frame]:
        for index, path in enumerate(self.paths):
            yield Frame(index, index / self.fps, read_image(path))


@dataclass(frozen=True)
class VideoFile:
    """A video file as frames, ``index / fps`` seconds apart; a truncated file ends where decoding ends."""

    path: Path
    fps: float
    count: int

    def __iter__(self) -> Iterator[Frame]:
        capture = _open_video(self.path)
        try:
            index = 0
            while True:
                read, bgr = capture.read()
                if not read:
                    break
                yield Frame(index, index / self.fps, _to_rgb(bgr))
                index += 1
        finally:
            capture.release()
        if index == 0:
            raise SourceError(f"{self.path}: no frame can be decoded, accepted: a video that OpenCV can read")


def open_frames(path: str | Path) -> FrameSource:
    """Open the frames of a video file, of a folder of images (natural order: 2.png before 10.png) or of one image.

    Raises SourceError if there is nothing at ``path``, or nothing that can be read.
    """
    path = Path(path)
    if path.is_dir():
        paths = image_paths(path)
        if not paths:
            raise SourceError(f"{path}: no images in this folder, accepted: {' '.join(IMAGE_SUFFIXES)}")
        return ImageFiles(paths)
    if not path.is_file():
        raise SourceError(f"{path}: no such file or folder, accepted: a video file or a folder of images")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageFiles((path,))
    capture = _open_video(path)
    try:
        fps = float(capture.get(cv2.CAP_PROP_FPS))
        count = float(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    finally:
        capture.release()
    fps_known = math.isfinite(fps) and fps > 0
    return VideoFile(path, fps if fps_known else DEFAULT_FPS, int(count) if 0 < count < 2**31 else 0)


def image_paths(folder: Path) -> tuple[Path, ...]:
    """List the image files directly in ``folder``, in natural order, without hidden files."""
    paths = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    return tuple(sorted(paths, key=_natural_order))


def read_image(path: str | Path) -> RgbImage:
    """Read an image file as (H, W, 3) uint8 RGB; gray becomes RGB, 16 bits become 8. Raises SourceError."""
    path = Path(path)
    if not path.is_file():
        raise SourceError(f"{path}: no such file, accepted: an image file")
    try:
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    except cv2.error:  # for example more pixels than OpenCV accepts
        bgr = None
    if bgr is None:
        raise SourceError(f"{path}: cannot be decoded, accepted: an image file that OpenCV can read")
    return _to_rgb(bgr)


def write_image(path: str | Path, image: RgbImage | Labels) -> None:
    """Write (H, W) gray of 8 or 16 bits or (H, W, 3) RGB, whole or not at all; the suffix names the format."""
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    with whole_file(path) as temporary:
        if not cv2.imwrite(str(temporary), pixels):
            raise SourceError(f"{path}: cannot be written as an image, accepted: {' '.join(IMAGE_SUFFIXES)}")


class VideoWriter:
    """A writer of RGB frames to an mp4 file, which appears when the context ends without an error.

    The first frame sets the size; later frames of another size are scaled to it. Without a frame no file is written.
    """

    def __init__(self, path: str | Path, fps: float) -> None:
        """Take ``fps``, frames per second above 0. Raises SourceError."""
        if not (math.isfinite(fps) and fps > 0):
            raise SourceError(f"fps: got {fps}, accepted: a number above 0")
        self._path = Path(path)
        self._fps = fps
        self._size = (0, 0)
        self._writer: cv2.VideoWriter | None = None
        self._stack = ExitStack()

    def __enter__(self) -> VideoWriter:
        return self

    def write(self, image: RgbImage) -> None:
        """Append one (H, W, 3) uint8 RGB frame."""
        if self._writer is None:
            self._writer = self._open(image.shape[1], image.shape[0])
        if (image.shape[1], image.shape[0]) != self._size:
            image = np.asarray(cv2.resize(image, self._size, interpolation=cv2.INTER_AREA), np.uint8)
        self._writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        self._writer = None

    def _open(self, width: int, height: int) -> cv2.VideoWriter:
        temporary = self._stack.enter_context(whole_file(self._path))
        # MPEG-4 stores color at half the resolution: players drop or refuse an odd last column or row.
        self._size = (max(2, width - width % 2), max(2, height - height % 2))
        writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*"mp4v"), self._fps, self._size)
        self._stack.callback(writer.release)
        if not writer.isOpened():
            raise SourceError(f"{self._path}: cannot be written as video, accepted: a path that ends in .mp4")
        return writer


def _open_video(path: Path) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        capture.release()
        raise SourceError(f"{path}: cannot be read as video, accepted: a video file that OpenCV can read")
    return capture


def _to_rgb(bgr: NDArray[np.uint8]) -> RgbImage:
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def _natural_order(path: Path) -> tuple[list[tuple[int, str]], str]:
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts], path.name


_BINARY_OBJECT = 255


def read_labels(path: str | Path) -> Labels:
    """Read a label image as (H, W) uint8 or uint16 class ids; of a palette image its indices, not its colors.

    Raises SourceError if the file is missing, damaged or has more than one channel.
    """
    try:
        with Image.open(path) as file:
            mode, values = file.mode, np.asarray(file)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SourceError(f"{path}: cannot be read as a label image: {one_line(error)}") from None
    if values.ndim != 2 or values.dtype.kind not in "biu" or int(values.min()) < 0 or int(values.max()) > 65535:
        raise SourceError(f"{path}: got an image of mode {mode}, accepted: 8 or 16 bit gray or palette class ids")
    return values.astype(np.uint8) if mode in ("1", "L", "P") else values.astype(np.uint16)


def write_labels(path: str | Path, labels: Labels) -> None:
    """Write (H, W) uint8 or uint16 class ids as a gray PNG, whole or not at all."""
    write_image(path, labels)


def is_binary(labels: Labels) -> bool:
    """Return whether labels hold only 0 and 255: a black and white mask of one object."""
    return bool(np.array_equal(np.unique(labels), (0, _BINARY_OBJECT)))


def from_binary(labels: Labels) -> Labels:
    """Convert a black and white mask to class ids: 255 becomes class 1."""
    return np.asarray(labels == _BINARY_OBJECT, np.uint8)


@contextmanager
def open_label_folder(folder: Path) -> Iterator[Callable[[Labels], None]]:
    """Yield a function that writes the labels of the next frame: ``00000.png``, ``00001.png``, ...

    They are written beside ``folder`` and moved into it when the context ends without an error; label images of an
    earlier, longer run are removed then. Other files in ``folder`` stay.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as staging:
        written: list[Path] = []

        def write(labels: Labels) -> None:
            written.append(Path(staging) / f"{len(written):05d}.png")
            write_labels(written[-1], labels)

        yield write
        folder.mkdir(exist_ok=True)
        names = {path.name for path in written}
        for path in written:
            path.replace(folder / path.name)
        for path in folder.iterdir():
            if _LABEL_NAME.fullmatch(path.name) and path.name not in names:
                path.unlink()
