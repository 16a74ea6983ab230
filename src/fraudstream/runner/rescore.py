"""Decisions made without the model are scored by it afterwards, from what their records hold.

The decision stands as it was made. What the model would have said goes to the shadow topic, once for each event, so
that a person or a case system can act on what was let through.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from fraudstream.define.decision import Outcome
from fraudstream.define.pipeline import Form, Pipeline, Selection
from fraudstream.engine.batch import Batch
from fraudstream.engine.column import Floats
from fraudstream.engine.decide import Decider
from fraudstream.engine.decode import Decoder
from fraudstream.engine.encode_shadow import Decided, Why, shadow_records
from fraudstream.errors import UsageError
from fraudstream.kafka.producer import BulkProducer
from fraudstream.kafka.tail import Record, TopicTail
from fraudstream.models.scorer import OnnxScorer
from fraudstream.plan.plan import Plan
from fraudstream.settings import Settings
from fraudstream.telemetry.exporter import STUCK_AFTER_S
from fraudstream.telemetry.series import Series, counter

CHUNK = 2_048
_OUTCOMES = [outcome.value for outcome in Outcome]


class Rescored(NamedTuple):
    """What was done.

    Attributes:
        scored: Decisions that were scored now.
        before: Decisions that had been scored already.
        stricter: Those scored now whose outcome would have been stricter with the model.
    """

    scored: int = 0
    before: int = 0
    stricter: int = 0


class _Input(msgspec.Struct):
    topic: str
    partition: int
    offset: int


class _Decision(msgspec.Struct):
    input: _Input
    outcome: str
    score: float | None
    model_score: float | None
    rules: list[str]
    features: dict[str, Any]
    flags: list[str]
    decided_at: int


class _Envelope(msgspec.Struct):
    event: msgspec.Raw
    decision: _Decision


class _Shadow(msgspec.Struct):
    input: _Input
    why: str


class _Degraded(NamedTuple):
    event: bytes
    decision: _Decision
    timestamp_ms: int


class Progress:
    """How far a rescoring has come.

    Attributes:
        done: What was done so far.
        moved_at_s, stuck_after_s: As of `Watched` in `telemetry/exporter.py`.
    """

    stuck_after_s = STUCK_AFTER_S

    def __init__(self) -> None:
        self.done = Rescored()
        self.moved_at_s = time.monotonic()

    def add(self, scored: int, before: int, stricter: int) -> None:
        """A part of the decisions was looked at."""
        had = self.done
        self.done = Rescored(had.scored + scored, had.before + before, had.stricter + stricter)
        self.moved_at_s = time.monotonic()

    def unready(self) -> None:
        """It is at work from the beginning."""

    def series(self) -> Iterable[Series]:
        """What was done, as metrics, for any thread."""
        done = self.done
        results = {"scored": done.scored, "before": done.before}
        yield counter("rescore_decisions_total", "Decisions made without the model.", results, "result")
        yield counter("rescore_stricter_total", "Those it would have been stricter with.", done.stricter)


def rescore(
    plan: Plan, settings: Settings, model: OnnxScorer, *, since_ms: int | None = None, progress: Progress | None = None
) -> Rescored:
    """Scores what a pipeline decided without its model, and was not scored since.

    Args:
        plan: The pipeline's plan.
        settings: Which cluster.
        model: What is to score.
        since_ms: From which Kafka timestamp of decisions on; from the oldest kept unless said.
        progress: Moved on while it is done.

    Raises:
        UsageError: The pipeline keeps no decisions with their features.
        BrokerUnreachable, TopicError: The topics cannot be read or written.
    """
    pipeline = plan.pipeline
    topic = route_of_all(pipeline)
    known = _scored_before(settings, pipeline, since_ms)
    decoder, decider = Decoder(pipeline.event), Decider(plan)
    producer = BulkProducer(settings)
    progress = progress or Progress()
    for chunk in _chunks(_degraded(settings, pipeline, topic, since_ms)):
        new = [each for each in chunk if (each.decision.input.partition, each.decision.input.offset) not in known]
        progress.add(0, len(chunk) - len(new), 0)
        if not new:
            continue
        decided = _decided(plan, decoder, new)
        score = model.score(decided.inputs)
        why, name = Why.RESCORED, model.manifest.name
        records = shadow_records(decided, score, decider, why=why, model=name, version=model.version)
        producer.send(pipeline.shadow.name, records)
        known |= {(each.decision.input.partition, each.decision.input.offset) for each in new}
        stricter = int(np.count_nonzero(decider.decide(decided.rule_hits, score)[0] > decided.outcome))
        progress.add(len(new), 0, stricter)
    producer.flush()
    return progress.done


def route_of_all(pipeline: Pipeline) -> str:
    """The topic that holds every decision with its features.

    Raises:
        UsageError: There is none.
    """
    for route in pipeline.json_routes:
        if route.form is Form.ENVELOPE and route.carries is Selection.ALL:
            return route.topic
    raise UsageError(
        f"The pipeline {pipeline.name} has no route that keeps every decision with its features.",
        "Add one to its `routes`: {topic: fraud-scores, carries: all, form: envelope}.",
    )


def _scored_before(settings: Settings, pipeline: Pipeline, since_ms: int | None) -> set[tuple[int, int]]:
    """The partitions and offsets of events that were scored afterwards already."""
    known = set()
    tail = TopicTail(settings, [pipeline.shadow.name], from_beginning=since_ms is None, since_ms=since_ms)
    marker = f'"why":"{Why.RESCORED}"'.encode()
    try:
        for record in tail.to_end():
            if record.value is None or marker not in record.value:
                continue
            found = _read(record.value, _Shadow)
            if found is not None and found.input.topic == pipeline.input.name:
                known.add((found.input.partition, found.input.offset))
    finally:
        tail.close()
    return known


def _degraded(settings: Settings, pipeline: Pipeline, topic: str, since_ms: int | None) -> Iterator[_Degraded]:
    """The decisions that were made without the model's score."""
    tail = TopicTail(settings, [topic], from_beginning=since_ms is None, since_ms=since_ms)
    try:
        for record in tail.to_end():
            found = _degraded_of(record, pipeline)
            if found is not None:
                yield found
    finally:
        tail.close()


