"""The work folder of a replay, ``.replay`` beside its outputs: the run's identity, its lock and its progress."""

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

    run      JSON values that identify the run
    started  name of the batch that the run is part of; an equal run of the same batch is resumed
    resume   also resume a run of another batch, and raise if ``run`` differs
    change   the key of ``run`` that may differ, and a function that removes the results that depend on it
    Raises SourceError, and the errors of ``change``. After an error the folder is removed unless it holds results.
    """
    is_new = not out.exists()
    folder = out / NAME
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SourceError(
                f"{out}: cannot be written, because another replay writes to it; choose another folder or wait"
            ) from None
        for half_written in folder.glob(".run-*"):
            half_written.unlink()
        identity, identity_file = json.loads(json.dumps(run)), folder / "run.json"
        before: dict[str, Any] = (
            json.loads(identity_file.read_text()) if identity_file.exists() else {"run": {}, "started": None}
        )
        if resume and before["started"] is not None:
            _check_same(out, identity, before["run"], None if change is None else change[0])
            if change is not None:
                change[1](folder)
        elif (before["started"], before["run"]) != (started, identity):
            _clear(folder)
        write_text(identity_file, json.dumps({"started": started, "run": identity}, indent=2))
        try:
            yield folder
        except BaseException:
            if not any(folder.glob("*/*.json")):
                shutil.rmtree(folder)
                if is_new and not any(out.iterdir()):
                    out.rmdir()
            raise


def _clear(folder: Path) -> None:
    # Removed first: without it an interrupted removal is never resumed.
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
