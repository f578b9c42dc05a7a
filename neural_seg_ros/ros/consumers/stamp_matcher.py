"""Messages of several topics that belong together: those with the very same stamp, and no others."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

# Python's own share of a message, so that many small ones are bounded too.
_OVERHEAD = 4096
# How long a message that leads waits for others that are new too, in seconds.
_GRACE = 0.25


@dataclass(frozen=True)
class Unmatched:
    """A stamp that expired unmatched: topics that had a message, and topics that had none."""

    stamp: int
    came: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass
class _Waiting:
    since: float
    messages: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    was_matched: bool = False


class StampMatcher:
    """A matcher of one message of every topic by exact stamp.

    once      topics with a new message for every match: a second mask of a frame comes with a second confidence. The
              first of them leads: without a new message of it there is no match, and where one of the others was lost
              on the way it is matched with the one before, a moment later (``overdue``)
    kept      topics whose message serves every match of its stamp
    seconds   a stamp is given up so long after its first message, or its last one of ``once``
    capacity  bytes of messages that wait, at most; the oldest are given up

    Stamps count for nothing but equality, so that a clock that is set back does no harm. Time is given with each call,
    in seconds of any steady clock.
    """

    def __init__(self, once: Sequence[str], kept: Sequence[str], seconds: float, capacity: int) -> None:
        self.seconds = seconds
        self.capacity = capacity
        self._once, self._topics = tuple(once), (*once, *kept)
        self._lead = self._once[0]
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()
        self._bytes = 0

    def put(self, topic: str, stamp: int, message: Any, size: int, now: float) -> dict[str, Any] | None:
        """Add a message of ``size`` bytes; the messages by topic where that makes a match, else None.

        A second message of a topic and stamp takes the place of the first.
        """
        entry = self._waiting.setdefault(stamp, _Waiting(now))
        self._bytes += size + _OVERHEAD - entry.sizes.get(topic, 0)
        entry.messages[topic], entry.sizes[topic] = message, size + _OVERHEAD
        entry.used.discard(topic)
        if topic in self._once:
            entry.since = now
            self._waiting.move_to_end(stamp)
        return self._match(entry) if len(entry.messages) == len(self._topics) and not entry.used else None

    def overdue(self, now: float) -> list[dict[str, Any]]:
        """Return matches of new messages with others that matched before, as no new ones came."""
        found = []
        for entry in self._waiting.values():
            if len(entry.messages) == len(self._topics) and now - entry.since > _GRACE:
                found.append(self._match(entry))
        return found

    def _match(self, entry: _Waiting) -> dict[str, Any]:
        match = dict(entry.messages)
        del entry.messages[self._lead]
        self._bytes -= entry.sizes.pop(self._lead)
        entry.used.update(self._once[1:])
        entry.was_matched = True
        return match

    def give_up(self, now: float) -> list[Unmatched]:
        """Drop messages that are too old or too many; return the stamps of unmatched ``once`` messages among them."""
        given_up = []
        while self._waiting:
            stamp, entry = next(iter(self._waiting.items()))
            if now - entry.since <= self.seconds and self._bytes <= self.capacity:
                break
            del self._waiting[stamp]
            self._bytes -= sum(entry.sizes.values())
            came = tuple(topic for topic in self._topics if topic in entry.messages)
            if self._lead in came or (set(came) & set(self._once) and not entry.was_matched):
                missing = tuple(topic for topic in self._topics if topic not in entry.messages)
                given_up.append(Unmatched(stamp, came, missing))
        return given_up

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        self._bytes = 0

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the messages that wait, Python's own share included."""
        return self._bytes
