"""Options that commands share: the session's configuration, a configuration file, progress."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from neural_seg_ros.config import PRESETS, SessionConfig
from neural_seg_ros.errors import ConfigError
from neural_seg_ros.files import read_mapping
from neural_seg_ros.options import flatten, from_flat, options_of, parse

if TYPE_CHECKING:
    from neural_seg_ros.jobs import Backend as JobsBackend

T = TypeVar("T")
_SESSION = "neural_seg_ros.session.session"


def _read_config_file(context: typer.Context, path: Path | None) -> Path | None:
    """Make the file's values the defaults of the command's options, and keep its ``session:`` section."""
    if path is None or context.resilient_parsing:
        return path
    tree = read_mapping(path, ConfigError, "a mapping of options")
    session = tree.get("session", {})
    if not isinstance(session, Mapping):
        raise ConfigError(f"{path}: session: got {session!r}, accepted: a mapping of session options")
    known = {str(parameter.name) for parameter in context.command.params} - {"config", "help", "settings"}
    given = {str(key).replace("-", "_"): value for key, value in tree.items() if key != "session" and value is not None}
    unknown = sorted(set(given) - known)
    if unknown:
        raise ConfigError(f"{path}: {unknown[0]}: unknown option, accepted: {', '.join(sorted(known))}, session")
    context.default_map = {key: value if isinstance(value, list) else str(value) for key, value in given.items()}
    context.meta[_SESSION] = flatten(session)
    return path


Preset = Annotated[str, typer.Option(help=f"Starting point of the configuration: {' | '.join(PRESETS)}.")]
Config = Annotated[
    Path | None,
    typer.Option(
        is_eager=True,
        callback=_read_config_file,
        show_default=False,
        help="YAML file: options of this command by name, and `session:` with session options. "
        "Options on the command line win; paths are relative to where the command runs.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Set a session option, such as field.width=32. Can be repeated."),
]
Device = Annotated[str, typer.Option(help="auto | cpu | cuda | cuda:N")]
Answer = Annotated[str | None, typer.Option(help="How labels are found: fused | field.", show_default="as the preset")]
Out = Annotated[Path, typer.Option(help="Folder for the results; made if it is missing.")]
Backend = Annotated[str, typer.Option(help="Where they run: local | dask.")]
Scheduler = Annotated[str | None, typer.Option(help="Address of a running Dask scheduler.")]
Retries = Annotated[int, typer.Option(min=0, help="Of many, try one that failed so often again.")]
Annotations = Annotated[Path, typer.Option(help="YAML file of classes and annotations.")]


def session_config(
    context: typer.Context, preset: str, answer: str | None = None, settings: list[str] | None = None
) -> SessionConfig:
    """Combine the preset, the configuration file's ``session:`` section, ``--answer`` and ``--set``, in this order.

    Raises ConfigError naming the option.
    """
    config = SessionConfig.preset(preset, **context.meta.get(_SESSION, {}))
    changes: dict[str, Any] = {} if answer is None else {"answer": answer}
    options = {option.name: option for option in options_of(SessionConfig)}
    for setting in settings or []:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set: got {setting!r}, accepted: NAME=VALUE, such as field.width=32")
        if name not in options:
            raise ConfigError(f"--set: got {name!r}, accepted: {', '.join(sorted(options))}")
        changes[name] = parse(options[name], text)
    return from_flat(config, changes)


def progress(items: Iterable[T], description: str, total: int = 0) -> Iterator[T]:
    """Yield ``items`` with a bar on stderr while it is a terminal; ``total`` 0 means unknown."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, description, total=total or None, console=Console(stderr=True), transient=True)


def warn(message: str | None) -> None:
    """Print one line for the user, if there is one."""
    if message is not None:
        say(message)


def say(message: str) -> None:
    """Print one line for the user on stderr; stdout is left for programs."""
    typer.echo(message, err=True)


def choose(name: str, given: str, accepted: Sequence[str]) -> str:
    """Return ``given`` if it is among the accepted values. Raises ConfigError."""
    if given not in accepted:
        raise ConfigError(f"{name}: got {given!r}, accepted: {' | '.join(accepted)}")
    return given


def backend_of(name: str, scheduler: str | None, local: JobsBackend[Any, Any]) -> JobsBackend[Any, Any]:
    """Return the backend of jobs: ``local``, or the Dask cluster at ``scheduler``. Raises ConfigError."""
    from neural_seg_ros.jobs import dask_backend

    return local if choose("backend", name, ("local", "dask")) == "local" else dask_backend(scheduler)
