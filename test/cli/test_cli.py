"""The command line end to end: files, exit status, messages."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neural_seg_ros.cli.main import run
from neural_seg_ros.images.files import open_frames, read_labels, write_image, write_labels

HEIGHT, WIDTH = 48, 64
TINY = ["--set", "field.size=32", "--set", "field.width=8", "--set", "field.levels=2"]
FEW_STEPS = [
    "--set",
    "fit.first_steps=4",
    "--set",
    "fit.click_steps=2",
    "--set",
    "fit.frame_steps=1",
    "--set",
    "track.first_steps=4",
    "--set",
    "track.correction_steps=2",
]
QUICK = [*TINY, *FEW_STEPS, "--device", "cpu"]
CLICKS = """
classes: {1: square}
annotations:
  - {frame: 0, class: 1, click: [20, 24]}
  - {frame: 0, class: 0, click: [60, 4]}
"""


def scene(shift: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return a red square on a blue ground, (image, truth)."""
    image = np.full((HEIGHT, WIDTH, 3), (20, 30, 160), np.uint8)
    truth = np.zeros((HEIGHT, WIDTH), np.uint8)
    truth[12:36, 10 + shift : 34 + shift] = 1
    image[truth == 1] = (220, 40, 30)
    return image, truth


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """frames/, truth/ and clicks.yaml of a square that moves."""
    for number in range(4):
        image, truth = scene(2 * number)
        write_image(tmp_path / "frames" / f"{number:05d}.png", image)
        write_labels(tmp_path / "truth" / f"{number:05d}.png", truth * 255)
    (tmp_path / "clicks.yaml").write_text(CLICKS)
    return tmp_path


def neural_seg(*arguments: object) -> int:
    return run([str(argument) for argument in arguments])


def test_entries_on_no_frame_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (folder / "clicks.yaml").open("a") as clicks:
        clicks.write("  - {frame: 7, class: 1, click: [20, 24]}\n")
    assert segment(folder, *QUICK) == 0
    assert "1 of 3 entries are on no frame" in capsys.readouterr().err


def segment(folder: Path, *extra: object) -> int:
    image, clicks = folder / "frames" / "00000.png", folder / "clicks.yaml"
    return neural_seg("segment", image, "--annotations", clicks, "--out", folder / "out", *extra)


def track(folder: Path, *extra: object) -> int:
    clicks = folder / "clicks.yaml"
    return neural_seg("track", folder / "frames", "--annotations", clicks, "--out", folder / "out", *extra)


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line on stderr."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]


def test_segment_writes_labels_confidence_and_overlay(folder: Path) -> None:
    assert segment(folder, *QUICK) == 0
    out = folder / "out"
    labels = read_labels(out / "labels.png")
    assert labels.shape == (HEIGHT, WIDTH)
    assert labels.dtype == np.uint8
    assert labels[24, 20] == 1
    assert labels[4, 60] == 0
    assert read_labels(out / "confidence.png").shape == (HEIGHT, WIDTH)
    assert sorted(path.name for path in out.iterdir()) == ["confidence.png", "labels.png", "overlay.png"]


def test_segment_with_16_bit_labels(folder: Path) -> None:
    (folder / "clicks.yaml").write_text("annotations: [{frame: 0, class: 3000, click: [20, 24]}]")
    assert segment(folder, *QUICK, "--set", "label_bits=16") == 0
    labels = read_labels(folder / "out" / "labels.png")
    assert labels.dtype == np.uint16
    assert labels[24, 20] == 3000


def test_track_writes_labels_overlay_and_metrics(folder: Path) -> None:
    assert track(folder, *QUICK, "--ground-truth", folder / "truth") == 0
    out = folder / "out"
    assert [path.name for path in sorted((out / "labels").iterdir())] == [f"{n:05d}.png" for n in range(4)]
    assert len(list(open_frames(out / "overlay.mp4"))) == 4
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["frames"] == 4
    assert metrics["fps"] > 0
    assert metrics["frames_judged"] == 4
    assert 0 <= metrics["iou"]["1"] <= 1
    assert metrics["annotations"] == {"entries": 2, "used": 2}
    assert metrics["settings"]["field.size"] == 32
    assert sorted(path.name for path in out.iterdir()) == ["labels", "metrics.json", "overlay.mp4"]


