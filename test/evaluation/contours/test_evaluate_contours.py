"""``neural-seg evaluate contours``: folders in the layout of BSDS500, and the real command."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from neural_seg_ros.cli.main import run
from neural_seg_ros.contours import Contours
from neural_seg_ros.errors import ConfigError, SourceError
from neural_seg_ros.evaluation.contours.detection import measure
from neural_seg_ros.evaluation.contours.detectors import choose
from neural_seg_ros.evaluation.contours.images import borders_of, contour_items
from neural_seg_ros.evaluation.contours.peers import PEERS
from neural_seg_ros.evaluation.contours.report import report_of
from neural_seg_ros.images.files import read_image, write_image


def write_truth(path: Path, segmentations: list[np.ndarray]) -> None:
    """Return a ground truth file as MATLAB writes it: a cell of structs."""
    cells = np.empty((1, len(segmentations)), object)
    for number, ids in enumerate(segmentations):
        cells[0, number] = {"Segmentation": ids.astype(np.uint16), "Boundaries": borders_of(ids).astype(np.uint8)}
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {"groundTruth": cells})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two images of 80 x 100 with halves of two grays; two annotators agree, a third saw nothing."""
    for number, column in enumerate((40, 60)):
        ids = np.ones((80, 100), int)
        ids[:, column:] = 2
        image = np.repeat(np.where(ids == 1, 60, 190)[..., None], 3, axis=2).astype(np.uint8)
        write_image(tmp_path / "images" / f"{number}.png", image)
        write_truth(tmp_path / "groundTruth" / f"{number}.mat", [ids, ids, np.ones_like(ids)])
    return tmp_path


def test_an_item_has_every_annotators_contours_and_segments(root):
    first, second = contour_items(root)
    sample = first.load()
    assert (first.name, second.name, sample.image.shape) == ("0", "1", (80, 100, 3))
    assert [int(drawn.sum()) for drawn in sample.boundaries] == [80, 80, 0]
    assert [len(np.unique(ids)) for ids in sample.segmentations] == [2, 2, 1]
    small = first.load(longer_side=50)
    assert small.image.shape == (40, 50, 3)
    assert [int(drawn.sum()) for drawn in small.boundaries] == [40, 40, 0]
    assert len(contour_items(root, limit=1)) == 1


def test_unusable_folders_and_files_are_refused_by_name(root):
    write_image(root / "images" / "1.png", np.zeros((80, 90, 3), np.uint8))
    with pytest.raises(SourceError, match=r"1\.png: got 90x80 for a truth of 100x80, accepted: equal sizes"):
        contour_items(root)[1].load()
    (root / "groundTruth" / "0.mat").write_bytes(b"no mat file")
    with pytest.raises(SourceError, match=r"0\.mat: cannot be read"):
        contour_items(root)[0].load()
    with pytest.raises(SourceError, match="no folders images and groundTruth there"):
        contour_items(root / "images")


def test_detectors_are_chosen_by_name():
    assert [entry.name for entry in choose("canny,sobel", "none")] == ["canny", "sobel"]
    assert [entry.name for entry in choose("all", "none")] == list(PEERS)
    with pytest.raises(ConfigError, match=r"--peers: got 'gpb', accepted: all \| none \| some of roberts"):
        choose("gpb", "none")
    with pytest.raises(ConfigError, match="--peers, --methods: got none for both"):
        choose("none", "none")


def test_a_perfect_detector_and_one_that_finds_nothing(root):
    def knowing(image):
        ids = (image[..., 0] > 100).astype(np.int32)
        thin = borders_of(ids).astype(np.float32)
        return Contours(thin, lambda: thin, lambda threshold: ids)

    def blind(image):
        nothing = np.zeros(image.shape[:2], np.float32)
        return Contours(nothing, lambda: nothing)

    samples = [item.load() for item in contour_items(root)]
    report = report_of([measure(d.__name__, d, sample, 9) for sample in samples for d in (knowing, blind)])
    best, worst = report.figures["knowing"], report.figures["blind"]
    assert (best["ods"], best["ois"], best["recall"], best["precision"]) == (1, 1, 1, 1)
    assert (best["ap"], best["r50"]) == (None, None)
    # The third annotator's only segment is the whole image: the larger half is .6 of it, half of the pixels count.
    assert best["segments"]["covering_ods"] == pytest.approx((1 + 1 + 0.6) / 3)
    assert (worst["ods"], worst["ois"], worst["ap"], worst["segments"]) == (0, 0, None, None)
    assert report.table.rows[1][:6] == ("blind", "0.000", "0.000", "-", "-", "-")


def test_the_command_writes_figures_table_plot_and_sheets(root, tmp_path, capsys):
    out = tmp_path / "out"
    names = ["sobel", "felzenszwalb"]
    given = ["--data", str(root), "--out", str(out), "--peers", ",".join(names), "--methods", "none"]
    assert run(["evaluate", "contours", *given, "--thresholds", "9", "--jobs", "1"]) == 0
    shown = capsys.readouterr().out
    found = json.loads((out / "metrics.json").read_text())
    assert (found["images"], found["thresholds"], list(found["detectors"])) == (2, 9, names)
    for name in names:
        assert found["detectors"][name]["ods"] > 0.95
        assert list(found["detectors"][name]["images"]) == ["0", "1"]
        assert len(found["detectors"][name]["curve"]["recall"]) == 9
    assert found["detectors"]["felzenszwalb"]["segments"]["covering_ods"] > 0.85
    assert shown.strip() in (out / "table.md").read_text()
    assert read_image(out / "pr.png").ndim == 3
    assert read_image(out / "sheets" / "1.png").shape == (102, 400, 3)


def test_bad_options_end_with_status_2_and_one_line(root, tmp_path, capsys):
    for options, line in (
        (["--peers", "gpb"], "--peers: got 'gpb'"),
        (["--data", str(tmp_path / "nowhere")], "no folders images and groundTruth there"),
    ):
        assert run(["evaluate", "contours", "--data", str(root), "--out", str(tmp_path / "o"), *options]) == 2
        assert line in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


@pytest.mark.slow
def test_the_command_on_real_images(data_root, tmp_path):
    given = ["--data", str(data_root), "--out", str(tmp_path), "--limit", "2", "--longer-side", "160"]
    assert run(["evaluate", "contours", *given, "--peers", "sobel,slic_rag", "--methods", "none"]) == 0
    found = json.loads((tmp_path / "metrics.json").read_text())["detectors"]
    assert 0.3 < found["sobel"]["ods"] <= found["sobel"]["ois"] + 0.02
    assert 0.3 < found["slic_rag"]["segments"]["covering_ods"] <= found["slic_rag"]["segments"]["covering_best"]
