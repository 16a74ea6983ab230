"""How far a sink has come, kept in the store: moved on only from where the sink believes it stands."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, and_, select, update
from sqlalchemy.exc import IntegrityError

from fraudstream.errors import FencedError
from fraudstream.store.tables import sink_offsets

Place = tuple[str, int]
"""A topic and a partition."""


def next_offsets(connection: Connection, sink: str) -> dict[Place, int]:
    """The next offset to read of every partition that the sink has read from."""
    c = sink_offsets.c
    found = connection.execute(select(c.topic, c.partition, c.next_offset).where(c.sink == sink))
    return {(topic, partition): offset for topic, partition, offset in found}


def move_on(connection: Connection, sink: str, believed: Mapping[Place, int], next_: Mapping[Place, int]) -> None:
    """Moves offsets on in the connection's transaction, which must hold the rows of the records passed.

    Args:
        connection: The transaction.
        sink: The sink's name.
        believed: Where the sink believes it stands; partitions that are not named have not been read from.
        next_: Where it stands after this transaction.

    Raises:
        FencedError: It stands elsewhere: another process is the same sink. Nothing may be committed.
    """
    c = sink_offsets.c
    for place, offset in sorted(next_.items()):
        topic, partition = place
        if place in believed:
            here = and_(c.sink == sink, c.topic == topic, c.partition == partition, c.next_offset == believed[place])
            moved = connection.execute(update(sink_offsets).where(here).values(next_offset=offset)).rowcount == 1
        else:
            row = {"sink": sink, "topic": topic, "partition": partition, "next_offset": offset}
            try:
                connection.execute(sink_offsets.insert().values(row))
                moved = True
            except IntegrityError:
                moved = False
        if not moved:
            raise FencedError(
                f"Partition {partition} of {topic} was read further by another sink {sink} on the same store.",
                "One at a time may run: stop the other. Nothing was written twice.",
            )
