"""The services of a live session: each answers with the outcome of a command."""

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

_ANSWER_SECONDS = 30.0


def commands(live: LiveSession, path: Callable[[], Path], load: Callable[[], str]) -> list[tuple[Service, Handler]]:
    """Return the services without a request, with what handles each.

    path  of the session's file at the moment
    load  loads it, and says so
    """
    table: tuple[tuple[Service, Callable[[], str]], ...] = (
        (interface.UNDO, lambda: _require(answer(live.undo()), "took back the last annotation", "nothing to undo")),
        (interface.REDO, lambda: _require(answer(live.redo()), "made the annotation again", "nothing to redo")),
        (interface.CLEAR, lambda: _after(answer(live.clear()), "forgot all annotations")),
        (interface.RESET, lambda: _after(answer(live.reset()), "started over")),
        (interface.SAVE_SESSION, lambda: _after(answer(live.save(path())), f"saved {path()}")),
        (interface.LOAD_SESSION, load),
    )
    return [(service, handler(command)) for service, command in table]


def answer(future: Future[T]) -> T:
    """Wait for the worker and return its answer. Raises the error it met, SessionError when it is busy."""
    try:
        return future.result(_ANSWER_SECONDS)
    except FutureTimeoutError:
        outcome = "the request was taken back" if future.cancel() else "the request is being executed and goes on"
        raise SessionError(f"session: busy, no answer within {_ANSWER_SECONDS:g} s; {outcome}") from None


def _after(_: object, message: str) -> str:
    """Return the message, once the command was executed."""
    return message


def _require(done: bool, message: str, nothing: str) -> str:
    """Return the message if anything was done. Raises SessionError with ``nothing`` otherwise."""
    if not done:
        raise SessionError(nothing)
    return message


def handler(command: Callable[[], str]) -> Handler:
    """Make a service callback: success with the command's message, or failure with its error."""

    def handle(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            response.success, response.message = True, command()
        except Exception as error:  # out of memory, say: the caller is told, the node lives on
            response.success, response.message = False, error_text(error)
        return response

    return handle
