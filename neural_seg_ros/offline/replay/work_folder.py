"""The work folder of a replay, ``.replay`` beside its outputs: what is run, by whom, and how far it is."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neural_seg_ros.errors import SourceError
from neural_seg_ros.files import write_text

NAME = ".replay"


@contextmanager
def open_work_folder(
    out: Path,
    run: Mapping[str, Any],
    started: str,
    resume: bool,
    change: tuple[str, Callable[[Path], None]] | None,
) -> Iterator[Path]:
    """Open the work folder of ``out`` for this process; it is emptied unless a run there is resumed.

    run      JSON values that say what is run
    started  what the run is part of: one that was begun as part of the same is gone on with where ``run`` is the same
    resume   go on with any other too, and refuse to where ``run`` is not the same
    change   the one of ``run`` that may differ, and what removes the results that are then no more true
    Raises SourceError, and the errors of ``change``. After an error the folder is removed unless it holds results.
    """
    made = not out.exists()
    folder = out / NAME
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SourceError(f"{out}: got a folder that another replay writes to, accepted: one of its own") from None
        for half_written in folder.glob(".run-*"):
            half_written.unlink()
        settled, begun = json.loads(json.dumps(run)), folder / "run.json"
        before: dict[str, Any] = json.loads(begun.read_text()) if begun.exists() else {"run": {}, "started": None}
        if resume and before["started"] is not None:
            _check_same(out, settled, before["run"], None if change is None else change[0])
            if change is not None:
                change[1](folder)
        elif (before["started"], before["run"]) != (started, settled):
            _clear(folder)
        write_text(begun, json.dumps({"started": started, "run": settled}, indent=2))
        try:
            yield folder
        except BaseException:
            if not any(folder.glob("*/*.json")):
                shutil.rmtree(folder)
                if made and not any(out.iterdir()):
                    out.rmdir()
            raise


def _clear(folder: Path) -> None:
    # First, so that nobody goes on with what is left if this is interrupted.
    (folder / "run.json").unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()


def _check_same(out: Path, given: dict[str, Any], before: dict[str, Any], changed: str | None) -> None:
    for name in {**before, **given}:
        one, other = given.get(name), before.get(name)
        if one == other or name == changed:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            field = next(key for key in {**other, **one} if one.get(key) != other.get(key))
            name, one, other = f"{name} {field}", one.get(field), other.get(field)
        hint = " (or --from FRAME)" if name == "annotations" else ""
        raise SourceError(f"resume: {name}: got {_short(one)}, accepted: {_short(other)}, as in {out}{hint}")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
