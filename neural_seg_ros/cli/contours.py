"""``neural-seg contours``: one image to contours and segments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neural_seg_ros.cli import common
from neural_seg_ros.config import ContourConfig
from neural_seg_ros.errors import ConfigError


def contours(
    image: Annotated[Path, typer.Argument(help="Image file.")],
    out: common.Out,
    method: Annotated[str, typer.Option(help="How contours are found: best | fast | thesis.")] = "best",
    threshold: Annotated[float, typer.Option(help="Strength in [0, 1] above which a contour divides segments.")] = 0.5,
    size: Annotated[int, typer.Option(help="Longer side in pixels at which contours are found.")] = ContourConfig.size,
    seed: Annotated[int, typer.Option(help="Seed of what is drawn at random.")] = ContourConfig.seed,
    device: common.Device = "auto",
    config: common.Config = None,
) -> None:
    """Find contours: contours.png and contours_thin.png (0-255), segments.png (16-bit ids) and segments_color.png."""
    import numpy as np

    from neural_seg_ros.contours import find_contours
    from neural_seg_ros.drawing import color_mask, confidence_image
    from neural_seg_ros.images.files import read_image, write_image, write_labels

    settled = ContourConfig(method, size, seed)
    if not 0 <= threshold <= 1:
        raise ConfigError(f"threshold: got {threshold:g}, accepted: float in [0, 1]")
    found = find_contours(read_image(image), settled, device)
    pictures = {"contours.png": found.strength, "contours_thin.png": found.thin}
    for name, strength in pictures.items():
        write_image(out / name, confidence_image(strength))
    written = list(pictures)
    if found.segments is not None:
        # 65535 is unlabelled in a label image of 16 bits.
        labels = np.minimum(found.segments(threshold), 65534).astype(np.uint16)
        write_labels(out / "segments.png", labels)
        write_image(out / "segments_color.png", color_mask(labels, 65535))
        written += ["segments.png", "segments_color.png"]
    common.say(f"{out}: {', '.join(written)}")
