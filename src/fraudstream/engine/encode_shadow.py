"""Shadow records: what another model, or a model that comes late, would have decided, beside what was decided."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import orjson

from fraudstream.define.decision import Outcome
from fraudstream.engine.batch import Batch
from fraudstream.engine.column import Bools, Column, Floats, Int64s
from fraudstream.engine.decide import Codes, Decider
from fraudstream.engine.decisions import Decisions
from fraudstream.engine.record_writer import RecordWriter

_OUTCOMES = tuple(f'"{outcome.value}"' for outcome in Outcome)


class Why(StrEnum):
    """Why there is a shadow record."""

    CHALLENGER = "challenger"
    """A challenger was asked as well."""
    RESCORED = "rescored"
    """The model took no part when the decision was made, and was asked later."""


@dataclass(slots=True)
class Decided:
    """Decisions as far as another model can be asked about them.

    Attributes:
        batch: The n events.
        event_id: Their ids, or None where events have none.
        amount: The money at stake, or None.
        rule_hits: bool[rules, n].
        inputs: The model's inputs, float64[n] each, null as NaN.
        outcome: int8[n].
        score: float64[n], NaN is null.
        model_score: float64[n], NaN is null.
        version: The model they were made with; None without one.
        decided_at_ms: int64[n].
    """

    batch: Batch
    event_id: Column | None
    amount: Column | None
    rule_hits: Bools
    inputs: list[Floats]
    outcome: Codes
    score: Floats
    model_score: Floats
    version: str | None
    decided_at_ms: Int64s

    @classmethod
    def of(cls, decisions: Decisions) -> Decided:
        """The decisions of a batch."""
        return cls(
            decisions.batch,
            decisions.event_id,
            decisions.amount,
            decisions.rule_hits,
            decisions.inputs,
            decisions.outcome,
            decisions.score,
            decisions.model_score,
            decisions.versions.get("model"),
            np.full(len(decisions.batch), decisions.decided_at_ms, np.int64),
        )


def shadow_records(
    decided: Decided, model_score: Floats, decider: Decider, *, why: Why, model: str, version: str
) -> list[bytes]:
    """One record an event: the other model's score and outcome, and the live ones.

    Args:
        decided: What was decided.
        model_score: float64[n], the other model's; NaN is null.
        decider: The policy.
        why: Why the model was asked.
        model: Its name.
        version: Its version.
    """
    outcome, score, _ = decider.decide(decided.rule_hits, model_score)
    batch = decided.batch
    writer = RecordWriter(np.arange(len(batch), dtype=np.int64))
    writer.literal('{"event_id":')
    if decided.event_id is None:
        writer.literal(f'"{batch.topic}-')
        writer.integer(batch.partition)
        writer.literal("-")
        writer.integer(batch.offset)
        writer.literal('"')
    else:
        writer.column(decided.event_id, batch.buffer)
    writer.literal(f',"input":{{"topic":"{batch.topic}","partition":')
    writer.integer(batch.partition)
    writer.literal(',"offset":')
    writer.integer(batch.offset)
    writer.literal(f'}},"why":"{why}","model":{_json(model)},"version":{_json(version)},"model_score":')
    writer.number(model_score)
    writer.literal(',"score":')
    writer.number(score)
    writer.literal(',"outcome":')
    writer.choice(outcome, _OUTCOMES)
    writer.literal(f',"live":{{"version":{_json(decided.version)},"model_score":')
    writer.number(decided.model_score)
    writer.literal(',"score":')
    writer.number(decided.score)
    writer.literal(',"outcome":')
    writer.choice(decided.outcome, _OUTCOMES)
    writer.literal('},"amount":')
    if decided.amount is None:
        writer.literal("null")
    else:
        writer.column(decided.amount, batch.buffer)
    writer.literal(',"event_at":')
    writer.integer(batch.event_at_ms)
    writer.literal(',"decided_at":')
    writer.integer(decided.decided_at_ms)
    writer.literal("}")
    return writer.write()


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
