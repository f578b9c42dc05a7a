"""The limits of reading and writing: sessions in one directory, no pickles, messages within bounds."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from neural_seg_ros.annotations.ros_messages import marker
from neural_seg_ros.errors import AnnotationError, ImageError
from neural_seg_ros.files import inside
from neural_seg_ros.images.ros_messages import check_bounds, to_rgb

PACKAGE = Path(__file__).resolve().parents[2] / "neural_seg_ros"
# What executes what it reads, or may.
FORBIDDEN = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib.load", "torch.load", "yaml.load"}
FORBIDDEN |= {"yaml.unsafe_load", "yaml.full_load", "eval", "exec", "os.system", "pandas.read_pickle"}


def names_in(tree: ast.AST) -> set[str]:
    """Modules that are imported, and dotted names that are called."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call):
            names.add(ast.unparse(node.func))
    return names


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_that_is_read_is_executed(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not names_in(tree) & FORBIDDEN
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "numpy.load", "np.save"):
            allowed = {word.arg: ast.unparse(word.value) for word in node.keywords}
            assert allowed.get("allow_pickle") == "False", f"line {node.lineno}"
        if isinstance(node, ast.Call):
            assert not any(word.arg == "shell" for word in node.keywords), f"line {node.lineno}"


def test_pickles_are_refused(tmp_path: Path) -> None:
    import pickle

    from neural_seg_ros.errors import SessionFileError
    from neural_seg_ros.live.autosave.store import AutosaveFolder
    from neural_seg_ros.session.session_file import read_session

    marks = tmp_path / "executed"

    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (marks,)

    (tmp_path / "session.safetensors").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(SessionFileError, match="damaged"):
        read_session(tmp_path / "session.safetensors")
    keep = AutosaveFolder(tmp_path / "autosave" / "segmenter")
    for content in (pickle.dumps(Evil()), saved(np.array([Evil()], object))):
        (keep.folder / f"{'0' * 32}.npy").write_bytes(content)
        with pytest.raises(SessionFileError, match="damaged"):
            keep.read_pixels("0" * 32)
    keep.close()
    assert not marks.exists()


def saved(array: Any) -> bytes:
    """Return the bytes of a .npy file with objects in it."""
    import io

    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "link", "outward/x"])
def test_a_file_elsewhere_is_not_inside(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "sessions"
    folder.mkdir()
    (tmp_path / "secret").write_text("")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "outward").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="accepted: files of"):
        inside(folder, name)
    assert inside(folder, "mine") == folder / "mine"


def test_the_directory_may_be_a_link_itself(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "sessions").symlink_to(tmp_path / "disk")
    assert inside(tmp_path / "sessions", "mine") == tmp_path / "sessions" / "mine"


def image(**fields: Any) -> Any:
    given = {"width": 64, "height": 48, "step": 64, "encoding": "mono8", "is_bigendian": 0, "data": bytes(64 * 48)}
    return SimpleNamespace(header=SimpleNamespace(frame_id=fields.pop("frame_id", "camera")), **{**given, **fields})


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (image(frame_id="x" * 300), "header.frame_id: got 300 characters, accepted: at most 256"),
        (image(data=bytes(160_001)), "data: got 160001 bytes, accepted: at most 160000 for 10,000 pixels"),
        (image(width=200, height=100), "width, height: got 200x100, accepted: 8 to 32768 pixels each, at most 10,000"),
        (image(encoding="y" * 10_000), "encoding: got 'yyyy"),
    ],
)
def test_an_image_beyond_its_bounds_is_refused(message: Any, said: str) -> None:
    def take() -> None:
        check_bounds(message, 10_000)
        to_rgb(message, 10_000)

    with pytest.raises(ImageError) as refused:
        take()
    assert said in str(refused.value)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tiff"])
def test_a_picture_is_measured_before_it_is_decoded(suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = cv2.imencode(suffix, np.zeros((400, 500, 3), np.uint8))[1].tobytes()
    message = SimpleNamespace(format=suffix, data=data)
    assert to_rgb(message).shape == (400, 500, 3)

    def decode(*_: Any) -> Any:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(cv2, "imdecode", decode)
    with pytest.raises(ImageError, match="data: got a picture of 500x400, accepted: 8 to 32768 pixels each, at most 1"):
        to_rgb(message, 100_000)


def test_a_picture_that_nobody_can_measure_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: Any) -> Any:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(cv2, "imdecode", decode)
    with pytest.raises(ImageError, match="cannot be decoded"):
        to_rgb(SimpleNamespace(format="hdr", data=b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 60000 +X 60000\n"))


def test_a_marker_has_a_short_name() -> None:
    given = {"action": 0, "id": 1, "type": 4, "scale": 1.0, "points": [SimpleNamespace(x=1.0, y=2.0)]}
    for name, said in (("n" * 257, "annotation ns: got 257 characters"), ("n" * 200, "annotation class: got 'nnn")):
        with pytest.raises(AnnotationError) as refused:
            marker(SimpleNamespace(ns=name, **given), {}, 1)
        assert said in str(refused.value)
        assert len(str(refused.value)) < 400
