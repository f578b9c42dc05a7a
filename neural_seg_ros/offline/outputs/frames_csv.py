"""The table frames.csv with one line a frame, written when all classes are known."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neural_seg_ros.files import whole_file
from neural_seg_ros.metrics import FIGURES
from neural_seg_ros.offline.outputs.summary import Row, Summary


class RowFile:
    """A file of rows on disk, until the table is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("w")

    def add(self, row: Row) -> None:
        """Append a row."""
        json.dump(dataclasses.asdict(row), self._file)
        self._file.write("\n")

    def write_table(self, path: Path, summary: Summary) -> None:
        """Write the rows as CSV: position, annotations, confidence, then confidence and figures of each class.

        Seconds are left out: they differ from run to run.
        """
        self._file.flush()
        columns = [("confidence", class_id) for class_id in summary.means("confidence")]
        columns += [(name, class_id) for name in FIGURES for class_id in summary.means(name)]
        with whole_file(path) as temporary, temporary.open("w", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            fixed = ["index", "stamp", "annotations", "pass", "confidence"]
            table.writerow([*fixed, *(f"{name}_{class_id}" for name, class_id in columns)])
            for row in self._rows():
                values = {**row["figures"], "confidence": row["class_confidence"]}
                cells = [values.get(name, {}).get(str(class_id)) for name, class_id in columns]
                direction = "backward" if row["backward"] else "forward"
                fixed_cells = [
                    row["index"],
                    f"{row['stamp']:.9f}",
                    row["annotations"],
                    direction,
                    f"{row['confidence']:.6f}",
                ]
                table.writerow([*fixed_cells, *("" if cell is None else f"{cell:.6f}" for cell in cells)])

    def _rows(self) -> Iterator[dict[str, Any]]:
        with self._path.open() as file:
            for line in file:
                yield json.loads(line)

    def close(self) -> None:
        """Remove the rows from disk."""
        self._file.close()
        self._path.unlink(missing_ok=True)


@contextmanager
def open_row_file(path: Path) -> Iterator[RowFile]:
    """Open a file of rows for as long as the context lasts."""
    rows = RowFile(path)
    try:
        yield rows
    finally:
        rows.close()
