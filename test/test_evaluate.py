"""``neural-seg evaluate`` end to end on tiny data sets made here, and the readers of both layouts."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from neural_seg_ros.cli.main import run
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.errors import ConfigError, SourceError
from neural_seg_ros.evaluate.clicks import ObjectRun, report_of, run_object
from neural_seg_ros.evaluate.contestants import Contestant, choose
from neural_seg_ros.evaluate.datasets import object_items, region_items
from neural_seg_ros.evaluate.metrics import IGNORE
from neural_seg_ros.evaluate.peers import OBJECT_PEERS, REGION_PEERS
from neural_seg_ros.evaluate.play import Plan
from neural_seg_ros.evaluate.regions import run_regions
from neural_seg_ros.video import read_image, write_image

COLORS = np.array([(30, 50, 160), (200, 40, 30), (40, 180, 60)], np.uint8)
SMALL_SESSION = [
    f"--set={setting}"
    for setting in ("field.size=32", "field.width=8", "field.levels=2", "fit.first_steps=2", "fit.click_steps=2")
]


def draw(classes: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 5, (*classes.shape, 3))
    return (COLORS[classes] + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    """Two images of 60 x 48 with a square object inside an ignored frame, in the layout of GrabCut."""
    root = tmp_path / "objects"
    for name, left in (("a", 10), ("b", 30)):
        mask = np.zeros((48, 60), np.uint8)
        mask[14:36, left : left + 20] = 128
        mask[15:35, left + 1 : left + 19] = 255
        write_image(root / "images" / f"{name}.png", draw((mask > 0).astype(int)))
        write_image(root / "masks" / f"{name}.png", mask)
    return root


@pytest.fixture
def regions(tmp_path: Path) -> Path:
    """One image of 60 x 48 with annotators of 1, 3 and 4 segments, in the layout of BSDS500."""
    root = tmp_path / "regions"
    three = np.zeros((48, 60), np.uint16)
    three[:24, 30:], three[24:, 30:] = 1, 2
    four = three.copy()
    four[:4, :6] = 3  # 24 pixels, less than 2 %
    write_image(root / "images" / "a.jpg", draw(three))
    cells = np.empty((1, 3), object)
    for index, segments in enumerate((four + 1, three + 1, np.ones_like(three))):
        cells[0, index] = {"Segmentation": segments}
    (root / "groundTruth").mkdir()
    scipy.io.savemat(root / "groundTruth" / "a.mat", {"groundTruth": cells})
    return root


def test_objects_are_read_with_ignored_pixels_and_shrunk_for_everybody(objects):
    items = object_items(objects)
    assert [item.name for item in items] == ["a", "b"]
    sample = items[0].load()
    assert sample.image.shape == (48, 60, 3)
    assert np.count_nonzero(sample.truth == 1) == 20 * 18
    assert np.count_nonzero(sample.truth == IGNORE) == 22 * 20 - 20 * 18
    small = items[0].load(longer_side=30)
    assert small.image.shape == (24, 30, 3)
    assert small.truth.shape == (24, 30)
    assert set(np.unique(small.truth)) <= {0, 1, IGNORE}


def test_the_median_annotators_large_segments_are_the_classes(regions):
    (item,) = region_items(regions)
    assert sorted(np.unique(item.load().truth)) == [1, 2, 3]
    every = region_items(regions, annotators="all")
    assert [sorted(np.unique(item.load().truth)) for item in every] == [[1, 2, 3, IGNORE], [1, 2, 3], [1]]
    with pytest.raises(ConfigError, match=r"annotators: got 'first', accepted: median \| all"):
        region_items(regions, annotators="first")


def test_folders_of_another_layout_are_refused_by_name(objects, regions, tmp_path):
    with pytest.raises(SourceError, match=r"nowhere: .*masks/NAME.png"):
        object_items(tmp_path / "nowhere")
    with pytest.raises(SourceError, match=r"groundTruth/NAME.mat"):
        region_items(objects)
    (regions / "groundTruth" / "a.mat").write_bytes(b"no matrix")
    with pytest.raises(SourceError, match=r"a\.mat: cannot be read"):
        region_items(regions)
    (objects / "masks" / "a.png").unlink()
    with pytest.raises(SourceError, match=r"a\.png: missing"):
        object_items(objects)


@pytest.mark.parametrize("value", [7, 0])
def test_masks_of_other_values_or_without_object_are_refused(objects, value):
    write_image(objects / "masks" / "a.png", np.full((48, 60), value, np.uint8))
    with pytest.raises(SourceError, match=r"a\.png: got a mask"):
        object_items(objects)[0].load()


def test_labellers_are_chosen_by_name():
    config = SessionConfig()
    every = choose("all", "all", OBJECT_PEERS, config, "cpu")
    assert {entry.name for entry in every} == {*OBJECT_PEERS, "fused", "field"}
    (field,) = choose("none", "field", OBJECT_PEERS, config, "cpu")
    assert field.config == SessionConfig(answer="field")
    with pytest.raises(ConfigError, match=r"--peers: got 'grabcut', accepted: all \| none \| some of nearest"):
        choose("grabcut", "none", REGION_PEERS, config, "cpu")
    with pytest.raises(ConfigError, match="at least one"):
        choose("none", "none", OBJECT_PEERS, config, "cpu")


def test_the_random_robot_is_the_same_for_all_and_changes_with_the_seed(objects):
    contestants = tuple(Contestant(name, OBJECT_PEERS[name]) for name in ("watershed", "random_walker"))
    items = tuple(object_items(objects))

    def first_clicks(**options: object) -> list[object]:
        return [run_object(task).clicks[0] for task in Plan(items, contestants, clicks=1, **options).tasks()]

    random = first_clicks(robot="random", seed=1)
    assert random[0] == random[1]
    assert random[2] == random[3]
    assert random == first_clicks(robot="random", seed=1)
    assert random != first_clicks(robot="random", seed=2)
    assert random != first_clicks()
    with pytest.raises(ConfigError, match="robot"):
        Plan(items, contestants, robot="drunk")


def test_figures_of_runs_that_end_early_or_get_worse():
    def object_run(image: str, ious: tuple[float, ...]) -> ObjectRun:
        seconds = (0.1,) * len(ious)
        return ObjectRun("peer", image, 0.5, seconds, ious, ious, np.zeros((2, 2), np.uint8), ())

    runs = [object_run("a", (0.86, 1.0)), object_run("b", (0.5, 0.4, 0.39, 0.8))]
    figures = report_of(runs, clicks=4).figures["peer"]
    assert figures["noc85"] == (1 + 4) / 2
    assert figures["noc90"] == (2 + 4) / 2
    assert figures["never_90"] == 1
    assert figures["iou"] == pytest.approx([0.68, 0.7, 0.695, 0.9])
    assert figures["harmful_clicks"] == 1
    assert figures["clicks"] == 6


def test_regions_start_with_all_classes_and_stop_when_nothing_is_wrong(regions):
    plan = Plan(tuple(region_items(regions)), (Contestant("random_walker", REGION_PEERS["random_walker"]),), clicks=9)
    found = run_regions(plan.tasks()[0])
    assert [click.class_id for click in found.clicks[:3]] == [1, 2, 3]
    assert len(found.mean_ious) == len(found.seconds) == len(found.eces) == len(found.clicks) - 2
    assert found.mean_ious[0] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("command", ["clicks", "regions"])
def test_a_command_writes_figures_table_and_pictures(command, request, tmp_path, capsys):
    data, out = request.getfixturevalue("objects" if command == "clicks" else "regions"), tmp_path / "out"
    options = ["--peers", "watershed,random_walker", "--answers", "field", "--clicks", "3", "--jobs", "1"]
    where = ["--data", str(data), "--out", str(out), "--device", "cpu"]
    assert run(["evaluate", command, *where, *options, *SMALL_SESSION]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert list(metrics["labellers"]) == ["watershed", "random_walker", "field"]
    assert metrics["session"]["field.size"] == 32
    lines = (out / "table.md").read_text().splitlines()
    assert [line.split("|")[1].strip() for line in lines[-3:]] == ["watershed", "random_walker", "field"]
    assert lines[-1] in capsys.readouterr().out
    images = 2 if command == "clicks" else 1
    assert read_image(out / "sheet.png").shape == (images * (48 + 22), 5 * 60, 3)
    assert read_image(out / "curves.png").std() > 0
    assert sorted(path.name for path in out.iterdir()) == ["curves.png", "metrics.json", "sheet.png", "table.md"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--peers", "magic"], "--peers: got 'magic'"),
        (["--answers", "oracle"], "--answers: got 'oracle'"),
        (["--robot", "drunk"], "robot: got 'drunk'"),
        (["--clicks", "0"], "--clicks"),
        (["--data", "nowhere"], "nowhere: no folders images and masks"),
        (["--set", "field.size=0"], "field.size"),
    ],
)
def test_bad_options_are_one_line_and_exit_2(options, complaint, objects, tmp_path, capsys):
    status = run(["evaluate", "clicks", "--data", str(objects), "--out", str(tmp_path / "out"), *options])
    error = capsys.readouterr().err
    assert status == 2
    assert complaint in error
    assert error.count("\n") == 1
