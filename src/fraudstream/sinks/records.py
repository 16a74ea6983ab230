"""What the records of a pipeline's output topics say, as rows of the store."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta, Raw

from fraudstream.define.pipeline import Form, Pipeline, Route, Selection
from fraudstream.engine.deadletter import NOTE
from fraudstream.engine.decode_values import parse_iso
from fraudstream.engine.event_ids import EventIds
from fraudstream.errors import UsageError
from fraudstream.sinks.events import EventReader, json_text
from fraudstream.store.bulk import LAST_MS, Row

UNREADABLE = "unreadable"
"""The class of a record on an output topic that no scorer wrote."""

_Partition = Annotated[int, Meta(ge=0, lt=2**31)]
_Long = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Instant = Annotated[int, Meta(ge=0, le=LAST_MS)]


class _Place(msgspec.Struct, frozen=True):
    topic: str
    partition: _Partition
    offset: _Long


class _Decision(msgspec.Struct, frozen=True):
    input: _Place
    event_id: str | int
    sequence: _Long
    outcome: Literal["approve", "review", "block"]
    score: float | None
    model_score: float | None
    risk_level: str
    threshold: float
    reasons: Raw
    rules: Raw
    features: Raw
    versions: Raw
    flags: Raw
    duplicate_of: Raw
    event_at: _Instant
    decided_at: _Instant
    explanation: Raw = Raw(b"null")


class _Envelope(msgspec.Struct, frozen=True):
    event: Raw
    decision: _Decision


class _Flat(msgspec.Struct, frozen=True):
    fraud_score: float | None
    risk_level: str
    threshold: float
    scored_at: str
    decision_id: str
    outcome: Literal["approve", "review", "block"]
    reasons: Raw
    scoring_latency_ms: int | None = None


class _Alert(msgspec.Struct, frozen=True):
    input: _Place
    transaction_id: str | int | None
    key: Any
    amount: Decimal | None
    score: float | None
    risk_level: str
    reasons: Raw
    rules: Raw
    features: Raw
    versions: Raw
    event_at: str
    alert_at: str
    action_required: Literal["REVIEW", "BLOCK"]
    explanation: Raw = Raw(b"null")


class _Label(msgspec.Struct, frozen=True):
    event_id: str | int
    label: Literal["fraud", "legitimate"]
    labelled_at: Annotated[int, Meta(ge=0, lt=2**53)]


class _DeadLetter(msgspec.Struct, frozen=True, rename={"kind": "class"}):
    kind: str
    reason: str
    pipeline: str
    input: _Place
    kafka_timestamp: int
    value_length: _Long | None
    value_sha256: str | None = None


class Parsed(NamedTuple):
    """A record as a row.

    Attributes:
        table: The row's table; None where the record is another pipeline's, or a label that the scorer refused.
        row: The row's values, in the order of the table's columns.
    """

    table: str | None
    row: Row = ()


Parser = Callable[[str, int, int, bytes | None, bytes], Parsed]
"""From topic, partition, offset, key and value of a record."""


def parsers(pipeline: Pipeline) -> dict[str, Parser]:
    """By topic, what reads the records of the pipeline's outputs and labels.

    Raises:
        UsageError: No routes carry every decision.
    """
    found: dict[str, Parser] = {pipeline.dead_letters.name: _guarded(pipeline, _dead_letter(pipeline))}
    if pipeline.labels is not None:
        found[pipeline.labels.name] = _label(pipeline)
    for route in decision_routes(pipeline):
        read = _envelope(pipeline) if route.form is Form.ENVELOPE else _flat(pipeline)
        found[route.topic] = _guarded(pipeline, read)
    for route in pipeline.json_routes:
        if route.form is Form.ALERT and route.carries is Selection.FLAGGED:
            found[route.topic] = _guarded(pipeline, _alert(pipeline))
    return found


def decision_routes(pipeline: Pipeline) -> list[Route]:
    """The routes that together carry every decision once: one of `all`, the fuller form first; else two parts.

    Raises:
        UsageError: There are none.
    """
    routes = [route for form in (Form.ENVELOPE, Form.FLAT) for route in pipeline.json_routes if route.form is form]
    of = {selection: [r for r in routes if r.carries is selection] for selection in Selection}
    if of[Selection.ALL]:
        return of[Selection.ALL][:1]
    if of[Selection.APPROVED] and of[Selection.FLAGGED]:
        return [of[Selection.APPROVED][0], of[Selection.FLAGGED][0]]
    raise UsageError(
        f"The pipeline {pipeline.name} has no routes that carry all its decisions.",
        "Add one to its `routes`: {topic: fraud-scores, carries: all, form: envelope}.",
    )


def _guarded(pipeline: Pipeline, read: Parser) -> Parser:
    """A record that the reader cannot read becomes a row of the dead letters, so that nothing is passed over."""

    def guarded(topic: str, partition: int, offset: int, key: bytes | None, value: bytes) -> Parsed:
        try:
            return read(topic, partition, offset, key, value)
        except (ValueError, TypeError, KeyError, RecursionError) as wrong:  # msgspec's errors are ValueErrors
            reason = f"no scorer wrote this record of {topic}: {str(wrong)[:200]}"
            nothing = (None,) * 3
            row = (pipeline.name, topic, partition, offset, *nothing, UNREADABLE, reason, None, len(value), None)
            return Parsed("dead_letters", row)

    return guarded


def _envelope(pipeline: Pipeline) -> Parser:
    decode = msgspec.json.Decoder(_Envelope).decode
    event_of = EventReader(pipeline.event)
    name, input_topic = pipeline.name, pipeline.input.name

    def read(topic: str, partition: int, offset: int, key: bytes | None, value: bytes) -> Parsed:
        envelope = decode(value)
        d = envelope.decision
        place = d.input
        if place.topic != input_topic:
            return Parsed(None)
        event, key_ = envelope.event, _key(key)
        return Parsed(
            "decisions",
            (
                name, place.topic, place.partition, place.offset, d.sequence, str(d.event_id),
                key_, event_of.amount(event), d.outcome, d.score, d.model_score, d.risk_level, d.threshold,
                _text(d.reasons), _text(d.rules), _text(d.explanation), _text(d.features), _text(d.versions),
                _text(d.flags), _text(d.duplicate_of), json_text(event), d.event_at, d.decided_at,
            ),
        )  # fmt: skip

    return read


def _flat(pipeline: Pipeline) -> Parser:
    decode = msgspec.json.Decoder(_Flat).decode
    event_of = EventReader(pipeline.event)
    name, input_topic = pipeline.name, pipeline.input.name

    def read(topic: str, partition: int, offset: int, key: bytes | None, value: bytes) -> Parsed:
        flat = decode(value)
        place = _coordinates(flat.decision_id)
        if place.topic != input_topic:
            return Parsed(None)
        event = Raw(value)
        decided_at = _parsed(flat.scored_at)
        event_at = event_of.at_ms(event)
        if pipeline.event.time is None and flat.scoring_latency_ms is not None:
            event_at = decided_at - flat.scoring_latency_ms  # Kafka's timestamp of the input is the event's time
        event_id = event_of.id(event) or flat.decision_id
        key_, amount, nothing = _key(key), event_of.amount(event), (None,) * 6
        return Parsed(
            "decisions",
            (
                name, place.topic, place.partition, place.offset, None, event_id, key_, amount, flat.outcome,
                flat.fraud_score, None, flat.risk_level, flat.threshold, _text(flat.reasons), *nothing,
                json_text(event), event_at, decided_at,
            ),
        )  # fmt: skip

    return read


def _alert(pipeline: Pipeline) -> Parser:
    decode = msgspec.json.Decoder(_Alert).decode

    def read(topic: str, partition: int, offset: int, key: bytes | None, value: bytes) -> Parsed:
        a = decode(value)
        place = a.input
        if place.topic != pipeline.input.name:
            return Parsed(None)
        return Parsed(
            "alerts",
            (
                pipeline.name, place.topic, place.partition, place.offset, _written(a.transaction_id), _written(a.key),
                _written(a.amount), a.action_required.lower(), a.score, a.risk_level, _text(a.reasons), _text(a.rules),
                _text(a.explanation), _text(a.features), _text(a.versions), _parsed(a.event_at), _parsed(a.alert_at),
            ),
        )  # fmt: skip

    return read


def _label(pipeline: Pipeline) -> Parser:
    decode, ids = msgspec.json.Decoder(_Label).decode, EventIds(pipeline.event)

    def read(topic: str, partition: int, offset: int, key: bytes | None, value: bytes) -> Parsed:
        try:
            label = decode(value)
            event_id = ids.known_as(str(label.event_id))
        except (ValueError, RecursionError):
            return Parsed(None)  # the scorer refused it, too, and wrote a dead letter
        at = min(label.labelled_at, LAST_MS)
        return Parsed("labels", (pipeline.name, topic, partition, offset, event_id, label.label, at))

    return read


def _dead_letter(pipeline: Pipeline) -> Parser:
    decode = msgspec.json.Decoder(_DeadLetter).decode

    def read(topic: str, partition: int, offset: int, key: bytes | None, value: bytes) -> Parsed:
        if value.startswith(NOTE):
            return Parsed(None)
        letter = decode(value)
        if letter.pipeline != pipeline.name:
            return Parsed(None)
        at = letter.kafka_timestamp if 0 <= letter.kafka_timestamp <= LAST_MS else None
        place = letter.input
        return Parsed(
            "dead_letters",
            (
                pipeline.name, topic, partition, offset, place.topic, place.partition, place.offset, letter.kind,
                letter.reason, at, letter.value_length, letter.value_sha256,
            ),
        )  # fmt: skip

    return read


def _key(key: bytes | None) -> str | None:
    return None if key is None else key.decode("utf-8", "replace")


def _text(raw: Raw) -> str | None:
    """JSON as the databases hold it: None for null."""
    text = json_text(raw)
    return None if text == "null" else text


def _coordinates(decision_id: str) -> _Place:
    """Topic, partition and offset of a flat decision's id."""
    topic, partition, offset = decision_id.rsplit("-", 2)
    return msgspec.convert({"topic": topic, "partition": int(partition), "offset": int(offset)}, _Place)


def _parsed(instant: str) -> int:
    """Epoch ms of an ISO 8601 text."""
    epoch_ms = parse_iso(instant)
    if epoch_ms is None or epoch_ms < 0:
        raise ValueError(f"{instant[:40]!r} is no timestamp")
    return epoch_ms


def _written(value: object) -> str | None:
    return None if value is None else str(value)
