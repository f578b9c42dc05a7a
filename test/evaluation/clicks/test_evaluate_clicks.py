"""``neural-seg evaluate`` end to end on tiny data sets made here, and the readers of both layouts."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from neural_seg_ros.annotations import Box, Click, Stroke
from neural_seg_ros.cli.main import run
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.errors import ConfigError, SourceError
from neural_seg_ros.evaluation.clicks.games import BOX_GAMES as GAMES
from neural_seg_ros.evaluation.clicks.games import FROM_CLICKS, regions_game
from neural_seg_ros.evaluation.clicks.games import clicks_report as report_of
from neural_seg_ros.evaluation.clicks.peers import OBJECT_PEERS, REGION_PEERS
from neural_seg_ros.evaluation.clicks.play import Answer, Plan, Run, play
from neural_seg_ros.evaluation.contestants import Contestant, choose
from neural_seg_ros.evaluation.datasets import box_of, object_items, region_items
from neural_seg_ros.images.files import read_image, read_labels, write_image
from neural_seg_ros.metrics import IGNORE

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
    """Return one image of 60 x 48 with annotators of 1, 3 and 4 segments, in the layout of BSDS500."""
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


def test_objects_are_read_with_ignored_pixels_and_shrunk(objects):
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


def test_labelers_are_chosen_by_name():
    config = SessionConfig()
    every = choose("all", "all", OBJECT_PEERS, config, "cpu")
    assert {entry.name for entry in every} == {*OBJECT_PEERS, "fused", "field"}
    (field,) = choose("none", "field", OBJECT_PEERS, config, "cpu")
    assert field.config == SessionConfig(answer="field")
    with pytest.raises(ConfigError, match=r"--peers: got 'grabcut', accepted: all \| none \| some of nearest"):
        choose("grabcut", "none", REGION_PEERS, config, "cpu")
    with pytest.raises(ConfigError, match="at least one"):
        choose("none", "none", OBJECT_PEERS, config, "cpu")


def test_the_random_robot_depends_on_the_seed_only(objects):
    contestants = tuple(Contestant(name, OBJECT_PEERS[name]) for name in ("watershed", "random_walker"))
    items = tuple(object_items(objects))

    def first_clicks(**options: object) -> list[object]:
        tasks = Plan(items, contestants, (FROM_CLICKS,), clicks=1, **options).tasks()
        return [play(task).answer(1).drawn[0] for task in tasks]

    random = first_clicks(robot="random", seed=1)
    assert random[0] == random[1]
    assert random[2] == random[3]
    assert random == first_clicks(robot="random", seed=1)
    assert random != first_clicks(robot="random", seed=2)
    assert random != first_clicks()
    with pytest.raises(ConfigError, match="robot"):
        Plan(items, contestants, (FROM_CLICKS,), robot="drunk")


def test_figures_of_runs_that_end_early_or_get_worse():
    def object_run(image: str, ious: tuple[float, ...]) -> Run:
        answers = {number: Answer((), np.zeros((2, 2), np.uint8), None) for number in (1, len(ious))}
        figures = {"iou": ious, "boundary_f": ious}
        return Run("peer", image, "clicks", 1, 0.5, (0.1,) * len(ious), figures, answers)

    runs = [object_run("a", (0.86, 1.0)), object_run("b", (0.5, 0.4, 0.39, 0.8))]
    plan = Plan((), (), (FROM_CLICKS,), clicks=4)
    report = report_of(plan, runs)
    figures = report.figures["peer"]
    assert figures["noc85"] == (1 + 4) / 2
    assert figures["noc90"] == (2 + 4) / 2
    assert figures["never_90"] == 1
    assert figures["iou"] == pytest.approx([0.68, 0.7, 0.695, 0.9])
    assert (figures["falls"], figures["harmful"], figures["clicks"]) == (2, 1, 6)
    assert figures["calibration"] is None
    (row,) = report.tables[0].rows
    cells = dict(zip(report.tables[0].head, row, strict=True))
    assert (cells["clicks lowering IoU"], cells["by > .02"], cells["AURC"]) == ("33.3 %", "16.7 %", "-")


def test_region_clicks_start_with_all_classes_and_stop(regions):
    walker = (Contestant("random_walker", REGION_PEERS["random_walker"]),)
    plan = Plan(tuple(region_items(regions)), walker, (regions_game("clicks"),), clicks=9)
    found = play(plan.tasks()[0])
    drawn = found.answer(9).drawn
    assert [click.class_id for click in found.answer(0).drawn] == [1, 2, 3]
    assert len(found.merits) == len(found.seconds) == len(found.figures["ece"]) == len(drawn) - 2
    assert found.merits[0] > 0.9


def test_regions_may_start_with_strokes_and_need_no_clicks(regions):
    walker = (Contestant("random_walker", REGION_PEERS["random_walker"]),)
    plan = Plan(tuple(region_items(regions)), walker, (regions_game("strokes"),), clicks=0)
    found = play(plan.tasks()[0])
    assert len(found.merits) == 1
    assert all(isinstance(stroke, Stroke) for stroke in found.answer(0).drawn)
    with pytest.raises(ConfigError, match=r"start: got 'boxes', accepted: clicks \| strokes"):
        regions_game("boxes")


def test_the_users_box_comes_from_its_file_or_around_the_object(objects):
    sample = object_items(objects)[0].load()
    # The object is 18 x 20 pixels from (11, 15); a twentieth of it is one pixel.
    assert box_of(sample) == Box(10, 14, 29, 35, class_id=1, bounding=True)
    mask = np.full((48, 60), 64, np.uint8)
    mask[10:40, 4:34] = 128
    write_image(objects / "boxes" / "a.png", mask)
    assert box_of(object_items(objects)[0].load()) == Box(4, 10, 33, 39, class_id=1, bounding=True)
    assert box_of(object_items(objects)[0].load(longer_side=30)) == Box(2, 5, 16, 19, class_id=1, bounding=True)
    write_image(objects / "boxes" / "a.png", np.zeros((48, 60), np.uint8))
    with pytest.raises(SourceError, match=r"boxes/a\.png: got no box, accepted: boxes/NAME\.png"):
        object_items(objects)[0].load()


def test_boxes_are_played_from_the_box_alone_and_from_clicks(objects):
    grabcut = (Contestant("grabcut", OBJECT_PEERS["grabcut"]),)
    box, clicks = (play(task) for task in Plan(tuple(object_items(objects)[:1]), grabcut, GAMES, clicks=2).tasks())
    assert (box.start, box.before, clicks.start, clicks.before) == ("box", 0, "clicks", 1)
    assert box.answer(0).drawn == (box_of(object_items(objects)[0].load()),)
    assert box.merit(0) > 0.9
    assert box.figures["error_in_box"][0] >= box.figures["error"][0]
    assert isinstance(clicks.answer(1).drawn[0], Click)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "peers", "images", "columns"),
    [
        (["clicks"], ["watershed", "random_walker"], 2, 5),
        (["regions", "--start", "strokes"], ["watershed", "random_walker"], 1, 5),
        (["boxes"], ["grabcut"], 2, 6),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else str(value),
)
def test_a_command_writes_figures_tables_and_pictures(command, peers, images, columns, request, tmp_path, capsys):
    data, out = request.getfixturevalue("regions" if command[0] == "regions" else "objects"), tmp_path / "out"
    options = ["--peers", ",".join(peers), "--answers", "field", "--clicks", "3", "--jobs", "1"]
    where = ["--data", str(data), "--out", str(out), "--device", "cpu"]
    assert run(["evaluate", *command, *where, *options, *SMALL_SESSION]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    starts = [f", {start}" for start in ("box", "clicks")] if command == ["boxes"] else [""]
    names = [name + start for start in starts for name in (*peers, "field")]
    assert list(metrics["labellers"]) == names
    assert metrics["session"]["field.size"] == 32
    calibration = metrics["labellers"][names[-1]]["calibration"]
    assert len(calibration["risk"]) == 20
    assert 0 <= calibration["aurc"] <= 1
    table = capsys.readouterr().out.strip()
    assert table in (out / "table.md").read_text()
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == names
    assert read_image(out / "sheet.png").shape == (images * (48 + 22), columns * 60, 3)
    for name in ("curves.png", "risk_coverage.png", "worst.png"):
        assert read_image(out / name).std() > 0
    pictures = ["curves.png", "risk_coverage.png", "sheet.png", "worst.png"]
    assert sorted(path.name for path in out.iterdir()) == sorted(["metrics.json", "table.md", *pictures])


@pytest.mark.slow
def test_images_fitted_together_are_labeled_as_each_is_alone(objects, tmp_path):
    truth = read_labels(objects / "masks" / "a.png")
    for name in ("c", "d"):  # as a, and one of another size
        image = read_image(objects / "images" / "a.png")
        cut = np.s_[:, : 60 if name == "c" else 54]
        write_image(objects / "images" / f"{name}.png", image[cut])
        write_image(objects / "masks" / f"{name}.png", truth[cut])
    found = {}
    for batch in ("1", "4"):
        out = tmp_path / batch
        options = ["--peers", "watershed", "--answers", "all", "--clicks", "3", "--jobs", "1", "--batch", batch]
        where = ["--data", str(objects), "--out", str(out), "--device", "cpu"]
        assert run(["evaluate", "clicks", *where, *options, *SMALL_SESSION]) == 0
        found[batch] = json.loads((out / "metrics.json").read_text())
        assert read_image(out / "sheet.png").shape == (4 * (48 + 22), 5 * 60, 3)
    assert "up to 4 fits" in (tmp_path / "4" / "table.md").read_text()
    alone, together = (found[batch]["labellers"] for batch in ("1", "4"))
    assert list(alone) == list(together) == ["watershed", "fused", "field"]
    for name in alone:
        assert together[name]["iou"] == pytest.approx(alone[name]["iou"], abs=0.02 if name == "field" else 0)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--batch", "4", "--answers", "fused"], "--batch: got 4, accepted: 1 without `field` among --answers"),
        (["--peers", "magic"], "--peers: got 'magic'"),
        (["--answers", "oracle"], "--answers: got 'oracle'"),
        (["--robot", "drunk"], "robot: got 'drunk'"),
        (["--clicks", "0"], "--clicks"),
        (["--objects", "easy"], "--objects: got 'easy', accepted: grabcut | hard"),
        (["--objects", "hard"], "no folders images and groundTruth"),
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
