"""Decisions: what the engine concluded on a batch of events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fraudstream.engine.batch import Batch
from fraudstream.engine.column import Bools, Column, Floats, Int64s

Int8s = npt.NDArray[np.int8]


@dataclass(slots=True, kw_only=True)
class Decisions:
    """The decisions on the n events of a batch, in its order.

    Attributes:
        batch: The events.
        sequence: int64[n]: each event's place in processing order.
        outcome: int8[n]: 0 approve, 1 review, 2 block.
        score: float64[n], 0 to 1; NaN is null.
        model_score: float64[n]: what the model alone says; NaN is null.
        risk_level: int8[n]: 0 LOW, 1 MEDIUM, 2 HIGH, 3 CRITICAL.
        rule_hits: bool[rules, n]: which rules hit.
        rule_codes: The rules' codes, in the same order.
        late: bool[n]: the event was too old to be stored.
        duplicate: bool[n]: its id was there before.
        duplicate_partition: int64[n]: where the first event of that id came from; anything where it is no duplicate.
        duplicate_offset: int64[n]: likewise.
        degraded: bool[n]: the model, or a rule that was switched off, did not take part.
        let_through: bool[n]: it would have been blocked, and is approved so that its truth becomes known.
        features: The features, by name, in the plan's order.
        versions: What the decisions were made with: pipeline, rules, lists, model.
        decided_at_ms: When.
        threshold: The score from which an event is reviewed.
        event_id: The event's id, or None where the pipeline's events have none.
        key: The event's key, or None.
        amount: The money at stake, or None.
        off: The codes of what took no part: rules that were switched off, and MODEL_SCORE where there was no model,
            it was switched off, or it failed.
        by_amount: bool[n]: the amount alone gave the outcome, without the model; None where no event was decided so.
        over_limit: bool[n]: reviewed because no more money may be approved without the model; or None.
        inputs: The model's inputs, float64[n] each; empty without a model.
        contributions: For rows, int64[m]: the model's margin before anything is known of an event, and what each input
            adds to it, float64[m, inputs]; None where nothing says that. Computed when asked for, which is when records
            of alerts are written.
    """

    batch: Batch
    sequence: Int64s
    outcome: Int8s
    score: Floats
    model_score: Floats
    risk_level: Int8s
    rule_hits: Bools
    rule_codes: tuple[str, ...]
    late: Bools
    duplicate: Bools
    duplicate_partition: Int64s
    duplicate_offset: Int64s
    degraded: Bools
    let_through: Bools
    features: dict[str, Column]
    versions: dict[str, str]
    decided_at_ms: int
    threshold: float
    event_id: Column | None = None
    key: Column | None = None
    amount: Column | None = None
    off: tuple[str, ...] = ()
    by_amount: Bools | None = None
    over_limit: Bools | None = None
    inputs: list[Floats] = field(default_factory=list)
    contributions: Callable[[Int64s], tuple[float, Floats] | None] = lambda rows: None

    @property
    def alerts(self) -> Int64s:
        """int64[m]: the rows that are alerts: to be reviewed or blocked, and no duplicates."""
        return np.flatnonzero((self.outcome > 0) & ~self.duplicate)

    @property
    def by_model(self) -> Bools:
        """bool[n], whether the model's score alone reached the review threshold."""
        return self.model_score >= self.threshold