def _degraded_of(record: Record, pipeline: Pipeline) -> _Degraded | None:
    if record.value is None or b'"degraded"' not in record.value:
        return None
    found = _read(record.value, _Envelope)
    if found is None or "degraded" not in found.decision.flags or found.decision.model_score is not None:
        return None
    if found.decision.input.topic != pipeline.input.name:
        return None
    return _Degraded(bytes(found.event), found.decision, record.timestamp_ms)


def _read(value: bytes, what: type[Any]) -> Any:
    try:
        return msgspec.json.decode(value, type=what)
    except (msgspec.MsgspecError, RecursionError):
        return None  # not written by this program


def _chunks(found: Iterator[_Degraded]) -> Iterator[list[_Degraded]]:
    chunk: list[_Degraded] = []
    for each in found:
        chunk.append(each)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _decided(plan: Plan, decoder: Decoder, found: Sequence[_Degraded]) -> Decided:
    """The decisions as columns: fields from the events' own bytes, features and hits from what was recorded."""
    event, model = plan.pipeline.event, plan.pipeline.model
    assert model is not None
    made = [each.decision for each in found]
    decoded = decoder.decode([each.event for each in found], np.array([each.timestamp_ms for each in found], np.int64))
    batch = Batch.of(
        decoded,
        plan.pipeline.input.name,
        np.array([each.input.partition for each in made], np.int32),
        np.array([each.input.offset for each in made], np.int64),
    )
    columns = batch.columns
    features = {feature.name for feature in plan.features}
    return Decided(
        batch=batch,
        event_id=columns[event.id] if event.id else None,
        amount=columns[event.amount] if event.amount else None,
        rule_hits=np.array(
            [[rule.definition.code in each.rules for each in made] for rule in plan.rules], np.bool_
        ).reshape(len(plan.rules), len(made)),
        inputs=[
            _floats([each.features.get(name) for each in made]) if name in features else columns[name].as_float()
            for name in model.features
        ],
        outcome=np.array([_OUTCOMES.index(each.outcome) for each in made], np.int8),
        score=_floats([each.score for each in made]),
        model_score=np.full(len(made), np.nan),
        version=None,
        decided_at_ms=np.array([each.decided_at for each in made], np.int64),
    )


def _floats(values: Sequence[float | bool | None]) -> Floats:
    return np.array([np.nan if value is None else float(value) for value in values], np.float64)
