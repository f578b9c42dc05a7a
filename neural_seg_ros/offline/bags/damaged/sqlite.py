"""Reader of SQLite3 bags that SQLite calls malformed, such as truncated ones, up to the damage."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag2.metadata import ReaderMetadata
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Reader

_FORMATS = {"ros2msg": MessageDefinitionFormat.MSG, "ros2idl": MessageDefinitionFormat.IDL}
_NO_DEFINITION = MessageDefinition(MessageDefinitionFormat.NONE, "")


class DamagedSqlite(Sqlite3Reader):
    """A storage of rosbags that counts and reads what can be reached before the damage."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._path = path

    def open(self) -> None:
        """Open the file and count its messages. Raises sqlite3.Error where not even its topics can be read."""
        self.dbconn = sqlite3.connect(f"{self._path.resolve().as_uri()}?immutable=1", uri=True)
        # SQLite then opens files that are shorter than their header says.
        self.dbconn.execute("PRAGMA writable_schema=ON")
        counts: Counter[int] = Counter()
        first, last = 2**63 - 1, 0
        # A page that was written by half may hold rows of zeros or nulls.
        rows = "SELECT topic_id, timestamp FROM messages WHERE typeof(topic_id) = typeof(timestamp)"
        for topic, timestamp in self._until_damage(f"{rows} AND typeof(timestamp) = 'integer'"):
            counts[topic] += 1
            first, last = min(first, timestamp), max(last, timestamp + 1)
        definitions = self._definitions()
        query = "SELECT id, name, type, serialization_format FROM topics ORDER BY id"
        self.connections = [
            Connection(
                number,
                name,
                kind,
                definitions.get(kind, _NO_DEFINITION),
                "",
                counts[number],
                ConnectionExtRosbag2(serialization, []),
                self,
            )
            for number, name, kind, serialization in self.dbconn.execute(query)
        ]
        self.metadata = ReaderMetadata(max(0, last - first), first, last, counts.total(), None, None, None, None)

    def _definitions(self) -> dict[str, MessageDefinition]:
        query = "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
        return {
            name: MessageDefinition(_FORMATS[encoding], text)
            for name, encoding, text in self._until_damage(query)
            if encoding in _FORMATS
        }

    def _until_damage(self, query: str) -> Iterator[Any]:
        """Yield the rows before an error; none where the table is missing, as in older bags."""
        assert self.dbconn is not None
        with suppress(sqlite3.Error):
            yield from self.dbconn.execute(query)
