"""Square windows of a frame that the network looks at, and the way there and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

# Pixels of a window's side as the network sees it.


@dataclass(frozen=True)
class WindowTuning:
    """Constants of the windows."""

    # A window's side in widths of the object, or in sides of a square of its area; at least min_side_px.
    width_factor: float = 1.8
    area_side_factor: float = 2.2
    min_side_px: float = 36.0
    # Bounds of the change of the side from frame to frame.
    max_shrink: float = 0.93
    max_growth: float = 1.1
    # Percent of the pixels at either end that do not count for an object's width.
    ignored_percent: float = 1.0
    # More objects than this share windows, which bounds the cost.
    max_windows: int = 3
    # Share of the side over which a window's answer fades into its surroundings.
    fade_share: float = 0.06


TUNING = WindowTuning()


SIDE = 128


Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class Window:
    """A square of ``side`` pixels around (x, y), in pixels of the frame; it may reach beyond the frame."""

    x: float
    y: float
    side: float

    @property
    def to_frame(self) -> NDArray[np.float64]:
        """(2, 3): from pixels of the network's view to pixels of the frame."""
        scale = self.side / SIDE
        start = (scale - self.side) / 2
        return np.array([[scale, 0, self.x + start], [0, scale, self.y + start]])

    def moved(self, flow: NDArray[np.float32]) -> Window:
        """Follow the window's content by flow (h, w, 2), the origin of every pixel."""
        height, width = flow.shape[:2]
        half = self.side / 2
        columns = slice(int(np.clip(self.x - half, 0, width - 1)), int(np.clip(self.x + half, 1, width)))
        rows = slice(int(np.clip(self.y - half, 0, height - 1)), int(np.clip(self.y + half, 1, height)))
        inside = flow[rows, columns].reshape(-1, 2)
        if not len(inside):
            return self
        x, y = np.median(inside, axis=0)
        return Window(float(np.clip(self.x - x, 0, width - 1)), float(np.clip(self.y - y, 0, height - 1)), self.side)


def windows_of(labels: NDArray[np.integer], channels: list[int], before: Mapping[int, Window]) -> dict[int, Window]:
    """Return the window around each of these channels in labels (h, w); ``before``: those of the previous frame."""
    found = {}
    for channel in channels:
        y, x = np.nonzero(labels == channel)
        if len(y):
            found[channel] = _around(x, y, labels.shape, before.get(channel))
    return found


def _around(x: NDArray[np.intp], y: NDArray[np.intp], shape: tuple[int, ...], before: Window | None) -> Window:
    left, right = np.percentile(x, [TUNING.ignored_percent, 100 - TUNING.ignored_percent])
    top, bottom = np.percentile(y, [TUNING.ignored_percent, 100 - TUNING.ignored_percent])
    side = max(
        TUNING.width_factor * max(right - left + 1, bottom - top + 1),
        TUNING.area_side_factor * len(y) ** 0.5,
        TUNING.min_side_px,
    )
    if before is not None:
        side = float(np.clip(side, TUNING.max_shrink * before.side, TUNING.max_growth * before.side))
    longer = float(max(shape))
    if side >= longer:
        return whole(shape)
    return Window(float(left + right) / 2, float(top + bottom) / 2, float(side))


def whole(shape: tuple[int, ...]) -> Window:
    """Return the window that has all of a frame (h, w)."""
    height, width = shape
    return Window((width - 1) / 2, (height - 1) / 2, float(max(height, width)))


def merged(windows: list[Window]) -> list[Window]:
    """Merge windows to at most ``max_windows`` that cover all of these."""
    windows = list(windows)
    while len(windows) > TUNING.max_windows:
        pairs = [(a, b) for a in range(len(windows)) for b in range(a)]
        unions = {(a, b): _union(windows[a], windows[b]) for a, b in pairs}
        grown = [unions[a, b].side - max(windows[a].side, windows[b].side) for a, b in pairs]
        best = pairs[int(np.argmin(grown))]
        windows = [window for number, window in enumerate(windows) if number not in best] + [unions[best]]
    return windows


def _union(a: Window, b: Window) -> Window:
    left, right = min(a.x - a.side / 2, b.x - b.side / 2), max(a.x + a.side / 2, b.x + b.side / 2)
    top, bottom = min(a.y - a.side / 2, b.y - b.side / 2), max(a.y + a.side / 2, b.y + b.side / 2)
    return Window((left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top))


def view(
    values: NDArray[Scalar],
    to_frame: NDArray[np.float64],
    interpolation: int = cv2.INTER_LINEAR,
    border: int = cv2.BORDER_REPLICATE,
) -> NDArray[Scalar]:
    """Return (h, w) or (h, w, 3) as the network sees them: SIDE x SIDE; to_frame (2, 3): from there to ``values``."""
    flags = interpolation | cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(values, to_frame, (SIDE, SIDE), flags=flags, borderMode=border)
    return np.asarray(seen, values.dtype)


def paste(base: NDArray[np.float32], seen: NDArray[np.float32], window: Window) -> None:
    """Blend the probabilities of a window, (C, SIDE, SIDE), into ``base`` (C, h, w) in place."""
    height, width = base.shape[1:]
    half = window.side / 2
    columns = slice(max(0, int(window.x - half)), min(width, int(window.x + half) + 2))
    rows = slice(max(0, int(window.y - half)), min(height, int(window.y + half) + 2))
    if columns.start >= columns.stop or rows.start >= rows.stop:
        return
    across, down = _share(window.x, half, columns, width), _share(window.y, half, rows, height)
    share = np.minimum(across[None, :], down[:, None])
    to_frame = window.to_frame
    to_frame[:, 2] -= (columns.start, rows.start)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    for values, channel in zip(base[:, rows, columns], seen, strict=True):
        full = cv2.warpAffine(channel, to_frame, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        values += share * (full - values)


def _share(center: float, half: float, pixels: slice, size: int) -> NDArray[np.float32]:
    """Compute a window's weight along one axis: 1 except near its ends, unless they lie outside of the frame."""
    place = (np.arange(pixels.start, pixels.stop) - center) / half
    low = 1.0 if center - half <= 0 else (1 + place) / (2 * TUNING.fade_share)
    high = 1.0 if center + half >= size - 1 else (1 - place) / (2 * TUNING.fade_share)
    return np.broadcast_to(np.clip(np.minimum(low, high), 0, 1), place.shape).astype(np.float32)