def test_frames_before_the_first_annotation_are_not_judged(folder: Path) -> None:
    (folder / "clicks.yaml").write_text("annotations: [{frame: 2, class: 1, click: [24, 24]}]")
    assert track(folder, *QUICK, "--ground-truth", folder / "truth") == 0
    assert (read_labels(folder / "out" / "labels" / "00001.png") == 255).all()
    metrics = json.loads((folder / "out" / "metrics.json").read_text())
    assert (metrics["frames"], metrics["frames_judged"]) == (4, 2)


def test_track_is_deterministic(folder: Path) -> None:
    first, second = folder / "a", folder / "b"
    for out in (first, second):
        assert track(folder, *QUICK, "--out", out) == 0
    for path in sorted((first / "labels").iterdir()):
        assert path.read_bytes() == (second / "labels" / path.name).read_bytes()


def test_track_of_a_shorter_source_leaves_no_old_labels(folder: Path) -> None:
    labels = folder / "out" / "labels"
    labels.mkdir(parents=True)
    (labels / "00009.png").write_bytes(b"old")
    (labels / "notes.txt").write_text("mine")
    assert track(folder, *QUICK) == 0
    assert sorted(path.name for path in labels.iterdir()) == [*(f"{n:05d}.png" for n in range(4)), "notes.txt"]


def test_track_that_fails_midway_leaves_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "frames" / "00002.png").write_bytes(b"damaged")
    assert track(folder, *QUICK) == 2
    assert "00002.png" in error_of(capsys)
    assert [path for path in (folder / "out").rglob("*") if path.is_file()] == []


def test_config_file_gives_options_and_session_options(folder: Path) -> None:
    (folder / "c.yaml").write_text(
        f"annotations: {folder / 'clicks.yaml'}\ndevice: cpu\nground-truth: {folder / 'truth'}\n"
        "session: {field: {size: 32, width: 8, levels: 2}, fit.first_steps: 3, fit: {click_steps: 2}, seed: 7,\n"
        "  track.first_steps: 4}\n"
    )
    out = folder / "out"
    assert neural_seg("track", folder / "frames", "--config", folder / "c.yaml", "--out", out, "--set", "seed=8") == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["settings"]["fit.first_steps"] == 3
    assert metrics["settings"]["field.width"] == 8
    assert metrics["settings"]["seed"] == 8
    assert metrics["frames_judged"] == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour: red", ["colour: unknown option", "preset"]),
        ("session: {field: {wdith: 8}}", ["field.wdith: unknown option", "field.width"]),
        ("session: {field.width: wide}", ["width: got 'wide'", "int in [8, 512]"]),
        ("session: 3", ["session: got 3"]),
        ("[1]", ["accepted: a mapping"]),
        ("{", ["cannot be read as YAML"]),
    ],
)
def test_bad_config_file(folder: Path, capsys: pytest.CaptureFixture[str], text: str, words: list[str]) -> None:
    (folder / "c.yaml").write_text(text)
    assert segment(folder, "--config", folder / "c.yaml") == 2
    message = error_of(capsys)
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--preset", "huge"], ["preset: got 'huge'", "cpu | gpu | thesis"]),
        (["--set", "field.width"], ["--set: got 'field.width'", "NAME=VALUE"]),
        (["--set", "wdith=3"], ["--set: got 'wdith'", "field.width"]),
        (["--set", "field.width=3"], ["field.width: got 3", "int in [8, 512]"]),
        (["--answer", "guess"], ["answer: got 'guess'", "fused | field"]),
        (["--device", "abacus"], ["device: got 'abacus'", "auto"]),
        (["--speed", "9"], ["No such option: --speed"]),
        (["--annotations", "none.yaml"], ["none.yaml"]),
        (["--config", "none.yaml"], ["none.yaml"]),
    ],
)
def test_bad_option(folder: Path, capsys: pytest.CaptureFixture[str], extra: list[str], words: list[str]) -> None:
    assert segment(folder, *extra) == 2
    message = error_of(capsys)
    for word in words:
        assert word in message
    assert not (folder / "out").exists()


