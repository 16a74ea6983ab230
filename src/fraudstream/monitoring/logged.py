"""Decisions as columns, read from the envelopes that a pipeline wrote: what monitoring looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from fraudstream.engine.batch import Batch
from fraudstream.engine.column import Bools, Floats, Int64s, UInt64s
from fraudstream.engine.contribute import key_of
from fraudstream.engine.decode import Decoder
from fraudstream.plan.plan import Plan

Texts = npt.NDArray[np.str_]


class _Input(msgspec.Struct):
    topic: str
    partition: int
    offset: int


class _Decision(msgspec.Struct):
    input: _Input
    sequence: int
    outcome: str
    score: float | None
    model_score: float | None
    features: msgspec.Raw
    versions: dict[str, str]
    flags: tuple[str, ...]
    event_at: int
    decided_at: int


class _Envelope(msgspec.Struct):
    event: msgspec.Raw
    decision: _Decision


_DECODER = msgspec.json.Decoder(_Envelope)
_NO_ID = np.uint64(0)


class Recorded(NamedTuple):
    """A decision as far as its features can be computed again from it.

    Attributes:
        event: The event's bytes.
        features: The features' bytes.
        pipeline: The version of the pipeline that decided.
    """

    sequence: int
    partition: int
    offset: int
    event_at_ms: int
    decided_at_ms: int
    pipeline: str
    event: bytes
    features: bytes


@dataclass
class Logged:
    """n decisions.

    Attributes:
        event_at_ms: int64[n].
        id_low: uint64[n], half the fingerprint of the event's id; 0 where events have none.
        alert: bool[n], outcome `review` or `block`, duplicates left out.
        block: bool[n], likewise.
        degraded, duplicate, late: bool[n], the flags.
        score, model_score: float64[n], null as NaN.
        model: The model's version, empty where none scored.
        inputs: float64[n, inputs], the model's inputs, null as NaN.
    """

    event_at_ms: Int64s
    id_low: UInt64s
    alert: Bools
    block: Bools
    degraded: Bools
    duplicate: Bools
    late: Bools
    score: Floats
    model_score: Floats
    model: Texts
    inputs: Floats

    def __len__(self) -> int:
        return len(self.event_at_ms)

    def take(self, rows: Int64s | Bools | slice) -> Logged:
        """The given rows."""
        return Logged(**{each.name: getattr(self, each.name)[rows] for each in fields(self)})


def concatenate(parts: Sequence[Logged]) -> Logged:
    """All decisions of the parts, at least one, in their order."""
    if len(parts) == 1:
        return parts[0]
    return Logged(
        **{each.name: np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(Logged)}
    )


class DecisionReader:
    """Reads a pipeline's decisions from its envelopes.

    Args:
        plan: The pipeline.
        keep_events: Whether `recorded` is filled.

    Attributes:
        passed_over: Records that were no envelope of this pipeline.
        recorded: What was read since it was last emptied, for computing features again.
    """

    def __init__(self, plan: Plan, *, keep_events: bool = False) -> None:
        self._plan = plan
        self._keep_events = keep_events
        self._inputs = plan.pipeline.model.features if plan.pipeline.model else ()
        self._computed = [name for name in self._inputs if any(f.name == name for f in plan.features)]
        self._features = msgspec.json.Decoder(_struct_of(self._computed))
        self._decoder = Decoder(plan.pipeline.event)
        self.passed_over = 0
        self.recorded: list[Recorded] = []

    def read(self, values: Sequence[bytes | None]) -> Logged:
        """The decisions among some records."""
        found: list[_Envelope] = []
        topic = self._plan.pipeline.input.name
        for value in values:
            try:
                envelope = _DECODER.decode(value or b"")
            except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
                envelope = None
            if envelope is None or envelope.decision.input.topic != topic:
                self.passed_over += 1
            else:
                found.append(envelope)
        if self._keep_events:
            self.recorded += [_recorded(each) for each in found]
        return self._columns(found)

    def _columns(self, found: list[_Envelope]) -> Logged:
        n = len(found)
        decisions = [each.decision for each in found]
        event_at_ms = np.array([each.event_at for each in decisions], np.int64)
        decoded = self._decoder.decode([bytes(each.event) for each in found], event_at_ms)
        batch = Batch.of(decoded, "", np.zeros(n, np.int32), np.arange(n))
        event = self._plan.pipeline.event
        low = key_of(batch.columns, (event.id,), n)[0] if event.id else np.full(n, _NO_ID)
        outcome = np.array([each.outcome for each in decisions], "U7")
        flags = {name: np.array([name in each.flags for each in decisions], np.bool_) for name in _FLAGS}
        return Logged(
            event_at_ms=event_at_ms,
            id_low=low.astype(np.uint64),
            alert=(outcome != "approve") & ~flags["duplicate"],
            block=(outcome == "block") & ~flags["duplicate"],
            score=_floats([each.score for each in decisions]),
            model_score=_floats([each.model_score for each in decisions]),
            model=np.array([each.versions.get("model", "") for each in decisions], "U16"),
            inputs=self._matrix(decisions, batch),
            **flags,
        )

    def _matrix(self, decisions: list[_Decision], batch: Batch) -> Floats:
        """float64[n, inputs]: features as they are on record, fields as the event has them."""
        matrix = np.full((len(decisions), len(self._inputs)), np.nan)
        if len(decisions) and self._computed:
            parsed = [self._features.decode(each.features) for each in decisions]
            for name in self._computed:
                matrix[:, self._inputs.index(name)] = _floats([getattr(each, name) for each in parsed])
        for place, name in enumerate(self._inputs):
            if name not in self._computed and len(decisions):
                matrix[:, place] = batch.columns[name].as_float()
        return matrix


_FLAGS = ("degraded", "duplicate", "late")


def _struct_of(names: Sequence[str]) -> type[msgspec.Struct]:
    """The type of an object whose members are numbers or booleans; a member that is not there is null."""
    parts: list[Any] = [(name, float | bool | None, None) for name in names]
    return msgspec.defstruct("Features", parts)


def _floats(values: Sequence[float | bool | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _recorded(envelope: _Envelope) -> Recorded:
    decision = envelope.decision
    return Recorded(
        decision.sequence,
        decision.input.partition,
        decision.input.offset,
        decision.event_at,
        decision.decided_at,
        decision.versions.get("pipeline", ""),
        bytes(envelope.event),
        bytes(decision.features),
    )
