"""``neural-seg``: the commands, and how their errors end."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from neural_seg_ros.errors import NeuralSegError

_SUMMARIES = {
    "segment": "Label one image from annotations.",
    "track": "Label every frame of a video or a folder of images from annotations on some.",
    "contours": "Find contours and segments of one image, from its pixels alone.",
    "replay": "Label the images of a rosbag; write masks as a bag, figures and a report.",
    "evaluate": "Measure quality against ground truth, beside classical peers.",
    "benchmark": "Measure speed and memory.",
    "demo": "The main job on a real clip through real ROS topics.",
}
_HELP = "Label a live robot camera with a few clicks and get masks back, from the pixels alone."
_BAD_INPUT = 2
_INTERRUPTED = 130
# Typer carries its own copy of click from version 0.2x on; the base of its usage errors has no public name.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


class Commands(TyperGroup):
    """A group of commands that imports only the one that is called: --help needs no torch, no ROS."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, summary, rest = super().resolve_command(ctx, args)
        return name, summary if summary is None else load_command(str(name)), rest


def load_command(name: str) -> Any:
    """Load the command in the module of its name: a Typer ``app``, or a function of the command's name."""
    module = importlib.import_module(f"neural_seg_ros.cli.{name}")
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(add_completion=False)
        app.command(name)(getattr(module, name))
    return typer.main.get_command(app)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status: 0, 2 for bad input (one line on stderr), 130 for Ctrl-C."""
    summaries: dict[str, Any] = {name: TyperCommand(name, help=text) for name, text in _SUMMARIES.items()}
    group = Commands(name="neural-seg", help=_HELP, commands=summaries)
    try:
        status = group.main(list(arguments) or ["--help"], prog_name="neural-seg", standalone_mode=False)
    except NeuralSegError as error:
        return _fail(str(error))
    except _UsageError as error:
        message = error.format_message()  # type: ignore[attr-defined]
        # A command without its sub-command has printed its help already.
        return _fail(message) if message else _BAD_INPUT
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    return status if isinstance(status, int) else 0


def main() -> NoReturn:
    """Run the executable ``neural-seg``."""
    # Errors of image and video files are reported by this program, in one line.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    signal.signal(signal.SIGTERM, _exit_on_signal)
    sys.exit(run(sys.argv[1:]))


def _exit_on_signal(number: int, _: Any) -> NoReturn:
    """Unwind as on an error, so that temporary files are removed."""
    sys.exit(128 + number)


def _fail(message: str) -> int:
    typer.echo(f"error: {' '.join(message.split())}", err=True)
    return _BAD_INPUT
