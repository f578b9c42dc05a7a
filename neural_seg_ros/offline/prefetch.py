"""Items made in a second thread, a few ahead of the consumer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import TypeVar

T = TypeVar("T")
MAX_AHEAD = 4


class _Last:
    """The end of the items, by itself or by an error."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def prefetch(make: Callable[[], Iterator[T]], ahead: int = MAX_AHEAD) -> Generator[T, None, None]:
    """Yield the items of ``make()``, in order, with at most ``ahead`` of them waiting.

    The iterator runs in one other thread. Its errors are raised here, after the items before them. Closing this
    generator also closes the iterator, in the iterator's thread.
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
        except BaseException as raised:  # any error is raised again in the thread of the consumer
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
