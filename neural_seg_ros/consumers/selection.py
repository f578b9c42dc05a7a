"""Which classes a consumer takes, in words: ``all``, ``labelled``, or ids and names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALL, LABELLED, UNLABELLED = "all", "labelled", "unlabelled"
WORDS = (ALL, LABELLED, UNLABELLED)
HELP = "all | labelled (all but unlabelled pixels) | ids, names and the word unlabelled, with commas in between"


@dataclass(frozen=True)
class Selection:
    """Some of all class ids, unlabelled ones among them.

    entries  ids, names, and ``WORDS``
    keep     whether those are selected, or all others
    """

    entries: frozenset[str]
    keep: bool = True

    @classmethod
    def parse(cls, text: str, keep: bool = True) -> Selection:
        """Of entries with commas in between; spaces around them do not count, and no entry selects nothing."""
        return cls(frozenset(entry.strip() for entry in text.split(",") if entry.strip()), keep)

    def unknown(self, names: Mapping[int, str]) -> tuple[str, ...]:
        """Entries that are neither an id, nor a word, nor a name in ``{id: name}``, sorted."""
        known = {*WORDS, *names.values()}
        return tuple(sorted(entry for entry in self.entries - known if not _is_id(entry)))

    def table(self, names: Mapping[int, str], unlabelled: int) -> NDArray[np.bool_]:
        """(unlabelled + 1,) bool: whether a class id is selected, where classes are called as in ``{id: name}``."""
        listed = np.zeros(unlabelled + 1, np.bool_)
        if {ALL, LABELLED} & self.entries:
            listed[:unlabelled] = True
        listed[[id_ for id_ in self._ids(names) if id_ <= unlabelled]] = True
        listed[unlabelled] |= bool({ALL, UNLABELLED} & self.entries)
        return listed if self.keep else ~listed

    def named(self, names: Mapping[int, str], unlabelled: int) -> tuple[int, ...]:
        """Selected ids, ascending, that are known beforehand: they have a name, or are among the entries."""
        table = self.table(names, unlabelled)
        return tuple(id_ for id_ in sorted({*names, *self._ids(names)}) if id_ < unlabelled and table[id_])

    def _ids(self, names: Mapping[int, str]) -> set[int]:
        """What the entries list, but for words."""
        listed = {int(entry) for entry in self.entries if _is_id(entry)}
        return listed | {id_ for id_, name in names.items() if name in self.entries}


def written(value: Any) -> Any:
    """The text of a selection given as one id, or as a list of ids or names; anything else as it is."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(entry) for entry in value)
    return value


def _is_id(entry: str) -> bool:
    return entry.isascii() and entry.isdecimal() and len(entry) <= 5
