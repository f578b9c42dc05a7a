"""An interrupted replay is not lost: killed anywhere and started again, it ends as if nothing had happened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from bags import CLICKS, COUNT, arguments, outputs_of, replay, write_bag
from rosbags.rosbag2 import StoragePlugin

# The run dies by its own hand as it is about to give a file its name for the Nth time: no other time would be exact.
KILLED = """
import os, pathlib, signal, sys
from neural_seg_ros.cli.main import run
left, replace = int(sys.argv[1]), pathlib.Path.replace
def counted(self, target):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)
pathlib.Path.replace = counted
run(sys.argv[2:])
"""
TWO = CLICKS + "  - {frame: 3, class: 0, click: [5, 5]}\n  - {frame: 3, class: 1, click: [25, 24]}\n"
ALWAYS = ("--checkpoint", 0)


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    (tmp_path / "clicks.yaml").write_text(TWO)
    return write_bag(tmp_path / "bag", StoragePlugin.MCAP, broken=[1])


def killed(place: int, bag: Path, *extra: object, name: str) -> None:
    """Run until the process is about to rename a file for the ``place``-th time, and kill it there."""
    command = [sys.executable, "-c", KILLED, str(place), *arguments(bag, *extra, name=name)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == -9


@pytest.mark.parametrize(
    ("place", "options"),
    [
        # The first masks; a session; the records of a chunk; the pass backwards; one output is there, others are not.
        (4, ("--answer", "field", *ALWAYS)),
        (10, ("--answer", "fused", *ALWAYS)),
        (11, ("--answer", "field", *ALWAYS)),
        (28, ("--answer", "fused", "--two-pass", *ALWAYS)),
        (17, ("--answer", "fused", "--ground-truth", "/truth", "--checkpoint", 1000)),
    ],
)
def test_killed_anywhere_and_resumed_is_as_if_never_interrupted(
    bag: Path, place: int, options: tuple[object, ...]
) -> None:
    assert replay(bag, *options, name="whole") == 0
    killed(place, bag, *options, name="out")
    assert replay(bag, *options, "--resume") == 0
    whole = outputs_of(bag.parent / "whole")
    assert outputs_of(bag.parent / "out") == whole
    assert set(whole) == {"frames.csv", "masks.mcap", "metrics.json", "overlay.mp4", "report.html"}
    assert not [path.name for path in (bag.parent / "out").iterdir() if path.name.startswith(".") and path.is_file()]


def test_what_is_labeled_is_not_labeled_again(bag: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(17, bag, *ALWAYS, name="out")
    from neural_seg_ros.offline.replay import passes

    seen = []
    run_frame = passes.run_frame
    monkeypatch.setattr(passes, "run_frame", lambda s, frame, a: (seen.append(frame.index), run_frame(s, frame, a))[1])
    assert replay(bag, *ALWAYS, "--resume") == 0
    assert seen == [4]
    assert replay(bag, *ALWAYS, "--resume") == 0
    assert seen == [4]


def test_other_arguments_are_refused(bag: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(bag, *ALWAYS, "--duration", 0.3) == 0
    before = outputs_of(bag.parent / "out")
    for options, said in (
        ((), "resume: duration: got null, accepted: 0.3"),
        (("--duration", 0.3, "--set", "seed=1"), "resume: settings seed: got 1, accepted: 0"),
        (("--duration", 0.3, "--two-pass"), "resume: two-pass: got true, accepted: false"),
    ):
        capsys.readouterr()
        assert replay(bag, *options, "--resume") == 2
        message = capsys.readouterr().err
        assert said in message
        assert len(message.splitlines()) == 1
    assert outputs_of(bag.parent / "out") == before


def test_a_folder_in_use_is_refused(bag: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import fcntl

    work = bag.parent / "out" / ".replay"
    work.mkdir(parents=True)
    with (work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert replay(bag) == 2
    assert "another replay writes to" in capsys.readouterr().err


@pytest.mark.parametrize("two_pass", [(), ("--two-pass",)])
def test_from_a_frame_on_nothing_before_is_labeled_again(
    bag: Path, two_pass: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from neural_seg_ros.offline.replay import passes

    clicks = bag.parent / "clicks.yaml"
    assert replay(bag, *ALWAYS, *two_pass) == 0
    clicks.write_text(TWO + f"  - {{frame: {COUNT - 1}, class: 0, box: [50, 30, 60, 40]}}\n")
    assert replay(bag, *ALWAYS, *two_pass, name="whole") == 0
    seen = []
    run_frame = passes.run_frame
    monkeypatch.setattr(passes, "run_frame", lambda s, frame, a: (seen.append(frame.index), run_frame(s, frame, a))[1])
    assert replay(bag, *ALWAYS, *two_pass, "--from", COUNT - 1) == 0
    assert seen == [COUNT - 1]
    assert outputs_of(bag.parent / "out") == outputs_of(bag.parent / "whole")


def test_a_change_before_that_frame_is_refused(bag: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(bag, *ALWAYS) == 0
    (bag.parent / "clicks.yaml").write_text(TWO.replace("[20, 24]", "[21, 24]"))
    assert replay(bag, *ALWAYS, "--resume") == 2
    assert "--from FRAME" in capsys.readouterr().err
    assert replay(bag, *ALWAYS, "--from", 3) == 2
    assert "annotations: got a change on frame 0, accepted: changes on frame 3 and later" in capsys.readouterr().err


def test_a_pass_back_from_a_frame_is_made_again_from_another(bag: Path) -> None:
    assert replay(bag, *ALWAYS, "--two-pass") == 0
    (bag.parent / "clicks.yaml").write_text(TWO.replace("frame: 3", "frame: 4"))
    assert replay(bag, *ALWAYS, "--two-pass", "--from", 3) == 0
    assert replay(bag, *ALWAYS, "--two-pass", name="whole") == 0
    assert outputs_of(bag.parent / "out") == outputs_of(bag.parent / "whole")


def test_another_truth_only_measures_again(bag: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert replay(bag, "--ground-truth", "/truth", name="whole") == 0
    assert replay(bag) == 0
    monkeypatch.delattr("neural_seg_ros.offline.replay.passes.run_frame")
    assert replay(bag, "--ground-truth", "/truth", "--resume") == 0
    assert outputs_of(bag.parent / "out") == outputs_of(bag.parent / "whole")
