"""Messages of several topics, matched by equal stamps.

``message_filters`` cannot replace it: a frame may be answered again under its old stamp, the memory of waiting messages
is bounded, and stamps without a match are reported."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

# Python's own share of a message, so that many small ones are bounded too.
_OVERHEAD_BYTES = 4096
# Time for which a new message of the lead topic waits for new ones of the others.
_GRACE_SECONDS = 0.25


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
              first of them leads, and there is no match without a new message of it. If a new message of another one is
              lost, ``match_overdue`` matches its last one a moment later.
    reusable  topics whose message serves every match of its stamp
    seconds   time after which a stamp expires, from its first message or its last one of ``once``
    capacity  most bytes of waiting messages; beyond it the oldest expire

    Stamps are compared for equality only, so that a clock that is set back does no harm. ``now`` is in seconds of any
    steady clock.
    """

    def __init__(self, once: Sequence[str], reusable: Sequence[str], seconds: float, capacity: int) -> None:
        self.seconds = seconds
        self.capacity = capacity
        self._once, self._topics = tuple(once), (*once, *reusable)
        self._lead = self._once[0]
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()
        self._bytes = 0

    def put(self, topic: str, stamp: int, message: Any, size: int, now: float) -> dict[str, Any] | None:
        """Add a message of ``size`` bytes; return the messages by topic if they match now, else None.

        A second message of a topic and stamp replaces the first.
        """
        entry = self._waiting.setdefault(stamp, _Waiting(now))
        self._bytes += size + _OVERHEAD_BYTES - entry.sizes.get(topic, 0)
        entry.messages[topic], entry.sizes[topic] = message, size + _OVERHEAD_BYTES
        entry.used.discard(topic)
        if topic in self._once:
            entry.since = now
            self._waiting.move_to_end(stamp)
        return self._match(entry) if len(entry.messages) == len(self._topics) and not entry.used else None

    def match_overdue(self, now: float) -> list[dict[str, Any]]:
        """Return matches of new lead messages with messages of the other topics that matched before."""
        found = []
        for entry in self._waiting.values():
            if len(entry.messages) == len(self._topics) and now - entry.since > _GRACE_SECONDS:
                found.append(self._match(entry))
        return found

    def _match(self, entry: _Waiting) -> dict[str, Any]:
        match = dict(entry.messages)
        del entry.messages[self._lead]
        self._bytes -= entry.sizes.pop(self._lead)
        entry.used.update(self._once[1:])
        entry.was_matched = True
        return match

    def expire(self, now: float) -> list[Unmatched]:
        """Drop messages that are too old or too many; return the stamps of unmatched ``once`` messages among them."""
        expired = []
        while self._waiting:
            stamp, entry = next(iter(self._waiting.items()))
            if now - entry.since <= self.seconds and self._bytes <= self.capacity:
                break
            del self._waiting[stamp]
            self._bytes -= sum(entry.sizes.values())
            came = tuple(topic for topic in self._topics if topic in entry.messages)
            if self._lead in came or (set(came) & set(self._once) and not entry.was_matched):
                missing = tuple(topic for topic in self._topics if topic not in entry.messages)
                expired.append(Unmatched(stamp, came, missing))
        return expired

    def clear(self) -> None:
        """Drop all waiting messages."""
        self._waiting.clear()
        self._bytes = 0

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the waiting messages, with Python's own share."""
        return self._bytes
