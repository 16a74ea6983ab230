"""What tests of the sinks share: decided records, stores with tables, and what is in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sqlalchemy import Table, select

from fraudstream.pipelines import find_plan
from fraudstream.settings import Settings
from fraudstream.sinks.store import StoreTarget
from fraudstream.store.engine import Store, connect
from fraudstream.store.migrate import upgrade


def made(settings: Settings) -> Store:
    """A store with its tables."""
    store = connect(settings)
    upgrade(store)
    return store


def rows(store: Store, table: Table, *order: Any) -> list[dict[str, Any]]:
    """Every row of a table."""
    with store.begin(read_only=True) as connection:
        return [dict(row) for row in connection.execute(select(table).order_by(*order)).mappings()]


def decided(count: int, topic: str) -> list[bytes]:
    """Records as a scorer writes them, quickly."""
    return [
        json.dumps(
            {
                "event": {"id": f"e{n}", "card": f"c{n % 50}", "amount": 12.34},
                "decision": {
                    "event_id": f"e{n}", "input": {"topic": topic, "partition": n % 3, "offset": n // 3}, "sequence": n,
                    "outcome": "approve", "score": 0.1, "model_score": None, "risk_level": "LOW", "threshold": 0.6,
                    "reasons": [], "rules": [], "features": {"card_count": n}, "versions": {"pipeline": "1"},
                    "flags": [], "duplicate_of": None, "event_at": 1_767_225_600_000 + n,
                    "decided_at": 1_767_225_600_000 + 10_000 * n,
                },
            }
        ).encode()
        for n in range(count)
    ]  # fmt: skip


def target_of(bench_file: Path, store: Store) -> StoreTarget:
    target = StoreTarget(store, find_plan(bench_file))
    target.positions()
    return target
