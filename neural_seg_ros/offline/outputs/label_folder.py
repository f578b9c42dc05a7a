"""A folder of label images, one a frame, that always holds the images of one whole run."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from neural_seg_ros.images.arrays import Labels
from neural_seg_ros.images.files import write_labels

_NAME = re.compile(r"\d{5,}\.png")


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
            if _NAME.fullmatch(path.name) and path.name not in names:
                path.unlink()
