"""What each row must have computed, by a plain loop over the events, and whether its output says so."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime
from typing import Any

from bench.peers.field import Field, events
from fraudstream.kafka.tail import TopicTail

CHECKED = 20_000
NAMES = ("count_1h", "sum_1h", "count_1d", "sum_1d", "terminal_count_1d", "flagged")
_HOUR_S, _DAY_S = 3_600, 86_400

Values = tuple[Any, ...]


def expected(field: Field, count: int = CHECKED) -> dict[int, Values]:
    """Event id → the common features and the rule, for the first so many events."""
    customers: dict[int, list[tuple[float, float]]] = defaultdict(list)
    terminals: dict[int, list[float]] = defaultdict(list)
    found: dict[int, Values] = {}
    for _, values in events(field.history, 0, count):
        for value in values:
            event = json.loads(value)
            now_s, amount = datetime.fromisoformat(event["TX_DATETIME"]).timestamp(), event["TX_AMOUNT"]
            mine, theirs = customers[event["CUSTOMER_ID"]], terminals[event["TERMINAL_ID"]]
            mine.append((now_s, amount))
            theirs.append(now_s)
            day = [paid for at, paid in mine if at > now_s - _DAY_S]
            hour = [paid for at, paid in mine if at > now_s - _HOUR_S]
            found[event["TRANSACTION_ID"]] = (
                *(len(hour), round(sum(hour), 2), len(day), round(sum(day), 2)),
                *(sum(at > now_s - _DAY_S for at in theirs), amount > 220),
            )
    return found


def agreement(field: Field, topic: str, wanted: dict[int, Values]) -> dict[str, float]:
    """How much of a row's output is right: the share of events found, and by value the share right."""
    tail = TopicTail(field.settings, [topic], from_beginning=True)
    right = dict.fromkeys(NAMES, 0)
    seen = 0
    try:
        for record in tail.to_end():
            number, values = _read(record.value or b"")
            if number not in wanted:
                continue
            seen += 1
            for name, mine, theirs in zip(NAMES, values, wanted[number], strict=True):
                right[name] += abs(mine - theirs) < 0.005
            if seen == len(wanted):
                break
    finally:
        tail.close()
    return {"found": seen / len(wanted), **{name: count / max(1, seen) for name, count in right.items()}}


def _read(value: bytes) -> tuple[int, Values]:
    """Id and values of an output record, ours or a peer's."""
    record = json.loads(value)
    if "decision" not in record:
        return record["TRANSACTION_ID"], tuple(record[name] for name in NAMES)
    decision = record["decision"]
    features = decision["features"]
    return decision["event_id"], (*(features[name] for name in NAMES[:-1]), bool(decision["rules"]))
