"""``neural-seg evaluate tracking``: folders in the layout of DAVIS, the occluder, figures of runs, and the command."""

import csv
import json
import os
import signal
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from neural_seg_ros.annotations import Click, Mask
from neural_seg_ros.cli.main import run
from neural_seg_ros.errors import SourceError
from neural_seg_ros.evaluation.contestants import Contestant
from neural_seg_ros.evaluation.labelers import Labeling
from neural_seg_ros.evaluation.tracking.occluder import SLIDE, occluder_of
from neural_seg_ros.evaluation.tracking.peers import Copy
from neural_seg_ros.evaluation.tracking.play import Failure, Plan, Run, attempts, track
from neural_seg_ros.evaluation.tracking.report import report_of
from neural_seg_ros.evaluation.tracking.sequences import sequence_items
from neural_seg_ros.images.files import read_image, write_image
from neural_seg_ros.jobs import dask_backend, local_backend
from neural_seg_ros.metrics import IGNORE

SMALL_SESSION = [
    f"--set={setting}"
    for setting in ("field.size=32", "field.width=8", "field.levels=2", "fit.first_steps=2", "fit.click_steps=2")
]
SMALL_SESSION.append("--set=track.first_steps=4")


def write_sequence(root: Path, name: str, truths: list[np.ndarray]) -> None:
    """Frames of noise, brighter where an object is; JPEG would soften it, so that they are PNG."""
    generator = np.random.default_rng(0)
    for number, truth in enumerate(truths):
        image = generator.integers(0, 100, (*truth.shape, 3)) + 120 * (truth > 0)[..., None]
        write_image(root / "JPEGImages" / name / f"{number:05}.png", image.astype(np.uint8))
        write_image(root / "Annotations" / name / f"{number:05}.png", truth)


