"""Items made in a second thread, a few ahead of who takes them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import TypeVar

T = TypeVar("T")
AHEAD = 4


class _Last:
    """The end of the items, by itself or by an error."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def prefetch(make: Callable[[], Iterator[T]], ahead: int = AHEAD) -> Generator[T, None, None]:
    """Yield the items of ``make()``, in order, with at most ``ahead`` of them waiting.

    All of the iterator runs in one other thread. What it raises is raised here, after the items before it. When this
    generator is closed, so is the iterator, in its own thread.
    """
    items: queue.Queue[T | _Last] = queue.Queue(ahead)
    closing = threading.Event()

    def put(item: T | _Last) -> None:
        while not closing.is_set():
            try:
                items.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def work() -> None:
        error = None
        source = make()
        try:
            while not closing.is_set():
                put(next(source))
        except StopIteration:
            pass
        except BaseException as raised:  # handed over whatever it is
            error = raised
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()
            put(_Last(error))

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item = items.get()
            if isinstance(item, _Last):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        closing.set()
        thread.join()
