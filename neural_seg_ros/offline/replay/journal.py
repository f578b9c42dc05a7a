"""The results of one pass over a bag on disk, in chunks that are whole or absent, and the sessions to resume from.

Chunk N is ``N.mcap`` (masks), ``N.session`` (the session after its last frame) and ``N.json`` (records and state). The
last of them is written last: without it the chunk does not count.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from neural_seg_ros.files import write_text
from neural_seg_ros.offline.bags.frames import BagFrame
from neural_seg_ros.offline.outputs.mask_bag import MaskPair, MaskWriter, open_mask_bag, read_mask_bag
from neural_seg_ros.offline.records import (
    Record,
    State,
    record_from_json,
    record_to_json,
    state_from_json,
    state_to_json,
)
from neural_seg_ros.offline.run import Step
from neural_seg_ros.session import Session

# Sessions of a pass that stay on disk, spread evenly over it, to resume from.
MAX_SESSIONS = 16


class Journal:
    """The results that one pass has written so far; one process at a time may open it."""

    def __init__(self, folder: Path) -> None:
        """Load the whole chunks in ``folder`` and remove the rest."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.count = 0
        while self._path(self.count, "json").exists():
            self.count += 1
        self._remove_from(self.count)

    @property
    def state(self) -> State:
        """The state after the last chunk."""
        if not self.count:
            return State()
        return state_from_json(json.loads(self._path(self.count - 1, "json").read_text())["state"])

    def session(self) -> Path | None:
        """Return the session after the last chunk; None without chunks."""
        return self._path(self.count - 1, "session") if self.count else None

    def last(self) -> Record | None:
        """Return the last record, None where there is none."""
        for number in reversed(range(self.count)):
            records = self.records_of(number)
            if records:
                return records[-1]
        return None

    def records_of(self, chunk: int) -> list[Record]:
        """Return the records of a chunk, in the order of the pass."""
        return [record_from_json(each) for each in json.loads(self._path(chunk, "json").read_text())["records"]]

    def records(self) -> Iterator[Record]:
        """Yield all records in the order of the pass, holding a chunk of them in memory."""
        for chunk in range(self.count):
            yield from self.records_of(chunk)

    def masks_of(self, chunk: int) -> Iterator[MaskPair]:
        """Return the masks of a chunk in the order of time, for a backward pass too."""
        if self._path(chunk, "mcap").exists():
            yield from read_mask_bag(self._path(chunk, "mcap"))

    def rewind(self, index: int) -> None:
        """Remove all chunks after the last one that has a session and only frames before ``index``."""
        count = 0
        for chunk in range(self.count):
            records = self.records_of(chunk)
            if not records or records[-1].index >= index:
                break
            if self._path(chunk, "session").exists():
                count = chunk + 1
        self.count = count
        self._remove_from(count)

    def commit(self, chunk: Chunk, session: Session, state: State) -> None:
        """Write a chunk; when this returns it is on disk."""
        number = self.count
        chunk.close()
        if chunk.records:
            session.save(self._path(number, "session"))
        content = {"records": [record_to_json(each) for each in chunk.records], "state": state_to_json(state)}
        write_text(self._path(number, "json"), json.dumps(content))
        self.count += 1
        self._thin_out()

    def open_chunk(self) -> Chunk:
        """Open the next chunk."""
        return Chunk(self._path(self.count, "mcap"))

    def _thin_out(self) -> None:
        spacing = 1
        while self.count > MAX_SESSIONS * spacing:
            spacing *= 2
        for number in range(self.count - 1):
            if number % spacing:
                self._path(number, "session").unlink(missing_ok=True)

    def _path(self, chunk: int, suffix: str) -> Path:
        return self.folder / f"{chunk:05d}.{suffix}"

    def _remove_from(self, chunk: int) -> None:
        """Remove the chunks from ``chunk`` on, and the partial files of an interrupted run.

        Records are removed first, the last chunk's before the others, so an interruption leaves only whole chunks.
        """
        for path in sorted(self.folder.iterdir(), key=lambda path: (path.suffix == ".json", path.name), reverse=True):
            if path.is_dir():
                shutil.rmtree(path)
            elif not path.stem.isdecimal() or int(path.stem) >= chunk:
                path.unlink()


class Chunk:
    """Results that are not yet whole on disk."""

    def __init__(self, path: Path) -> None:
        self.records: list[Record] = []
        self._path = path
        self._stack = ExitStack()
        self._masks: MaskWriter | None = None

    def add(self, step: Step[BagFrame], record: Record) -> None:
        """Append the result of a frame."""
        if self._masks is None:
            self._masks = self._stack.enter_context(open_mask_bag(self._path))
        self._masks.write(step.frame, step.result)
        self.records.append(record)

    def close(self) -> None:
        """Finish the masks."""
        self._stack.close()

    def abandon(self, error: BaseException) -> None:
        """Remove the written part, after an error."""
        self._stack.__exit__(type(error), error, error.__traceback__)
