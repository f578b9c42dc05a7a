"""Many bags: some at a time, here or on a Dask cluster; one that fails is tried again and does not end the others."""

from __future__ import annotations

import functools
import json
import os
import signal
from pathlib import Path

import pytest
from bags import CLICKS, QUICK, outputs_of, write_bag
from rosbags.rosbag2 import StoragePlugin

from neural_seg_ros.cli.main import run
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.jobs import Backend, dask_backend, local_backend, run_jobs
from neural_seg_ros.offline.replay.batch import Batch, Task, plan, run_task
from neural_seg_ros.offline.replay.replay import ResumeOptions

TOPIC = "/camera/image_raw"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "clicks.yaml").write_text(CLICKS)
    return tmp_path


def bags_of(folder: Path, *names: str) -> list[Path]:
    return [write_bag(folder / name, StoragePlugin.MCAP, count=4) for name in names]


def replay_all(bags: list[Path], *extra: object) -> int:
    folder = bags[0].parent
    fixed = ["--image-topic", TOPIC, "--annotations", folder / "clicks.yaml", "--out", folder / "out", *QUICK, *extra]
    return run([str(argument) for argument in ("replay", *bags, *fixed)])


def batch_of(folder: Path) -> Batch:
    tiny = {"field.size": 32, "field.width": 8, "field.levels": 2, "fit.first_steps": 4, "fit.click_steps": 2}
    tiny |= {"track.first_steps": 4, "track.size": 64}
    return Batch(
        annotations=folder / "clicks.yaml",
        annotation_topics=(),
        active_class=1,
        ground_truth=None,
        start=0.0,
        duration=None,
        every=1,
        rate=None,
        two_pass=False,
        config=SessionConfig.preset("cpu", **tiny),
        device="cpu",
        resume_options=ResumeOptions(checkpoint=0.0, started="this run"),
    )


def killed_once(batch: Batch, task: Task) -> list[str]:
    """Call ``run_task``, but kill the first process that comes to frame 2 of a bag named victim."""
    from neural_seg_ros.offline.replay import passes

    marker, run_frame = task.bag.parent / "killed", passes.run_frame

    def deadly(session, frame, annotations):  # type: ignore[no-untyped-def]
        if frame.index == 2 and task.bag.name == "victim" and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        with (task.bag.parent / f"{task.bag.name}.frames").open("a") as seen:
            seen.write(f"{frame.index} ")
        return run_frame(session, frame, annotations)

    passes.run_frame = deadly
    try:
        return run_task(batch, task)
    finally:
        passes.run_frame = run_frame


def check_survived(folder: Path, backend: Backend[Task, list[str]]) -> None:
    """Return every bag is labeled, and what the killed process had labeled is not labeled again."""
    names = ("first", "victim", "last")
    tasks = plan(bags_of(folder, *names), [TOPIC], folder / "out")
    outcomes = run_jobs(functools.partial(killed_once, batch_of(folder)), tasks, backend, retries=0)
    assert {each.job: each.error for each in outcomes} == dict.fromkeys(tasks)
    assert (folder / "killed").exists()
    assert (folder / "victim.frames").read_text() == "0 1 2 3 "
    for task in tasks:
        assert json.loads((task.out / "metrics.json").read_text())["frames"] == 4
    first, victim = (outputs_of(folder / "out" / name)["masks.mcap"] for name in ("first", "victim"))
    assert first == victim


def test_a_folder_for_each_bag_and_topic(folder: Path) -> None:
    bags = bags_of(folder, "one", "two")
    assert replay_all(bags, "--image-topic", "/camera/compressed") == 0
    for name in ("one", "two"):
        for topic in ("camera_image_raw", "camera_compressed"):
            assert (folder / "out" / name / topic / "masks.mcap").is_file()


def test_annotations_of_each_bag(folder: Path) -> None:
    bags = bags_of(folder, "one", "two")
    (folder / "clicks.yaml").unlink()
    (folder / "clicks.yaml").mkdir()
    for name, class_id in (("one", 1), ("two", 2)):
        text = f"annotations:\n  - {{frame: 0, class: {class_id}, click: [20, 24]}}\n"
        (folder / "clicks.yaml" / f"{name}.yaml").write_text(text)
    assert replay_all(bags) == 0
    for name, class_id in (("one", "1"), ("two", "2")):
        assert class_id in json.loads((folder / "out" / name / "metrics.json").read_text())["confidence"]


def test_bags_of_one_name_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a").mkdir()
    bags = [*bags_of(folder, "one"), *bags_of(folder / "a", "one")]
    assert replay_all(bags) == 2
    assert "for one folder" in capsys.readouterr().err


def test_a_failed_bag_does_not_end_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = folder / "noise.mcap"
    noise.write_bytes(b"noise" * 100)
    assert replay_all([noise, *bags_of(folder, "good")]) == 1
    said = capsys.readouterr().err
    assert [line.startswith("failed: ") for line in said.splitlines()].count(True) == 2, "tried twice"
    assert "error: 1 of 2 replays failed" in said
    assert "noise.mcap" in said
    assert (folder / "out" / "good" / "report.html").is_file()


def test_a_bag_that_failed_once_is_well_in_the_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from neural_seg_ros.offline.replay import batch

    replay_bag, failures = batch.replay_bag, [OSError("the disk went away")]

    def failing(*arguments: object) -> list[str]:
        if failures:
            raise failures.pop()
        return replay_bag(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "replay_bag", failing)
    bags = bags_of(folder, "one", "two")
    assert replay_all(bags, "--retries", 1) == 0
    assert "the disk went away" in capsys.readouterr().err
    failures.append(OSError("the disk went away"))
    assert replay_all(bags, "--retries", 0) == 1


def test_a_killed_process_of_this_machine(folder: Path) -> None:
    check_survived(folder, local_backend(2))


def test_a_killed_worker_of_a_dask_cluster(folder: Path, cluster: str) -> None:
    check_survived(folder, dask_backend(cluster))


def test_dask_from_the_command_line(folder: Path, cluster: str) -> None:
    noise = folder / "noise.mcap"
    noise.write_bytes(b"noise" * 100)
    assert replay_all([*bags_of(folder, "good"), noise], "--backend", "dask", "--scheduler", cluster) == 1
    assert (folder / "out" / "good" / "report.html").is_file()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--backend", "ray"), "backend: got 'ray', accepted: local | dask"),
        (("--backend", "dask"), "scheduler: got none, accepted: the address of a Dask scheduler"),
        (("--backend", "dask", "--scheduler", "nonsense:x"), "scheduler: got 'nonsense:x'"),
    ],
)
def test_where_to_run_must_be_clear(
    folder: Path, options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed")
    assert replay_all(bags_of(folder, "one"), *options) == 2
    message = capsys.readouterr().err
    assert said in message
    assert len(message.splitlines()) == 1
