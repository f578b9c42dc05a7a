"""What a service answers: the outcome of a command of the live session."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TypeVar

from std_srvs.srv import Trigger

from neural_seg_ros.errors import SessionError
from neural_seg_ros.ros.errors import error_text

T = TypeVar("T")

_ANSWER_SECONDS = 30.0


def answer(future: Future[T]) -> T:
    """What the worker answers. Raises the error it met, SessionError when it is busy."""
    try:
        return future.result(_ANSWER_SECONDS)
    except FutureTimeoutError:
        outcome = "the request was taken back" if future.cancel() else "the request is being executed and goes on"
        raise SessionError(f"session: busy, no answer within {_ANSWER_SECONDS:g} s; {outcome}") from None


def said(_: object, message: str) -> str:
    """The message, once the command was executed."""
    return message


def taken(done: bool, message: str, nothing: str) -> str:
    """The message if anything was done. Raises SessionError with ``nothing`` otherwise."""
    if not done:
        raise SessionError(nothing)
    return message


def handler(command: Callable[[], str]) -> Callable[[Trigger.Request, Trigger.Response], Trigger.Response]:
    """A service callback: success with the command's message, or failure with its error."""

    def handle(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            response.success, response.message = True, command()
        except Exception as error:  # out of memory, say: the caller is told, the node lives on
            response.success, response.message = False, error_text(error)
        return response

    return handle
