"""Damaged bags of every storage are processed as far as they go, and what is missing is counted and said."""

from __future__ import annotations

import json
import sqlite3
import struct
from pathlib import Path
from typing import Any

import pytest
from bags import CLICKS, COUNT, outputs_of, read_masks, recorded_at, replay, write_bag, write_bag1
from rosbags.rosbag2 import StoragePlugin

MANY = 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "clicks.yaml").write_text(CLICKS)
    return tmp_path


def metrics_of(folder: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((folder / "out" / "metrics.json").read_text())
    return metrics


def labeled(folder: Path) -> list[int]:
    return [timestamp for timestamp, _ in read_masks(folder / "out" / "masks.mcap")["/segmenter/mask"]]


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def bag1_of(folder: Path, **options: Any) -> Path:
    return write_bag1(folder / "one.bag", **options)


def check_first_frames(folder: Path, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = labeled(folder)
    assert 1 <= len(found) < MANY
    assert found == [recorded_at(number) for number in range(len(found))]
    assert damage in metrics_of(folder)["bag_damage"]
    assert "damaged, read as far as it goes" in capsys.readouterr().err


@pytest.mark.parametrize("topic", ["/camera/image_raw", "/camera/compressed"])
def test_bag_of_ros_1(folder: Path, topic: str) -> None:
    assert replay(bag1_of(folder), "--ground-truth", "/truth", topic=topic) == 0
    assert labeled(folder) == [recorded_at(number) for number in range(COUNT)]
    assert metrics_of(folder)["frames_judged"] == COUNT


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_truncated_bag_of_ros_1(folder: Path, share: float, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(cut(bag1_of(folder, count=MANY), share)) == 0
    check_first_frames(folder, "one.bag has no index", capsys)


def test_bag_of_ros_1_whose_recorder_was_killed(folder: Path) -> None:
    """The header of such a bag does not know of an index, and there is none."""
    bag = bag1_of(folder)
    content = bytearray(bag.read_bytes())
    at = content.index(b"index_pos=") + len(b"index_pos=")
    (index,) = struct.unpack_from("<Q", content, at)
    struct.pack_into("<Q", content, at, 0)
    bag.unlink()
    active = folder / "one.bag.active"
    active.write_bytes(content[:index])
    assert replay(active) == 0
    assert len(labeled(folder)) == COUNT
    assert "has no index" in metrics_of(folder)["bag_damage"]


@pytest.mark.parametrize("share", [0.3, 0.7])
@pytest.mark.parametrize("in_folder", [True, False], ids=["folder", "file"])
def test_truncated_sqlite(folder: Path, share: float, in_folder: bool, capsys: pytest.CaptureFixture[str]) -> None:
    bag = write_bag(folder / "bag", StoragePlugin.SQLITE3, count=MANY)
    file = cut(bag / "bag.db3", share)
    assert replay(bag if in_folder else file.rename(folder / "bag.db3")) == 0
    check_first_frames(folder, "malformed", capsys)


def test_sqlite_without_its_index(folder: Path) -> None:
    bag = write_bag(folder / "bag", StoragePlugin.SQLITE3)
    with sqlite3.connect(bag / "bag.db3") as connection:
        connection.execute("DROP INDEX timestamp_idx")
    connection.close()
    assert replay(bag) == 0
    assert len(labeled(folder)) == COUNT


def test_sqlite_with_a_page_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = write_bag(folder / "bag", StoragePlugin.SQLITE3, count=MANY)
    file = bag / "bag.db3"
    content = bytearray(file.read_bytes())
    content[len(content) // 2 :] = b"\xa5" * (len(content) - len(content) // 2)
    file.write_bytes(content)
    assert replay(bag) == 0
    check_first_frames(folder, "malformed", capsys)


def test_mcap_without_its_summary(folder: Path) -> None:
    """A file written with --no-summary: whole, but without an index."""
    bag = write_bag(folder / "bag", StoragePlugin.MCAP)
    file = bag / "bag.mcap"
    content = bytearray(file.read_bytes())
    # The footer: kind, length, start of the summary, start of its offsets, checksum; then the magic.
    struct.pack_into("<QQ", content, len(content) - 8 - 20, 0, 0)
    file.write_bytes(content)
    assert replay(bag) == 0
    assert len(labeled(folder)) == COUNT


@pytest.mark.parametrize("storage", ["sqlite3", "mcap", "ros1"])
def test_one_undecodable_frame(folder: Path, storage: str) -> None:
    (folder / "clicks.yaml").write_text(CLICKS + "  - {frame: 3, class: 0, click: [60, 40]}\n")
    if storage == "ros1":
        bag = bag1_of(folder, broken=[2])
    else:
        bag = write_bag(folder / "bag", StoragePlugin[storage.upper()], broken=[2])
    assert replay(bag) == 0
    assert labeled(folder) == [recorded_at(number) for number in (0, 1, 3, 4)]
    metrics = metrics_of(folder)
    assert metrics["skipped"]["messages"] == 1
    assert metrics["annotations"]["used"] == 2, "frames keep their numbers"
    assert metrics["bag_damage"] is None


@pytest.mark.parametrize("way", ["sqlite3", "ros1"])
def test_a_truncated_bag_is_resumed_too(folder: Path, way: str) -> None:
    if way == "ros1":
        bag = cut(bag1_of(folder, count=MANY), 0.5)
    else:
        bag = write_bag(folder / "bag", StoragePlugin.SQLITE3, count=MANY)
        cut(bag / "bag.db3", 0.5)
    assert replay(bag, "--checkpoint", 0) == 0
    before = outputs_of(folder / "out")
    assert replay(bag, "--checkpoint", 0, "--from", 6) == 0
    assert outputs_of(folder / "out") == before
