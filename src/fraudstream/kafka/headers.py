"""Headers of records: `produce_batch` drops them, so a record that has some is sent by itself, in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping

Headers = list[tuple[str, bytes]]


def in_order(
    count: int, headers: Mapping[int, Headers], many: Callable[[slice], None], one: Callable[[int, Headers], None]
) -> None:
    """Sends records in their order: those without headers in batches, the others one by one.

    Args:
        count: How many records there are.
        headers: Of those that have some, by their place.
        many: Sends records without headers.
        one: Sends one with its headers.
    """
    sent = 0
    for place in sorted(headers):
        if place > sent:
            many(slice(sent, place))
        one(place, headers[place])
        sent = place + 1
    if sent < count:
        many(slice(sent, count))
