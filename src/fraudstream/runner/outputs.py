"""What a portion leaves behind: records for every route, and dead letters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from fraudstream import failpoints
from fraudstream.define.pipeline import Format, Selection
from fraudstream.engine.column import Int64s
from fraudstream.engine.deadletter import LARGEST_VALUE, dead_letter
from fraudstream.engine.decision_wire import DecisionRecords
from fraudstream.engine.decisions import Decisions
from fraudstream.engine.encode import Encoder, keys_of
from fraudstream.kafka.headers import Headers
from fraudstream.plan.plan import Plan
from fraudstream.runner.intake import Rejected
from fraudstream.tokens.held import held_keys

Coordinates = tuple[str, int, int]
"""Topic, partition and offset of an input record."""
_NONE: Mapping[Coordinates, Headers] = MappingProxyType({})


@dataclass(slots=True)
class Records:
    """Records for one topic."""

    topic: str
    values: list[bytes]
    keys: list[bytes | None] = field(default_factory=list)
    headers: dict[int, Headers] = field(default_factory=dict)
    """Of records that have some, by their place."""


class Outputs:
    """Writes decisions as the routes of a plan want them.

    Args:
        plan: The plan.
        schema_ids: By topic, the schema of each route that is not JSON.
    """

    def __init__(self, plan: Plan, schema_ids: Mapping[str, int] = MappingProxyType({})) -> None:
        self._pipeline = plan.pipeline
        self._encoder = Encoder(plan)
        self._records = {
            route.topic: DecisionRecords(plan, route.format, schema_ids[route.topic])
            for route in plan.pipeline.routes
            if route.format is not Format.JSON
        }
        self._keys = held_keys() if plan.pipeline.event.sensitive else None

    def of(
        self,
        decisions: Decisions,
        rejected: list[Rejected],
        headers: Mapping[Coordinates, Headers] = MappingProxyType({}),
    ) -> list[Records]:
        """The records of a portion, topic by topic; `headers` are those that records written of these inputs carry."""
        failpoints.hit("after-state")
        records = []
        for route in self._pipeline.routes:
            rows = _rows(route.carries, decisions)
            if len(rows):
                written = self._records.get(route.topic)
                if written is None:
                    values, keys = self._encoder.encode(route.form, decisions, rows)
                else:
                    values, keys = written(decisions, rows), keys_of(decisions, rows)
                records.append(Records(route.topic, values, keys, _headers_of(decisions, rows, headers)))
        if rejected:
            letters = [
                dead_letter(
                    each.reject,
                    each.topic,
                    each.partition,
                    each.offset,
                    each.timestamp_ms,
                    each.key,
                    each.value,
                    self._pipeline.name,
                    self._keys,
                )
                for each in rejected
            ]
            places = [(each.topic, each.partition, each.offset) for each in rejected] if headers else []
            own = {row: headers[place] for row, place in enumerate(places) if place in headers}
            keys_of_letters = [self._key_of(each) for each in rejected]
            records.append(Records(self._pipeline.dead_letters.name, letters, keys_of_letters, own))
        return records

    def _key_of(self, rejected: Rejected) -> bytes | None:
        """The key of a dead letter: none that is too long to be sent, or may be sensitive."""
        key = rejected.key
        return None if self._keys is not None or key is None or len(key) > LARGEST_VALUE else key


def _rows(carries: Selection, decisions: Decisions) -> Int64s:
    """int64[m], the rows a route carries."""
    if carries is Selection.ALL:
        return np.arange(len(decisions.batch), dtype=np.int64)
    if carries is Selection.APPROVED:
        return np.flatnonzero(decisions.outcome == 0)
    return decisions.alerts


def _headers_of(decisions: Decisions, rows: Int64s, headers: Mapping[Coordinates, Headers]) -> dict[int, Headers]:
    """The headers of records written of these rows, by their place among them."""
    if not headers:
        return {}
    batch = decisions.batch
    places = zip(batch.partition[rows].tolist(), batch.offset[rows].tolist(), strict=True)
    found = ((row, headers.get((batch.topic, *place))) for row, place in enumerate(places))
    return {row: own for row, own in found if own is not None}
