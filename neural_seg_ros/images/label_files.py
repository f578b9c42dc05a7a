"""Dense labels in image files: class ids as 8 or 16 bit gray, or as the indices of a palette."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from neural_seg_ros.errors import SourceError, one_line
from neural_seg_ros.images.arrays import Labels
from neural_seg_ros.images.files import write_image

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