def moving(frames: int, value: int = 255) -> list[np.ndarray]:
    """Masks of 60 x 80: a square of 12 px that moves right by 1 px a frame."""
    masks = [np.zeros((60, 80), np.uint8) for _ in range(frames)]
    for number, mask in enumerate(masks):
        mask[20:32, 10 + number : 22 + number] = value
    return masks


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a black and white sequence and one with two objects and an ignored strip."""
    write_sequence(tmp_path, "one", moving(6))
    second = [mask.copy() for mask in moving(5, value=1)]
    for mask in second:
        mask[40:52, 60:72] = 7
        mask[:, 78:] = IGNORE
    write_sequence(tmp_path, "two", second)
    return tmp_path


def task_of(root: Path, tracker, name: str = "one", **options):
    items = tuple(item for item in sequence_items(root) if item.name == name)
    return Plan(items, (Contestant("tracker", tracker),), **options).tasks()[0]


class Told:
    """Answers what it is told, frame by frame, and remembers what was drawn."""

    def __init__(self, answers: list[np.ndarray]) -> None:
        self.answers = list(answers)
        self.drawn: list = []

    def start(self, image):
        self.shape = image.shape[:2]

    def label(self, annotations):
        self.drawn.append(tuple(annotations))
        return Labeling(self.answers[0])

    def follow(self, image):
        self.answers.pop(0)
        return Labeling(self.answers[0])


def test_sequences_are_read_in_black_and_white_and_with_ids(root):
    one, two = sequence_items(root)
    assert (one.name, len(one.images), two.name, len(two.images)) == ("one", 6, "two", 5)
    assert np.unique(one.load(0).truth).tolist() == [0, 1]
    assert np.unique(two.load(4).truth).tolist() == [0, 1, 7, IGNORE]
    assert two.load(0, longer_side=40).image.shape == (30, 40, 3)
    (short,) = sequence_items(root, limit=1, frames=3)
    assert [path.name for path in short.images] == ["00000.png", "00001.png", "00002.png"]


def test_the_folders_of_the_full_data_set_are_found(root, tmp_path):
    full = tmp_path / "full" / "davis"
    for kind in ("JPEGImages", "Annotations"):
        (full / kind).mkdir(parents=True)
        (root / kind).rename(full / kind / "480p")
    assert [item.name for item in sequence_items(tmp_path / "full")] == ["one", "two"]


def test_folders_that_cannot_be_measured_are_refused_by_name(root, tmp_path):
    with pytest.raises(SourceError, match=r"nowhere: no sequences there, accepted: JPEGImages/SEQUENCE"):
        sequence_items(tmp_path / "nowhere")
    with pytest.raises(SourceError, match=r"one: got 2 frames, accepted: at least 3"):
        sequence_items(root, frames=2)
    (root / "Annotations" / "two" / "00003.png").unlink()
    with pytest.raises(SourceError, match=r"00003\.png: missing"):
        sequence_items(root)


def test_a_run_is_measured_on_every_frame_and_object(root):
    answers = [sequence_items(root)[1].load(number).truth.copy() for number in range(5)]
    answers[2][answers[2] == 7] = 0
    found = track(task_of(root, partial(Told, answers), "two"))
    assert found.objects == (1, 7)
    assert found.j.tolist() == found.f.tolist() == [[1, 1, 1, 1, 1], [1, 1, 0, 1, 1]]
    assert len(found.seconds) == 4
    assert found.found is None
    assert set(found.pictures) == {0, 1, 2, 3, 4}


def test_the_first_frame_has_the_mask_or_three_clicks(root):
    nothing = [np.zeros((60, 80), np.uint8)] * 6
    drawn = {}
    for name in ("one", "two"):
        for start in ("mask", "clicks"):
            tracker = Told(nothing)
            track(task_of(root, lambda tracker=tracker: tracker, name, start=start))
            drawn[name, start] = tracker.drawn
    ((mask,),) = drawn["two", "mask"]
    assert isinstance(mask, Mask)
    assert np.unique(mask.labels).tolist() == [0, 1, 7, IGNORE]
    assert [len(clicks) for clicks in drawn["one", "clicks"]] == [1, 2, 3]
    assert all(isinstance(click, Click) and click.class_id == 1 for click in drawn["one", "clicks"][-1])
    assert [len(clicks) for clicks in drawn["two", "clicks"]] == [3, 4, 5, 6]
    assert [click.class_id for click in drawn["two", "clicks"][0]] == [0, 1, 7]


def test_an_occluder_hides_the_object_and_its_truth_and_leaves(tmp_path):
    write_sequence(tmp_path, "one", moving(24))
    (item,) = sequence_items(tmp_path)
    occluder = occluder_of(item, hidden=5, longer_side=0)
    assert occluder.reappeared == 8 + 5 - 1 + SLIDE
    for number in range(24):
        plain = item.load(number)
        sample = occluder.over(plain, number)
        visible, whole = np.count_nonzero(sample.truth == 1), np.count_nonzero(plain.truth == 1)
        assert (visible == 0) == (8 <= number < 13)
        assert (visible == whole) == (number <= 8 - SLIDE or number >= occluder.reappeared)
        changed = (sample.image != plain.image).any(-1)
        assert not changed[(plain.truth == 1) & (sample.truth == 1)].any()
        if 8 <= number < 13:
            assert sample.image[plain.truth == 1].max() < 120


@pytest.mark.parametrize(("after", "found"), [(0, True), (9, True), (10, False)])
def test_what_is_hidden_must_be_found_again_within_ten_frames(tmp_path, after, found):
    write_sequence(tmp_path, "one", moving(40))
    (item,) = sequence_items(tmp_path)
    back = occluder_of(item, hidden=4, longer_side=0).reappeared + after
    truths = [item.load(number).truth for number in range(40)]
    answers = [truth if not 13 <= number < back else np.zeros_like(truth) for number, truth in enumerate(truths)]
    answered = track(task_of(tmp_path, partial(Told, answers), occlude=4))
    assert answered.found == (found,)
    # Nothing is there to be found while it is hidden.
    assert answered.j[0, 13:17].tolist() == [1, 1, 1, 1]


def test_a_sequence_too_short_to_hide_anything_is_refused(root):
    with pytest.raises(SourceError, match="one: got 6 frames, accepted: more, with 2 of them occluded"):
        track(task_of(root, Copy, occlude=2))


def test_means_are_over_what_all_trackers_came_through(root):
    def found(tracker: str, sequence: str, *j: float) -> Run:
        values = np.array([[1, *j, 0]])
        return Run(tracker, sequence, (1,), values, values / 2, 0.5, (0.1,) * (len(j) + 1), None, {})

    plan = Plan(tuple(sequence_items(root)), ())
    outcomes = [
        found("a", "one", 0.6, 0.6),
        found("b", "one", 0.8, 0.4),
        found("a", "two", 0.1, 0.1),
        Failure("b", "two", "no"),
        Failure("c", "one", "never"),
    ]
    report = report_of(plan, outcomes)
    assert list(report.figures) == ["a", "b"]
    a, b = report.figures["a"], report.figures["b"]
    assert (a["j"], a["f"], a["jf"]) == pytest.approx((0.6, 0.3, 0.45))
    assert (b["j"], b["j_recall"], b["f_recall"]) == pytest.approx((0.6, 0.5, 0))
    assert a["sequences"]["two"]["j"] == pytest.approx(0.1)
    assert [row[:3] for row in report.tables[1].rows] == [("one", "0.600", "0.600"), ("two", "0.100", "failed")]
    assert report.failures == tuple(outcomes[3:])


def test_a_sequence_that_begins_without_object_is_refused(tmp_path):
    write_sequence(tmp_path, "one", [np.zeros((60, 80), np.uint8), *moving(5)])
    for occlude in (0, 1):
        with pytest.raises(SourceError, match=r"00000\.png: got a mask without object"):
            track(task_of(tmp_path, Copy, occlude=occlude))


def test_a_run_that_fails_says_why_in_one_line(root):
    (root / "JPEGImages" / "one" / "00002.png").write_bytes(b"no image")
    (failure,) = attempts([task_of(root, Copy)], local_backend(1), retries=0)
    assert isinstance(failure, Failure)
    assert "00002.png: cannot be decoded" in str(failure)
    assert "\n" not in str(failure)


class Deadly(Copy):
    """Dies on the sequence of two objects in mid-stream, as where memory runs out; given a marker, only once."""

    def __init__(self, marker: Path | None = None) -> None:
        self._marker = marker

    def label(self, annotations):
        self._doomed = 7 in annotations[0].labels and (self._marker is None or not self._marker.exists())
        return super().label(annotations)

    def follow(self, image):
        if self._doomed:
            if self._marker is not None:
                self._marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().follow(image)


class OneThread(Copy):
    """Refuses to be in a process that has several threads."""

    def __init__(self) -> None:
        assert (os.environ["OMP_NUM_THREADS"], cv2.getNumThreads()) == ("1", 1)


def deadly_plan(root: Path, marker: Path | None) -> Plan:
    deadly = Contestant("deadly", partial(Deadly, marker))
    return Plan(tuple(sequence_items(root)), (deadly, Contestant("copy", Copy)))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_process_that_dies_takes_no_other_sequence_with_it(workers, root):
    outcomes = list(attempts(deadly_plan(root, None).tasks(), local_backend(workers, threads=1), retries=1))
    assert sorted((outcome.tracker, outcome.sequence) for outcome in outcomes if isinstance(outcome, Run)) == [
        ("copy", "one"),
        ("copy", "two"),
        ("deadly", "one"),
    ]
    failures = [str(outcome) for outcome in outcomes if isinstance(outcome, Failure)]
    assert failures == ["deadly on two: its process died"] * 2, "tried twice"


def test_a_killed_worker_of_a_dask_cluster_costs_no_sequence(root, tmp_path, cluster):
    marker = tmp_path / "killed"
    outcomes = list(attempts(deadly_plan(root, marker).tasks(), dask_backend(cluster), retries=0))
    assert marker.exists()
    assert len(outcomes) == 4
    assert all(isinstance(outcome, Run) for outcome in outcomes)
    merit = {(outcome.tracker, outcome.sequence): outcome.j.tolist() for outcome in outcomes}
    assert all(merit["deadly", name] == merit["copy", name] for name in ("one", "two"))


def test_a_process_has_one_thread_whatever_the_environment_says(root, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    (outcome,) = attempts([task_of(root, OneThread)], local_backend(1, threads=1), retries=0)
    assert isinstance(outcome, Run)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["local", "dask"])
def test_the_command_reports_what_failed_and_finishes_the_rest(backend, root, tmp_path, capsys, request):
    (root / "JPEGImages" / "two" / "00002.png").write_bytes(b"no image")
    options = ["--peers", "copy", "--answers", "none", "--jobs", "1", "--out", str(tmp_path / "out")]
    if backend == "dask":
        options += ["--backend", "dask", "--scheduler", request.getfixturevalue("cluster")]
    assert run(["evaluate", "tracking", "--data", str(root), *options]) == 1
    captured = capsys.readouterr()
    assert captured.err.count("failed: copy on two: ") == 2, "tried twice"
    assert "error: 1 of 2 failed" in captured.err
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert [failure["sequence"] for failure in metrics["failures"]] == ["two"]
    assert metrics["trackers"]["copy"]["j"] == metrics["trackers"]["copy"]["sequences"]["one"]["j"]
    assert "Failed: copy on two" in (tmp_path / "out" / "table.md").read_text()
    (root / "JPEGImages" / "one" / "00002.png").write_bytes(b"no image")
    assert run(["evaluate", "tracking", "--data", str(root), *options]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")


@pytest.mark.slow
@pytest.mark.parametrize("start", ["mask", "clicks"])
def test_the_command_measures_real_sequences(start, data_root, tmp_path, capsys):
    if not (data_root / "davis").is_dir():
        pytest.skip(f"no sequences in {data_root / 'davis'}")
    limits = ["--limit", "2", "--frames", "4", "--longer-side", "160", "--jobs", "1", "--device", "cpu"]
    names = ["--peers", "copy,flow,grid", "--answers", "fused,field", "--start", start]
    where = ["--data", str(data_root), "--out", str(tmp_path)]
    assert run(["evaluate", "tracking", *where, *limits, *names, *SMALL_SESSION]) == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert list(metrics["trackers"]) == ["copy", "flow", "grid", "fused", "field"]
    assert list(metrics["frames"].values()) == [4, 4]
    assert metrics["start"] == start
    assert metrics["failures"] == []
    for figures in metrics["trackers"].values():
        assert figures["jf"] == pytest.approx((figures["j"] + figures["f"]) / 2)
        assert set(figures["sequences"]) == set(metrics["frames"])
    if start == "mask":
        assert metrics["trackers"]["flow"]["j"] > metrics["trackers"]["copy"]["j"] > 0.5
    table = capsys.readouterr().out.strip()
    assert table in (tmp_path / "table.md").read_text()
    with (tmp_path / "frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 5 * 4
    assert {row["frame"] for row in rows} == {"0", "1", "2", "3"}
    for name in (
        "curves.png",
        "sequences.png",
        *(f"sheets/{n}{s}.png" for n in metrics["frames"] for s in ("", "_worst")),
    ):
        assert read_image(tmp_path / name).std() > 0


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--start", "boxes"], "--start: got 'boxes', accepted: mask | clicks"),
        (["--peers", "magic"], "--peers: got 'magic'"),
        (["--data", "nowhere"], "nowhere: no sequences there"),
        (["--backend", "ray"], "backend: got 'ray', accepted: local | dask"),
        (["--backend", "dask"], "scheduler: got none, accepted: the address of a Dask scheduler"),
        (["--frames", "2"], "got 2 frames, accepted: at least 3"),
    ],
)
def test_bad_options_end_with_2_and_one_line(options, complaint, root, tmp_path, capsys):
    status = run(["evaluate", "tracking", "--data", str(root), "--out", str(tmp_path / "out"), *options])
    assert status == 2
    assert complaint in capsys.readouterr().err.splitlines()[-1]
