"""Nodes of a launch file, started as processes over real DDS."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

from launch_recorder import ROOT, Node, command, run
from sensor_msgs.msg import Image

from neural_seg_ros.images.files import write_image

pytestmark = pytest.mark.ros

SMALL = """
/**/segmenter:
  ros__parameters: {field.size: 32, field.width: 8, field.levels: 2, fit.first_steps: 1, live.max_age: 60.0}
/**/camera:
  ros__parameters: {rate: 5.0}
"""


@contextmanager
def started(node: Node, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command(node, folder), env=environment) as process:
        try:
            yield process
            assert process.poll() is None, f"{node.executable} has ended"
            process.terminate()
            assert process.wait(20) == 0
        finally:
            process.kill()


def test_label_segments_a_video_in_its_namespace(probe: Any, tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(2):
        write_image(frames / f"{number}.png", np.random.default_rng(number).integers(0, 255, (48, 64, 3), np.uint8))
    (tmp_path / "small.yaml").write_text(SMALL)
    actions = run(
        ROOT / "launch" / "label.launch.py",
        video=str(frames),
        image="camera/image",
        namespace="robot",
        params_file=f"{ROOT}/config/segmenter.yaml,{tmp_path}/small.yaml",
        rviz="false",
    )
    wanted = [action for action in actions if getattr(action, "executable", "") in ("camera", "segmenter")]
    masks = probe.listen(Image, "/robot/segmenter/mask")
    with ExitStack() as stack:
        for node in wanted:
            stack.enter_context(started(node, tmp_path))
        probe.until(lambda: masks, seconds=90, what="a mask")
        assert probe.node.count_subscribers("/robot/camera/image_mouse_left") == 1
        assert probe.node.count_publishers("/robot/camera/image") == 1
    assert (masks[0].height, masks[0].width) == (48, 64)
