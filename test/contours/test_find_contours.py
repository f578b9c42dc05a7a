"""Contours and segments of an image from its pixels alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import label

from neural_seg_ros.cli.main import run
from neural_seg_ros.config import ContourConfig
from neural_seg_ros.contours import Contours, affinity, find_contours, recipe
from neural_seg_ros.errors import ConfigError, ImageError
from neural_seg_ros.images.files import read_labels, write_image

METHODS = ("best", "fast")
FAST = ContourConfig("fast")


@pytest.fixture(scope="module")
def scene() -> NDArray[np.uint8]:
    """Return a disc and a bar on a ground, all of them noisy, 90 x 120."""
    image = np.full((90, 120, 3), (70, 110, 60), np.uint8)
    cv2.circle(image, (40, 45), 25, (190, 60, 50), -1)
    cv2.rectangle(image, (85, 10), (100, 80), (60, 80, 190), -1)
    noise = np.random.default_rng(3).normal(0, 5, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def found(scene: NDArray[np.uint8]) -> Contours:
    return find_contours(scene)


def segments(contours: Contours, threshold: float) -> NDArray[np.int32]:
    assert contours.segments is not None
    return contours.segments(threshold)


def borders(ids: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return pixels left of or above another segment."""
    found = np.zeros(ids.shape, bool)
    found[:, :-1] |= ids[:, 1:] != ids[:, :-1]
    found[:-1] |= ids[1:] != ids[:-1]
    return found


@pytest.mark.parametrize("method", METHODS)
def test_two_colors_are_divided_by_their_border_alone(method: str) -> None:
    image = np.full((60, 80, 3), (180, 60, 50), np.uint8)
    image[:, 40:] = (60, 150, 70)
    contours = find_contours(image, ContourConfig(method))
    rows, columns = np.nonzero(contours.thin > 0.3)
    assert np.array_equal(rows[np.argsort(rows)], np.arange(60))
    assert np.abs(columns - 39).max() <= 1
    assert contours.thin[rows, columns].min() > 0.9
    ids = segments(contours, 0.5)
    assert ids.max() == 1
    assert (ids == np.where(np.arange(80) < 40, ids[0, 0], ids[0, 79])).mean() > 0.98


