"""The sink into the lake: raw events, decisions and suspicious decisions as Delta tables, each record once in effect.

Each table is committed for itself, with the offsets of its topics; so after a kill between two commits one is ahead of
the other. Reading goes on from the one that is behind, and what the other has already is not added to it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import polars as pl
from msgspec import Raw

from fraudstream.engine.decode import Decoder
from fraudstream.errors import FraudstreamError, LakeError, LakeUnreachable
from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.decoding import AsJson
from fraudstream.kafka.tail import Place, Record
from fraudstream.plan.plan import Plan
from fraudstream.settings import Settings
from fraudstream.sinks.events import json_text
from fraudstream.sinks.lake_table import DAY, LakeTable
from fraudstream.sinks.loop import Pace, next_offsets
from fraudstream.sinks.records import Parser, decision_routes, parsers
from fraudstream.store.instant import Instant
from fraudstream.store.tables import decisions
from fraudstream.telemetry.series import Series, counter
from fraudstream.units import MILLISECONDS, parse_duration

PACE = Pace(records=50_000, wait_s=10.0)

_EPOCH = datetime.fromtimestamp(0, UTC)
_INSTANT = pl.Datetime("ms", "UTC")
_EVENTS = {
    "topic": pl.String, "partition": pl.Int32, "offset": pl.Int64, "timestamp": _INSTANT, "key": pl.String,
    "event": pl.String, DAY: pl.String,
}  # fmt: skip
_DECIDED_AT = decisions.columns.keys().index("decided_at")
_EVENT_AT = decisions.columns.keys().index("event_at")
_AMOUNT = decisions.columns.keys().index("amount")
_OUTCOME = decisions.columns.keys().index("outcome")


class LakeTarget:
    """The lake as the target of one pipeline's records.

    Args:
        settings: Which Kafka, and where the lake is.
        plan: The pipeline; it says how long rows are kept.

    Raises:
        LakeError: `lake_url` is neither a folder nor a bucket of S3.

    Attributes:
        tables: By name: `events`, `decisions`, `suspicious`.
        rows: How many rows were written, by table.
    """

    unavailable: tuple[type[FraudstreamError], ...] = (LakeUnreachable,)

    def __init__(self, settings: Settings, plan: Plan) -> None:
        pipeline, keep = plan.pipeline, plan.pipeline.retention
        self._settings = settings
        self._input = pipeline.input.name
        every = parsers(pipeline)
        self._parsers: dict[str, Parser] = {route.topic: every[route.topic] for route in decision_routes(pipeline)}
        self._as_json = AsJson(pipeline, settings)
        self._tokenising = Decoder(pipeline.event) if pipeline.event.sensitive else None
        self._key = pipeline.event.key
        amount = pipeline.event.field(pipeline.event.amount or "")
        decided = _decision_columns(2 if amount is None else amount.scale)
        base = f"{_url(settings)}/{pipeline.name}"
        self.tables = {
            "events": LakeTable(f"{base}/events", _EVENTS, _days(keep.events)),
            "decisions": LakeTable(f"{base}/decisions", decided, _days(keep.decisions)),
            "suspicious": LakeTable(f"{base}/suspicious", decided, _days(keep.suspicious)),
        }
        self.rows = dict.fromkeys(self.tables, 0)

    @property
    def topics(self) -> list[str]:
        """The topics to read."""
        return [self._input, *self._parsers]

    def positions(self) -> Mapping[Place, int]:
        """Where the table stands that is furthest behind.

        Raises:
            LakeUnreachable: The lake does not answer.
        """
        partitions = KafkaAdmin(self._settings).partitions_of(self.topics)
        places = [(place.topic, place.partition) for place in partitions]
        stand: dict[Place, int] = {}
        for name, table in self.tables.items():
            table.open([place for place in places if self._belongs(name, place[0])])
        for place in places:
            of = [table.positions.get(place) for name, table in self.tables.items() if self._belongs(name, place[0])]
            known = [offset for offset in of if offset is not None]
            if known and len(known) == len(of):
                stand[place] = min(known)
        return stand

    def write(self, records: Sequence[Record]) -> None:
        """Adds the records to each table that does not have them yet.

        Raises:
            LakeUnreachable: It went away; what took effect, `positions` tells.
            FencedError: Another process is the same sink.
        """
        rows: dict[str, list[Sequence[Any]]] = {name: [] for name in self.tables}
        events = [record for record in records if record.topic == self._input]
        for record, event, key in zip(events, *self._events(events), strict=True):
            at_ms = max(record.timestamp_ms, 0)
            came = (record.topic, record.partition, record.offset, _instant(at_ms), key, event, _day(at_ms))
            self._add(rows, "events", record, came)
        for record in records:
            if record.topic == self._input:
                continue
            name, row = self._parsers[record.topic](*record[:3], record.key, record.value or b"")
            if name == "decisions":
                decided = _decision_row(row)
                self._add(rows, "decisions", record, decided)
                if row[_OUTCOME] != "approve":
                    self._add(rows, "suspicious", record, decided)
        after = next_offsets(records)
        for name, table in self.tables.items():
            new = {
                place: offset
                for place, offset in after.items()
                if self._belongs(name, place[0]) and offset > table.positions.get(place, 0)
            }
            if new:
                table.append(rows[name], new)
                self.rows[name] += len(rows[name])

    def tidy(self) -> None:
        """Compacts every table that was opened, and deletes what was kept long enough.

        Raises:
            LakeUnreachable: The lake does not answer.
        """
        for table in self.tables.values():
            if table.is_open:
                table.tidy()

    def series(self) -> Iterable[Series]:
        """How many rows were written, by table."""
        yield counter("sink_rows_total", "Rows written.", self.rows, "table")

    def _belongs(self, name: str, topic: str) -> bool:
        return (topic == self._input) == (name == "events")

    def _add(self, rows: dict[str, list[Sequence[Any]]], name: str, record: Record, row: Sequence[Any]) -> None:
        if record.offset >= self.tables[name].positions.get((record.topic, record.partition), 0):
            rows[name].append(row)

    def _events(self, records: Sequence[Record]) -> tuple[list[str | None], list[str | None]]:
        """The events as JSON, and their keys.

        An event is null where the record is no JSON object (a dead letter tells). Where fields are sensitive it has
        their tokens, so it is null where the record is no event: nobody knows what else stands in it.
        """
        values = self._as_json([record.value or b"" for record in records])
        if self._tokenising is None:
            keys = [None if record.key is None else record.key.decode("utf-8", "replace") for record in records]
            return [_object(value) for value in values], keys
        times = np.array([record.timestamp_ms for record in records], np.int64)
        decoded = self._tokenising.decode([*values], times)
        texts = [
            json_text(Raw(text or b"")) or None for text in decoded.texts(decoded.start, decoded.length, decoded.ok)
        ]
        key = None if self._key is None else decoded.columns[self._key]
        if key is None:
            return texts, [None] * len(records)
        there = decoded.ok if key.valid is None else decoded.ok & key.valid
        if key.start is None or key.length is None:
            return texts, [str(value) if is_there else None for value, is_there in zip(key.values, there, strict=True)]
        return texts, [None if each is None else each.decode() for each in decoded.texts(key.start, key.length, there)]


def _url(settings: Settings) -> str:
    url = settings.lake_url or str(settings.project_folder / "lake")
    scheme, mark, _ = url.partition("://")
    if mark and scheme != "s3":
        raise LakeError(
            f"lake_url (from {settings.origin('lake_url')}) begins with {scheme}://.",
            "Allowed are a folder and s3://BUCKET/PREFIX.",
        )
    return url.rstrip("/")


def _object(value: bytes) -> str | None:
    try:
        msgspec.json.decode(value, type=dict[str, Raw])
        return json_text(Raw(value))
    except (ValueError, RecursionError):
        return None


def _decision_columns(scale: int) -> dict[str, Any]:
    """The columns of the store's decisions, as the lake has them; JSON is text."""
    kinds: dict[str, Any] = {"TEXT": pl.String, "JSON": pl.String, "INTEGER": pl.Int32, "BIGINT": pl.Int64}
    found: dict[str, Any] = {}
    for column in decisions.columns:
        is_instant = isinstance(column.type, Instant)
        found[column.name] = _INSTANT if is_instant else kinds.get(str(column.type), pl.Float64)
    return found | {"amount": pl.Decimal(38, scale), DAY: pl.String}


def _decision_row(row: Sequence[Any]) -> list[Any]:
    decided = list(row)
    decided[_AMOUNT] = None if row[_AMOUNT] is None else Decimal(row[_AMOUNT])
    for place in (_EVENT_AT, _DECIDED_AT):
        decided[place] = None if row[place] is None else _instant(row[place])
    return [*decided, _day(row[_DECIDED_AT])]


def _days(keep: str | None) -> int | None:
    return None if keep is None else parse_duration(keep) // MILLISECONDS["d"]


def _instant(epoch_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=epoch_ms)


def _day(epoch_ms: int) -> str:
    return str(_EPOCH + timedelta(days=epoch_ms // 86_400_000))[:10]
