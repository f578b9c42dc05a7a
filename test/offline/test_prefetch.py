"""Items made in a second thread arrive in order, with their errors, and never too many of them wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from neural_seg_ros.offline.prefetch import prefetch


def test_order_and_thread() -> None:
    threads = set()

    def make() -> Iterator[int]:
        for number in range(50):
            threads.add(threading.current_thread())
            yield number

    assert list(prefetch(make)) == list(range(50))
    assert len(threads) == 1
    assert threading.current_thread() not in threads


def test_an_error_comes_after_the_items_before_it() -> None:
    def make() -> Iterator[int]:
        yield from (0, 1, 2)
        raise ValueError("the fourth")

    items = prefetch(make)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the fourth"):
        next(items)


def test_few_wait() -> None:
    made: list[int] = []

    def make() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    for number in prefetch(make, ahead=2):
        # Those that wait, one that is about to, and the one in hand.
        assert len(made) <= number + 1 + 2 + 1
    assert len(made) == 100


def test_closing_ends_the_thread_and_closes_the_iterator_there() -> None:
    closed: list[threading.Thread] = []
    before = threading.active_count()

    def make() -> Iterator[int]:
        try:
            yield from range(10**9)
        finally:
            closed.append(threading.current_thread())

    items = prefetch(make)
    assert next(items) == 0
    items.close()
    assert len(closed) == 1
    assert closed[0] is not threading.current_thread()
    assert threading.active_count() == before