def test_missing_inputs_are_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clicks, out = folder / "clicks.yaml", folder / "out"
    assert neural_seg("segment", folder / "no.png", "--annotations", clicks, "--out", out) == 2
    assert "no.png: no such file" in error_of(capsys)
    assert neural_seg("track", folder / "no.mp4", "--annotations", clicks, "--out", out) == 2
    assert "no.mp4: no such file or folder" in error_of(capsys)
    assert neural_seg("segment", folder / "frames" / "00000.png", "--out", out) == 2
    assert "--annotations" in error_of(capsys)
    assert neural_seg("sgement") == 2
    assert "segment" in error_of(capsys)


def test_click_outside_the_frame_names_frame_and_range(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "clicks.yaml").write_text("annotations: [{frame: 1, class: 1, click: [500, 5]}]")
    assert track(folder, *QUICK) == 2
    message = error_of(capsys)
    assert "frame 1: click: got (500, 5)" in message
    assert "x <= 63" in message


def test_annotations_that_reach_no_frame_are_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "clicks.yaml").write_text("annotations: [{frame: 99, class: 1, click: [5, 5]}]")
    assert track(folder, *QUICK) == 2
    assert "none on a frame, accepted: frame 0 to 3" in error_of(capsys)


def test_ground_truth_that_does_not_fit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert track(folder, *QUICK, "--ground-truth", folder / "no") == 2
    assert "no such folder" in error_of(capsys)
    for number in range(4):
        write_labels(folder / "small" / f"{number:05d}.png", np.ones((3, 4), np.uint8))
    assert track(folder, *QUICK, "--ground-truth", folder / "small") == 2
    assert "got 4x3, accepted: the frame's size 64x48" in error_of(capsys)
    (folder / "names").mkdir()
    write_labels(folder / "names" / "other.png", np.ones((3, 4), np.uint8))
    assert track(folder, *QUICK, "--ground-truth", folder / "names") == 2
    assert "none belongs to a frame" in error_of(capsys)


def test_folder_that_cannot_be_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "out").write_text("a file")
    assert segment(folder, *QUICK) == 2
    assert str(folder / "out") in error_of(capsys)


def test_ctrl_c_exits_130(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("neural_seg_ros.session.Session.fit", interrupt)
    assert track(folder, *QUICK) == 130
    assert [path for path in (folder / "out").rglob("*") if path.is_file()] == []


def test_help_lists_all_commands_without_torch_or_ros() -> None:
    script = (
        "import sys\nfrom neural_seg_ros.cli.main import run\nstatus = run(['--help'])\n"
        "heavy = {'torch', 'cv2', 'rclpy', 'rosbags'} & set(sys.modules)\n"
        "sys.exit(f'{status} {heavy}' if heavy else status)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for name in ("segment", "track", "replay", "evaluate", "benchmark", "demo"):
        assert name in done.stdout


@pytest.mark.parametrize("command", ["segment", "track", "replay"])
def test_help_of_a_command_documents_its_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert neural_seg(command, "--help") == 0
    text = capsys.readouterr().out
    for option in ("--annotations", "--out", "--preset", "--config", "--set", "--device", "--answer"):
        assert option in text


def test_executable_exits_with_2_and_one_line(tmp_path: Path) -> None:
    script = "from neural_seg_ros.cli.main import main; main()"
    (tmp_path / "v.mp4").write_bytes(b"noise" * 100)
    (tmp_path / "clicks.yaml").write_text(CLICKS)
    arguments = ["track", tmp_path / "v.mp4", "--annotations", tmp_path / "clicks.yaml", "--out", tmp_path]
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "v.mp4: cannot be read as video" in done.stderr
