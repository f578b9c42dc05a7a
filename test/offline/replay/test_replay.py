"""Replay of real bags in both storages: masks that play back, figures, and bags that are damaged."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bags import CLICKS, COUNT, DELAY, HEIGHT, PERIOD, START, WIDTH, header, read_masks, replay, scene, write_bag
from rosbags.rosbag2 import StoragePlugin

from neural_seg_ros.images.files import open_frames, write_labels


@pytest.fixture(params=[StoragePlugin.SQLITE3, StoragePlugin.MCAP], ids=["sqlite3", "mcap"])
def bag(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    (tmp_path / "clicks.yaml").write_text(CLICKS)
    return write_bag(tmp_path / "bag", request.param)


@pytest.fixture
def mcap(tmp_path: Path) -> Path:
    (tmp_path / "clicks.yaml").write_text(CLICKS)
    return write_bag(tmp_path / "bag", StoragePlugin.MCAP)


def metrics_of(bag: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((bag.parent / "out" / "metrics.json").read_text())
    return metrics


def test_masks_play_back_beside_the_input(bag: Path) -> None:
    assert replay(bag) == 0
    out = bag.parent / "out"
    assert (out / "masks.mcap").is_file()
    masks = read_masks(out / "masks.mcap")
    assert set(masks) == {"/segmenter/mask", "/segmenter/confidence"}
    for messages in masks.values():
        assert [timestamp for timestamp, _ in messages] == [START + n * PERIOD + DELAY for n in range(COUNT)]
        for number, (_, message) in enumerate(messages):
            assert (message.header.stamp.sec, message.header.stamp.nanosec) == (
                header(number).stamp.sec,
                header(number).stamp.nanosec,
            )
            assert message.header.frame_id == "camera_optical"
            assert (message.height, message.width, message.encoding) == (HEIGHT, WIDTH, "mono8")
            assert message.step == WIDTH
    first = masks["/segmenter/mask"][0][1].data.reshape(HEIGHT, WIDTH)
    assert first[24, 20] == 1
    names = sorted(path.name for path in out.iterdir() if path.name != ".replay")
    assert names == ["frames.csv", "masks.mcap", "metrics.json", "overlay.mp4", "report.html", "timings.json"]
    assert len(list(open_frames(out / "overlay.mp4"))) == COUNT


def test_compressed_images(bag: Path) -> None:
    assert replay(bag, topic="/camera/compressed") == 0
    assert metrics_of(bag)["frames"] == COUNT


def test_16_bit_masks(mcap: Path) -> None:
    assert replay(mcap, "--set", "label_bits=16") == 0
    message = read_masks(mcap.parent / "out" / "masks.mcap")["/segmenter/mask"][0][1]
    assert (message.encoding, message.step) == ("mono16", 2 * WIDTH)
    assert message.data.view("<u2").reshape(HEIGHT, WIDTH)[24, 20] == 1


def test_truth_from_a_topic_and_from_a_folder_agree(bag: Path) -> None:
    assert replay(bag, "--ground-truth", "/truth") == 0
    from_topic = metrics_of(bag)
    for number in range(COUNT):
        write_labels(bag.parent / "truth" / f"{number}.png", scene(number)[1])
    assert replay(bag, "--ground-truth", bag.parent / "truth") == 0
    assert metrics_of(bag)["iou"] == from_topic["iou"]
    assert from_topic["frames_judged"] == COUNT
    assert 0 < from_topic["iou"]["1"] <= 1
    assert from_topic["versions"]["rosbags"]
    assert from_topic["settings"]["field.size"] == 32
    with (bag.parent / "out" / "frames.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [float(row["stamp"]) for row in rows] == pytest.approx([(START + n * PERIOD) / 1e9 for n in range(COUNT)])
    assert np.mean([float(row["iou_1"]) for row in rows]) == pytest.approx(from_topic["iou"]["1"], abs=1e-5)


def test_report_is_one_file_with_pictures_and_figures(mcap: Path) -> None:
    (mcap.parent / "clicks.yaml").write_text(CLICKS.replace("square", "<b>square</b>"))
    assert replay(mcap, "--ground-truth", "/truth") == 0
    report = (mcap.parent / "out" / "report.html").read_text()
    assert report.count("data:image/jpeg;base64,") == COUNT
    assert "<polyline" in report
    assert "<b>square" not in report
    assert "http" not in report


def test_replay_is_deterministic(mcap: Path) -> None:
    assert replay(mcap, name="a") == 0
    assert replay(mcap, name="b") == 0
    a, b = (read_masks(mcap.parent / name / "masks.mcap")["/segmenter/mask"] for name in "ab")
    assert [m.data.tobytes() for _, m in a] == [m.data.tobytes() for _, m in b]


def test_annotation_by_stamp(mcap: Path) -> None:
    stamp = (START + 2 * PERIOD) / 1e9
    (mcap.parent / "clicks.yaml").write_text(f"annotations: [{{stamp: {stamp:.3f}, class: 1, click: [20, 24]}}]")
    assert replay(mcap) == 0
    masks = read_masks(mcap.parent / "out" / "masks.mcap")["/segmenter/mask"]
    assert [bool((message.data == 255).all()) for _, message in masks] == [True, True, False, False, False]


def test_undecodable_messages_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "clicks.yaml").write_text(CLICKS)
    bag = write_bag(tmp_path / "bag", StoragePlugin.MCAP, broken=(1, 3))
    assert replay(bag) == 0
    metrics = metrics_of(bag)
    assert metrics["frames"] == COUNT - 2
    assert metrics["skipped"]["messages"] == 2
    assert "vendor_secret" in next(iter(metrics["skipped"]["reasons"]))
    assert "2 messages skipped" in capsys.readouterr().err


def test_unknown_topic_lists_the_image_topics(bag: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for topic in ("/camera", "/chatter"):
        assert replay(bag, topic=topic) == 2
        message = capsys.readouterr().err
        assert f"image topic: got '{topic}', accepted: /camera/compressed, /camera/image_raw, /truth" in message
        assert len(message.splitlines()) == 1
    assert not (bag.parent / "out").exists()


@pytest.mark.parametrize("name", ["absent", "empty", "noise.mcap", "noise.db3", "noise.txt"])
def test_what_is_no_bag_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (tmp_path / "clicks.yaml").write_text(CLICKS)
    (tmp_path / "empty").mkdir()
    for noise in ("noise.mcap", "noise.db3", "noise.txt"):
        (tmp_path / noise).write_bytes(b"noise" * 100)
    assert replay(tmp_path / name) == 2
    message = capsys.readouterr().err
    assert name in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("in_folder", [True, False], ids=["folder without metadata", "file"])
def test_a_truncated_bag_is_read_as_far_as_it_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, in_folder: bool
) -> None:
    (tmp_path / "clicks.yaml").write_text(CLICKS)
    monkeypatch.setattr("rosbags.rosbag2.storage_mcap.McapWriter.write", write_in_small_chunks())
    bag = write_bag(tmp_path / "bag", StoragePlugin.MCAP)
    monkeypatch.undo()
    file = bag / "bag.mcap"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) * 6 // 10])
    (bag / "metadata.yaml").unlink()
    source = bag if in_folder else file.rename(tmp_path / "bag.mcap")
    assert replay(source) == 0
    metrics = metrics_of(source)
    assert 1 <= metrics["frames"] < COUNT
    assert "ends in the middle" in metrics["bag_damage"]
    assert "read as far as it goes" in capsys.readouterr().err


def write_in_small_chunks() -> Any:
    """Return a chunk for every message: the recorder's own chunks hold far more than a test should."""
    from rosbags.rosbag2.storage_mcap import McapWriter

    original = McapWriter.write

    def write(self: Any, *arguments: Any) -> None:
        original(self, *arguments)
        self.close_chunk()

    return write


def test_a_folder_without_metadata_is_read(bag: Path) -> None:
    (bag / "metadata.yaml").unlink()
    assert replay(bag) == 0
    assert metrics_of(bag)["frames"] == COUNT


def test_a_failing_run_leaves_nothing(mcap: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (mcap.parent / "clicks.yaml").write_text("annotations: [{frame: 3, class: 1, click: [500, 24]}]")
    assert replay(mcap) == 2
    assert "frame 3: click" in capsys.readouterr().err
    assert not list((mcap.parent / "out").rglob("*"))