def test_textures_of_equal_mean_are_divided() -> None:
    y, x = np.mgrid[:120, :160]
    light = np.where(x < 80, np.where(x // 3 % 2, 90, 150), np.where(y // 3 % 2, 90, 150)).astype(np.uint8)
    ids = segments(find_contours(np.repeat(light[..., None], 3, axis=2)), 0.7)
    left, right = np.bincount(ids[:, :74].ravel()).argmax(), np.bincount(ids[:, 86:].ravel()).argmax()
    assert left != right
    assert (ids[:, :74] == left).mean() > 0.9
    assert (ids[:, 86:] == right).mean() > 0.9


def test_objects_are_segments(scene: NDArray[np.uint8], found: Contours) -> None:
    ids = segments(found, 0.5)
    disc = np.hypot(*(np.indices(ids.shape) - np.array([45, 40])[:, None, None])) <= 25
    chosen = ids == ids[45, 40]
    assert (chosen & disc).sum() / (chosen | disc).sum() > 0.95
    assert len({ids[45, 40], ids[45, 92], ids[85, 5]}) == 3


def test_segments_are_connected_and_nested(found: Contours) -> None:
    finer = segments(found, 0.0)
    for threshold in (0.1, 0.3, 0.5, 0.8, 1.0):
        ids = segments(found, threshold)
        assert ids.dtype == np.int32
        assert np.array_equal(np.unique(ids), np.arange(ids.max() + 1))
        assert all(label(ids == one)[1] == 1 for one in range(ids.max() + 1))
        assert len(np.unique(np.stack([finer, ids], axis=-1).reshape(-1, 2), axis=0)) == finer.max() + 1
        finer = ids
    assert finer.max() == 0


def test_a_division_that_explains_little_divides_segments_less() -> None:
    image = np.full((100, 150, 3), (70, 110, 60), np.uint8)
    image[:, 75:] = (190, 60, 50)
    image[25:33, 10:18] = (190, 60, 50)
    contours = find_contours(image, FAST)
    speck = contours.thin[20:38, 5:23].max()
    gone = next(t for t in np.linspace(0, 1, 101) if segments(contours, t)[29, 14] == segments(contours, t)[50, 14])
    assert gone < speck - 0.02
    assert segments(contours, 0.9).max() == 1


def test_borders_of_segments_lie_on_the_contours(found: Contours) -> None:
    near = cv2.dilate(found.thin, np.ones((3, 3), np.uint8))
    for threshold in (0.2, 0.5, 0.8):
        assert (near[borders(segments(found, threshold))] > threshold).mean() > 0.99


def test_contours_are_thin_and_inside_the_wide_ones(found: Contours) -> None:
    for contour in (found.strength, found.thin):
        assert contour.dtype == np.float32
        assert 0 <= contour.min() <= contour.max() <= 1
    on = found.thin > 0
    assert not (on[1:, 1:] & on[:-1, 1:] & on[1:, :-1] & on[:-1, :-1]).any()
    assert (found.strength >= found.thin).all()


@pytest.mark.parametrize("method", METHODS)
def test_the_same_image_gives_the_same_contours(scene: NDArray[np.uint8], method: str) -> None:
    first, second = (find_contours(scene, ContourConfig(method)) for _ in range(2))
    assert np.array_equal(first.thin, second.thin)
    assert np.array_equal(segments(first, 0.3), segments(second, 0.3))


def test_lines_are_thinned_on_demand_and_once(scene: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[NDArray[np.bool_]] = []

    def thin(lines: NDArray[np.bool_]) -> NDArray[np.bool_]:
        calls.append(lines)
        return lines

    monkeypatch.setattr(recipe, "thin", thin)
    contours = find_contours(scene, FAST)
    segments(contours, 0.4)
    assert not calls
    assert contours.thin is contours.thin
    assert len(calls) == 1


def test_affinities_of_few_and_of_many_regions_are_the_same(
    scene: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = (np.arange(90)[:, None] // 10 * 12 + np.arange(120) // 10).astype(np.int32)
    coded = affinity.encode(scene, affinity.PixelFeatures())
    contour = np.random.default_rng(0).random(ids.shape, np.float32)
    few = affinity.affinities(ids, 108, coded, contour).toarray()
    monkeypatch.setattr(affinity, "TUNING", replace(affinity.TUNING, max_dense_superpixels=0))
    assert np.allclose(affinity.affinities(ids, 108, coded, contour).toarray(), few)
    assert np.array_equal(few, few.T)


@pytest.mark.parametrize("shape", [(8, 8), (8, 200), (51, 37), (700, 900)])
def test_any_size(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    image[shape[0] // 2 :] //= 8
    contours = find_contours(image, FAST)
    assert contours.strength.shape == contours.thin.shape == segments(contours, 0.4).shape == shape


def test_gray_images_have_contours() -> None:
    image = np.full((50, 60, 3), 90, np.uint8)
    image[10:40, 10:40] = 160
    ids = segments(find_contours(image, FAST), 0.5)
    chosen, square = ids == ids[25, 25], image[..., 0] == 160
    assert (chosen & square).sum() / (chosen | square).sum() > 0.9


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_image_is_one_segment(method: str) -> None:
    contours = find_contours(np.full((48, 64, 3), 77, np.uint8), ContourConfig(method))
    assert not contours.thin.any()
    assert not contours.strength.any()
    assert not segments(contours, 0.0).any()


def test_bad_images_and_options_are_named() -> None:
    with pytest.raises(ImageError, match="image dtype: got float64"):
        find_contours(np.zeros((20, 20, 3)))
    with pytest.raises(ConfigError, match="method: got 'canny'"):
        ContourConfig("canny")


def test_the_command_writes_pictures(scene: NDArray[np.uint8], tmp_path: Path) -> None:
    write_image(tmp_path / "scene.png", scene)
    arguments = ["contours", str(tmp_path / "scene.png"), "--out", str(tmp_path / "out"), "--method", "fast"]
    assert run([*arguments, "--threshold", "0.5"]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "contours.png",
        "contours_thin.png",
        "segments.png",
        "segments_color.png",
    }
    contours = find_contours(scene, FAST)
    ids = read_labels(tmp_path / "out" / "segments.png")
    assert ids.dtype == np.uint16
    assert np.array_equal(ids, segments(contours, 0.5))
    thin = read_labels(tmp_path / "out" / "contours_thin.png")
    assert np.array_equal(thin, np.rint(contours.thin * 255))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threshold", "2"], "threshold: got 2, accepted: float in [0, 1]"),
        (["--method", "canny"], "method: got 'canny', accepted: best | fast | thesis"),
        (["--size", "4"], "size: got 4, accepted: int in [32, 1024]"),
    ],
)
def test_bad_options_are_one_line(
    arguments: list[str], message: str, scene: NDArray[np.uint8], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(tmp_path / "scene.png", scene)
    assert run(["contours", str(tmp_path / "scene.png"), "--out", str(tmp_path / "out"), *arguments]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"
    assert not (tmp_path / "out").exists()


def test_a_missing_image_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["contours", str(tmp_path / "none.png"), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'none.png'}: no such file")
