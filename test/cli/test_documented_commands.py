"""Every command line of the documentation, as written, is one that the command takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from launch_recorder import ROOT, describe

from neural_seg_ros.cli.main import load_command

DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
FILES = ("a.yaml", "image.png", "video.mp4")
FOLDERS = ("ABOVE", "DATA/bsds500/val", "DATA/grabcut", "FOLDER", "bags", "clicks", "my_bag")


def lines(start: str) -> list[tuple[str, list[str]]]:
    """Return place and words after ``start`` of every line of a shell block that begins so."""
    found = []
    for document in DOCUMENTS:
        for block in BLOCK.findall(document.read_text()):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[: len(start.split())] == start.split():
                    found.append((f"{document.name}: {line}", words[len(start.split()) :]))
    return found


@pytest.mark.parametrize(("where", "words"), lines("neural-seg"), ids=lambda value: value if type(value) is str else "")
def test_neural_seg_takes_it(where: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in FILES:
        (tmp_path / name).touch()
    for name in FOLDERS:
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "bags" / "one.mcap").touch()
    command = load_command(words.pop(0))
    if hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    spread = [name for word in words for name in (map(str, Path().glob(word)) if "*" in word else [word])]
    command.make_context("command", spread)


@pytest.mark.parametrize(
    ("where", "words"), lines("ros2 launch neural_seg_ros"), ids=lambda value: value if type(value) is str else ""
)
def test_a_launch_file_takes_it(where: str, words: list[str]) -> None:
    arguments = describe(ROOT / "launch" / words[0]).arguments
    for word in words[1:]:
        name, separator, value = word.partition(":=")
        if not separator:
            assert word == "--show-args"
            continue
        choices = arguments[name].choices
        assert choices is None or value in choices


def test_there_are_such_lines() -> None:
    assert len(lines("neural-seg")) > 10
    assert len(lines("ros2 launch neural_seg_ros")) > 5
