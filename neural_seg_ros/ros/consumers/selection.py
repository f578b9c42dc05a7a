"""The selection of classes that a consumer takes: ``all``, ``labelled``, or ids and names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.errors import ConfigError

ALL, LABELLED, UNLABELLED = "all", "labelled", "unlabelled"
WORDS = (ALL, LABELLED, UNLABELLED)
HELP = "all | labelled (all except unlabelled pixels) | a list, with commas, of ids, names and the word unlabelled"


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
        """Parse entries with commas between; spaces around them are ignored, no entry selects nothing."""
        return cls(frozenset(entry.strip() for entry in text.split(",") if entry.strip()), keep)

    def unknown(self, names: Mapping[int, str]) -> tuple[str, ...]:
        """List the entries that are neither an id, nor a word, nor a name in ``{id: name}``, sorted."""
        known = {*WORDS, *names.values()}
        return tuple(sorted(entry for entry in self.entries - known if not _is_id(entry)))

    def table(self, names: Mapping[int, str], unlabelled: int) -> NDArray[np.bool_]:
        """Return (unlabelled + 1,) bool: the class id is selected, with the class names ``{id: name}``."""
        listed = np.zeros(unlabelled + 1, np.bool_)
        if {ALL, LABELLED} & self.entries:
            listed[:unlabelled] = True
        listed[[id_ for id_ in self._ids(names) if id_ <= unlabelled]] = True
        listed[unlabelled] |= bool({ALL, UNLABELLED} & self.entries)
        return listed if self.keep else ~listed

    def named(self, names: Mapping[int, str], unlabelled: int) -> tuple[int, ...]:
        """List selected ids, ascending, that are known in advance: with a name, or among the entries."""
        table = self.table(names, unlabelled)
        return tuple(id_ for id_ in sorted({*names, *self._ids(names)}) if id_ < unlabelled and table[id_])

    def _ids(self, names: Mapping[int, str]) -> set[int]:
        """Return the entries that are not words."""
        listed = {int(entry) for entry in self.entries if _is_id(entry)}
        return listed | {id_ for id_, name in names.items() if name in self.entries}


def _is_id(entry: str) -> bool:
    return entry.isascii() and entry.isdecimal() and len(entry) <= 5


_MOST = 65534


def read_label_names(message: Any) -> dict[int, str]:
    """Read ``{id: name}`` of a ``vision_msgs/LabelInfo``, or of a ``std_msgs/String`` of JSON.

    Raises ConfigError.
    """
    if hasattr(message, "class_map"):
        return {int(entry.class_id): str(entry.class_name) for entry in message.class_map}
    try:
        told = json.loads(message.data)
        names = {int(key): value for key, value in told.items()}
        accepted = all(isinstance(name, str) and 0 <= id_ <= _MOST for id_, name in names.items())
    except (ValueError, AttributeError, RecursionError):
        accepted = False
    if not accepted:
        raise ConfigError(f'labels: got {message.data[:60]!r}, accepted: JSON such as {{"1": "cup"}}, ids 0 to {_MOST}')
    return names
