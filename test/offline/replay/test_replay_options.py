"""The options of a replay: frames, annotations and outputs; one test an option."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from bags import (
    CLICKS,
    COUNT,
    PERIOD,
    QUICK,
    START,
    TYPES,
    Recorded,
    header,
    outputs_of,
    read_masks,
    recorded_at,
    replay,
    write_bag,
)
from rosbags.rosbag2 import StoragePlugin

from neural_seg_ros.cli.main import run

POINT = "geometry_msgs/msg/PointStamped"
POLYGON = "geometry_msgs/msg/PolygonStamped"
MARKER = "visualization_msgs/msg/ImageMarker"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "clicks.yaml").write_text(CLICKS)
    return tmp_path


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "frames.csv").open() as table:
        return list(csv.DictReader(table))


def indices(out: Path) -> list[int]:
    return [int(row["index"]) for row in rows_of(out)]


def metrics_of(out: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return metrics


def bag_of(folder: Path, count: int = 8, extra: list[Recorded] | None = None) -> Path:
    return write_bag(folder / "bag", StoragePlugin.MCAP, count=count, extra=extra or [])


def test_every(folder: Path) -> None:
    bag = bag_of(folder)
    (folder / "clicks.yaml").write_text(CLICKS + "  - {frame: 5, class: 0, click: [60, 40]}\n")
    assert replay(bag, "--every", 3) == 0
    assert indices(folder / "out") == [0, 3, 5, 6], "one of three, and the annotated one"


def test_start_and_duration(folder: Path) -> None:
    assert replay(bag_of(folder), "--start", 0.2, "--duration", 0.3) == 0
    stamps = [float(row["stamp"]) for row in rows_of(folder / "out")]
    assert stamps == pytest.approx([(START + number * PERIOD) / 1e9 for number in (2, 3, 4)])
    assert indices(folder / "out") == [0, 1, 2], "counted from the first one that is read"


def test_rate_drops_what_the_fit_cannot_keep_up_with(folder: Path) -> None:
    bag = bag_of(folder)
    (folder / "clicks.yaml").write_text(CLICKS + "  - {frame: 6, class: 0, click: [60, 40]}\n")
    assert replay(bag, "--rate", 1e-3) == 0
    assert len(indices(folder / "out")) == 8
    assert replay(bag, "--rate", 1e6) == 0
    assert indices(folder / "out") == [0, 6, 7], "first, annotated and newest frames stay"
    assert metrics_of(folder / "out")["dropped"] == 5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--duration", "inf"), "duration: got inf, accepted: seconds, not negative"),
        (("--rate", "inf"), "rate: got inf, accepted: a number above 0"),
        (("--start", 9), "annotations: got 1 entries but no frame that can be read"),
    ],
)
def test_a_span_without_frames(
    folder: Path, options: tuple[object, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replay(bag_of(folder, 2), *options) == 2
    message = capsys.readouterr().err
    assert said in message
    assert len(message.splitlines()) == 1


def test_two_topics_have_a_folder_each(folder: Path) -> None:
    assert replay(bag_of(folder, 2), "--image-topic", "/camera/compressed") == 0
    for name in ("camera_image_raw", "camera_compressed"):
        assert metrics_of(folder / "out" / name)["frames"] == 2


def point(x: float, y: float, number: int | None) -> Any:
    position = TYPES.types["geometry_msgs/msg/Point"](x=x, y=y, z=0.0)
    return TYPES.types[POINT](header=header_of(number), point=position)


def header_of(number: int | None) -> Any:
    """Annotations of a frame, or without a stamp."""
    if number is not None:
        return header(number)
    time = TYPES.types["builtin_interfaces/msg/Time"](sec=0, nanosec=0)
    return TYPES.types["std_msgs/msg/Header"](stamp=time, frame_id="")


def polygon(number: int | None, *points: tuple[float, float]) -> Any:
    corners = [TYPES.types["geometry_msgs/msg/Point32"](x=x, y=y, z=0.0) for x, y in points]
    return TYPES.types[POLYGON](
        header=header_of(number), polygon=TYPES.types["geometry_msgs/msg/Polygon"](points=corners)
    )


def marker(action: int, identity: int, x: float, y: float) -> Any:
    position = TYPES.types["geometry_msgs/msg/Point"](x=x, y=y, z=0.0)
    color = TYPES.types["std_msgs/msg/ColorRGBA"](r=0.0, g=0.0, b=0.0, a=0.0)
    return TYPES.types[MARKER](
        header=header_of(1),
        ns="2",
        id=identity,
        type=0,
        action=action,
        position=position,
        scale=0.0,
        outline_color=color,
        filled=0,
        fill_color=color,
        lifetime=TYPES.types["builtin_interfaces/msg/Duration"](sec=0, nanosec=0),
        points=[],
        outline_colors=[],
    )


def recorded_replay(bag: Path, *extra: object) -> int:
    fixed = ["--image-topic", "/camera/image_raw", "--out", bag.parent / "out", *QUICK, *extra]
    return run([str(argument) for argument in ("replay", bag, *fixed)])


def test_annotations_recorded_in_the_bag(folder: Path) -> None:
    later = recorded_at(4) + 1
    extra = [
        # On frame 1 by its stamp though it came later, and on frame 4 as the last one before it.
        ("/segmenter/click", POINT, later, point(20, 24, 1)),
        ("/segmenter/box", POLYGON, later + 1, polygon(None, (50, 2), (60, 8))),
        # Drawn, drawn again elsewhere, and another one taken back.
        ("/segmenter/annotation", MARKER, later + 2, marker(0, 5, 2, 40)),
        ("/segmenter/annotation", MARKER, later + 3, marker(0, 5, 4, 44)),
        ("/segmenter/annotation", MARKER, later + 4, marker(0, 6, 60, 44)),
        ("/segmenter/annotation", MARKER, later + 5, marker(1, 6, 0, 0)),
    ]
    assert recorded_replay(bag_of(folder, 6, extra), "--active-class", 3) == 0
    annotated = {int(row["index"]): int(row["annotations"]) for row in rows_of(folder / "out")}
    assert annotated == {0: 0, 1: 2, 2: 0, 3: 0, 4: 1, 5: 0}
    masks = [message for _, message in read_masks(folder / "out" / "masks.mcap")["/segmenter/mask"]]
    frame = masks[1].data.reshape(48, 64)
    assert (frame[24, 20], frame[44, 4]) == (3, 2)
    assert (masks[4].data.reshape(48, 64)[2:9, 50:61] == 3).all()


def test_other_annotation_topics(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extra = [
        ("/tool/region", POLYGON, recorded_at(1) + 1, polygon(1, (12, 14), (30, 14), (30, 30))),
        ("/tool/outline", POLYGON, recorded_at(1) + 1, polygon(1, (12, 14), (30, 14), (30, 30))),
    ]
    bag = bag_of(folder, 3, extra)
    assert recorded_replay(bag) == 2
    assert "annotations: got none, accepted: --annotations FILE, or a bag with" in capsys.readouterr().err
    for topic, said in (
        ("/absent", "annotation topic: got '/absent', accepted: a topic of the bag"),
        ("/tool/outline", "annotation topic: got messages of geometry_msgs/msg/PolygonStamped, accepted:"),
    ):
        assert recorded_replay(bag, "--annotation-topic", topic) == 2
        assert said in capsys.readouterr().err
    assert recorded_replay(bag, "--annotation-topic", "/tool/region") == 0
    assert [int(row["annotations"]) for row in rows_of(folder / "out")] == [0, 1, 0]


@pytest.mark.parametrize("answer", ["field", "fused"])
def test_two_pass_labels_the_frames_before(folder: Path, answer: str) -> None:
    bag = bag_of(folder)
    entries = "  - {frame: 2, class: 1, click: [22, 24]}\n  - {frame: 2, class: 0, click: [60, 40]}\n"
    later = "  - {frame: 6, class: 1, click: [26, 24]}\n"
    (folder / "clicks.yaml").write_text("annotations:\n" + entries + later)
    assert replay(bag, "--two-pass", "--answer", answer) == 0
    ways = [row["pass"][0] for row in rows_of(folder / "out")]
    assert "".join(ways) == "bbfffbff", "the nearer annotated frame labels a frame, the earlier one at equal distance"
    two = read_masks(folder / "out" / "masks.mcap")["/segmenter/mask"]
    assert [timestamp for timestamp, _ in two] == [recorded_at(number) for number in range(8)]
    assert all((message.data != 255).all() for _, message in two)
    assert replay(bag, "--answer", answer, name="once") == 0
    once = read_masks(folder / "once" / "masks.mcap")["/segmenter/mask"]
    assert [(message.data == 255).all() for _, message in once] == [True, True, *[False] * 6]
    for number in (2, 3, 4, 6, 7):
        assert (once[number][1].data == two[number][1].data).all()


def test_frames_are_read_backwards_in_windows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "clicks.yaml").write_text("annotations:\n  - {frame: 7, class: 1, click: [27, 24]}\n")
    bag = bag_of(folder)
    assert replay(bag, "--two-pass") == 0
    # Three frames of 64 x 48 pixels at a time.
    monkeypatch.setattr("neural_seg_ros.offline.bags.frames.WINDOW_BYTES", 3 * 3 * 64 * 48)
    assert replay(bag, "--two-pass", name="windows") == 0
    assert outputs_of(folder / "windows") == outputs_of(folder / "out")


@pytest.mark.parametrize("count", [COUNT])
def test_checkpoints_change_nothing(folder: Path, count: int) -> None:
    bag = bag_of(folder, count)
    assert replay(bag, "--checkpoint", 0) == 0
    assert replay(bag, name="rare") == 0
    assert outputs_of(folder / "out") == outputs_of(folder / "rare")
