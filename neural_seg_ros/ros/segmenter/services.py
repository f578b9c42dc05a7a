"""The services of a live session; each replies with the outcome of a command."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import TypeVar

from std_srvs.srv import Trigger

from neural_seg_ros.errors import SessionError, error_text
from neural_seg_ros.live import LiveSession
from neural_seg_ros.ros.segmenter import interface
from neural_seg_ros.ros.toolkit.interface import Service

T = TypeVar("T")
Handler = Callable[[Trigger.Request, Trigger.Response], Trigger.Response]

_TIMEOUT_SECONDS = 30.0


def trigger_services(
    live: LiveSession, path: Callable[[], Path], load: Callable[[], str]
) -> list[tuple[Service, Handler]]:
    """Return the services without a request, each with its callback.

    path  returns the current path of the session file
    load  loads that file and returns the reply's message
    """

    def undo() -> str:
        if not wait_for(live.undo()):
            raise SessionError("nothing to undo")
        return "took back the last annotation"

    def redo() -> str:
        if not wait_for(live.redo()):
            raise SessionError("nothing to redo")
        return "made the annotation again"

    def clear() -> str:
        wait_for(live.clear())
        return "forgot all annotations"

    def reset() -> str:
        wait_for(live.reset())
        return "started over"

    def save() -> str:
        file = path()
        wait_for(live.save(file))
        return f"saved {file}"

    commands: tuple[tuple[Service, Callable[[], str]], ...] = (
        (interface.UNDO, undo),
        (interface.REDO, redo),
        (interface.CLEAR, clear),
        (interface.RESET, reset),
        (interface.SAVE_SESSION, save),
        (interface.LOAD_SESSION, load),
    )
    return [(service, _handler(command)) for service, command in commands]


def wait_for(future: Future[T]) -> T:
    """Wait for the worker to execute a command and return its result.

    Raises the command's own error, or SessionError if the worker is busy for too long.
    """
    try:
        return future.result(_TIMEOUT_SECONDS)
    except FutureTimeoutError:
        outcome = "the command is canceled" if future.cancel() else "the command is running and will finish later"
        raise SessionError(f"the session is busy: no reply within {_TIMEOUT_SECONDS:g} s; {outcome}") from None


def _handler(command: Callable[[], str]) -> Handler:
    """Return a service callback that replies with the command's message, or with its error."""

    def handle(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            response.success, response.message = True, command()
        except Exception as error:  # of any kind, such as out of memory: the caller learns it and the node lives on
            response.success, response.message = False, error_text(error)
        return response

    return handle
