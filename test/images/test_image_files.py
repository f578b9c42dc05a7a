"""Frames in and out: order, stamps, errors, and files that are whole or absent."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from neural_seg_ros.errors import SourceError
from neural_seg_ros.images.files import (
    VideoWriter,
    from_binary,
    is_binary,
    open_frames,
    read_image,
    read_labels,
    write_image,
    write_labels,
)


def gray_frames(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    return [np.full((height, width, 3), 20 * number, np.uint8) for number in range(count)]


def write_video(path: Path, frames: list[np.ndarray], fps: float = 10.0) -> Path:
    with VideoWriter(path, fps) as video:
        for frame in frames:
            video.write(frame)
    return path


def test_video_gives_back_its_frames_twice(tmp_path: Path) -> None:
    source = open_frames(write_video(tmp_path / "v.mp4", gray_frames(6)))
    assert source.fps == pytest.approx(10)
    assert source.count == 6
    for _ in range(2):
        frames = list(source)
        assert [frame.index for frame in frames] == list(range(6))
        assert [frame.stamp for frame in frames] == pytest.approx([0.1 * index for index in range(6)])
        for frame in frames:
            assert frame.image.shape == (48, 64, 3)
            assert frame.image.dtype == np.uint8
            assert abs(float(frame.image.mean()) - 20 * frame.index) < 4


def test_color_is_rgb_both_ways(tmp_path: Path) -> None:
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = 255
    write_image(tmp_path / "red.png", red)
    assert np.array_equal(read_image(tmp_path / "red.png"), red)
    (frame,) = open_frames(write_video(tmp_path / "red.mp4", [red]))
    assert frame.image[24, 32, 0] > 200
    assert frame.image[24, 32, 2] < 50


def test_folder_is_in_natural_order_and_ignores_other_files(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        write_image(tmp_path / f"f{number}.png", np.full((8, 9, 3), number, np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_bytes(b"")
    source = open_frames(tmp_path)
    assert source.count == 3
    assert [int(frame.image[0, 0, 0]) for frame in source] == [1, 2, 10]


def test_one_image_is_one_frame(tmp_path: Path) -> None:
    for number in range(3):
        write_image(tmp_path / f"{number:05d}.png", np.full((8, 9, 3), number, np.uint8))
    assert len(list(open_frames(tmp_path / "00001.png"))) == 1


def test_gray_and_16_bit_images_become_rgb(tmp_path: Path) -> None:
    write_image(tmp_path / "g.png", np.full((8, 9), 77, np.uint8))
    write_image(tmp_path / "d.png", np.full((8, 9), 77 * 257, np.uint16))
    assert np.array_equal(read_image(tmp_path / "g.png"), np.full((8, 9, 3), 77, np.uint8))
    assert read_image(tmp_path / "d.png").dtype == np.uint8


@pytest.mark.parametrize("name", ["missing.mp4", "noise.mp4", "noise.png", "empty"])
def test_unreadable_sources_are_one_named_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "noise.mp4").write_bytes(b"not a video" * 50)
    (tmp_path / "noise.png").write_bytes(b"not an image")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=name) as error:
        list(open_frames(tmp_path / name))
    assert "accepted" in str(error.value)
    assert "\n" not in str(error.value)


def test_damaged_image_in_a_folder_is_named(tmp_path: Path) -> None:
    write_image(tmp_path / "0.png", np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "1.png").write_bytes(b"damaged")
    with pytest.raises(SourceError, match=r"1\.png"):
        list(open_frames(tmp_path))


def test_video_of_frames_that_change_size_and_are_odd(tmp_path: Path) -> None:
    frames = [np.full((49, 65, 3), 90, np.uint8), np.full((20, 30, 3), 90, np.uint8)]
    read = list(open_frames(write_video(tmp_path / "v.mp4", frames)))
    assert [frame.image.shape for frame in read] == [(48, 64, 3)] * 2


def test_failed_run_leaves_no_video_and_keeps_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(b"old")
    with pytest.raises(AttributeError), VideoWriter(path, 10) as video:  # noqa: PT012
        video.write(gray_frames(1)[0])
        video.write(None)  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.mp4"]


def test_video_without_frames_writes_no_file(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "v.mp4", 10):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_labels_survive_a_file(tmp_path: Path, kind: type) -> None:
    labels = np.arange(12, dtype=kind).reshape(3, 4)
    labels[0, 0] = np.iinfo(kind).max
    write_labels(tmp_path / "l.png", labels)
    read = read_labels(tmp_path / "l.png")
    assert read.dtype == kind
    assert np.array_equal(read, labels)


def test_palette_labels_are_indices_not_colors(tmp_path: Path) -> None:
    from PIL import Image

    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), mode=None).convert("P")
    image.putdata([0, 1, 2, 1])
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    image.save(tmp_path / "p.png")
    assert read_labels(tmp_path / "p.png").tolist() == [[0, 1], [2, 1]]


def test_color_image_is_no_label_image(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "c.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(SourceError, match="mode RGB"):
        read_labels(tmp_path / "c.png")


def test_black_and_white_masks_are_class_1() -> None:
    mask = np.array([[0, 255], [255, 0]], np.uint8)
    assert is_binary(mask)
    assert from_binary(mask).tolist() == [[0, 1], [1, 0]]
    assert not is_binary(np.array([[0, 1, 255]], np.uint8))
