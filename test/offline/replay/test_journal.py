"""The journal of a replay on disk: whatever interrupts it, a chunk counts only when it is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from neural_seg_ros.offline.bags.frames import FramePosition
from neural_seg_ros.offline.records import Record, State
from neural_seg_ros.offline.replay.journal import MAX_SESSIONS, Journal


class SavedSession:
    """Stands in for a session: all that a journal wants of one is a file."""

    def save(self, path: Path) -> None:
        path.write_text("session")


def journal_of(folder: Path, chunks: int) -> Journal:
    """Return a frame a chunk."""
    journal = Journal(folder)
    session: Any = SavedSession()
    for index in range(chunks):
        chunk = journal.open_chunk()
        place = FramePosition(index, 10**9 * index, 0, float(index))
        chunk.records.append(Record(place, float(index), (8, 8), (), (), 0.1, 0.5, {1: 0.25}))
        journal.commit(chunk, session, State(skipped={"broken": index}))
        (folder / f"{index:05d}.mcap").touch()
    return journal


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    journal_of(tmp_path, 3)
    journal = Journal(tmp_path)
    assert [record.index for record in journal.records()] == [0, 1, 2]
    last = journal.last()
    assert last is not None
    assert (last.class_confidence, last.size) == ({1: 0.25}, (8, 8))
    assert journal.state == State(skipped={"broken": 2})


def test_few_sessions_are_kept_spread_over_the_pass(tmp_path: Path) -> None:
    journal_of(tmp_path, 100)
    kept = sorted(int(path.stem) for path in tmp_path.glob("*.session"))
    assert kept == [*range(0, 100, 8), 99]
    assert len(kept) <= MAX_SESSIONS + 1


def test_rewinding_keeps_what_has_a_session(tmp_path: Path) -> None:
    journal = journal_of(tmp_path, 100)
    journal.rewind(50)
    assert [record.index for record in journal.records()] == list(range(49))
    assert {int(path.stem) for path in tmp_path.iterdir()} == set(range(49))
    journal.rewind(0)
    assert journal.last() is None


@pytest.mark.parametrize("removed", range(9))
def test_rewinding_may_be_interrupted(tmp_path: Path, removed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = journal_of(tmp_path, 4)
    left, unlink = removed, Path.unlink

    def interrupted(path: Path, missing_ok: bool = False) -> None:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", interrupted)
    with pytest.raises(KeyboardInterrupt):
        journal.rewind(1)
    monkeypatch.undo()
    again = Journal(tmp_path)
    for chunk in range(again.count):
        assert all((tmp_path / f"{chunk:05d}.{suffix}").exists() for suffix in ("mcap", "session", "json"))
    assert again.count >= 1
