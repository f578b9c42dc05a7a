"""Files that are either whole or absent: write beside the target, flush to disk, rename over it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from neural_seg_ros.errors import NeuralSegError, one_line

# The mask can only be read by setting it, so this happens at import, before other threads create files.
_UMASK = os.umask(0o077)
os.umask(_UMASK)


@contextmanager
def whole_file(path: str | Path, *, synced: bool = True) -> Iterator[Path]:
    """Yield a temporary path with the same suffix to write to; on success it is synced and renamed to ``path``.

    When the body raises, the temporary file is removed and ``path`` stays as it was. Without ``synced`` the file
    survives the end of this process, but the end of the machine only after ``sync``.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}-", suffix=target.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        if synced:
            sync(temporary)
        temporary.chmod(0o666 & ~_UMASK)
        temporary.replace(target)
        if synced:
            sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def inside(folder: Path, name: str) -> Path:
    """Return the path of a file ``name`` in ``folder``. Raises ValueError if it is a link or outside of the folder."""
    path = folder / name
    if path.is_symlink() or path.resolve().parent != folder.resolve():
        raise ValueError(f"got {path}, which leads to {path.resolve()}, accepted: files of {folder} itself")
    return path


def write_bytes(path: str | Path, content: bytes, *, synced: bool = True) -> None:
    """Write ``content`` atomically: ``path`` holds either all of it or its old content."""
    with whole_file(path, synced=synced) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, content: str) -> None:
    """Write UTF-8 text as ``write_bytes`` does."""
    write_bytes(path, content.encode())


def sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_mapping(path: str | Path, error: type[NeuralSegError], accepted: str) -> Mapping[str, Any]:
    """Read the mapping in a YAML file. Raises ``error`` naming the file for anything else; ``accepted`` in words."""
    try:
        tree = yaml.safe_load(Path(path).read_text())
    except (OSError, ValueError, yaml.YAMLError) as reason:
        raise error(f"{path}: cannot be read as YAML: {one_line(reason)}") from None
    if not isinstance(tree, Mapping):
        raise error(f"{path}: got {type(tree).__name__}, accepted: {accepted}")
    return tree
