"""The engine: `(program, state, batch) → decisions`, and nothing else. It alone knows the order of the stages.

No Kafka, clock, thread or file is touched here. The live stream, recovery, training, replay, tests and benchmarks all
call these functions, so what is computed in one place cannot differ from the other.
"""

from __future__ import annotations

from typing import Protocol

import msgspec
import numpy as np

from fraudstream.engine.batch import Batch
from fraudstream.engine.column import Floats
from fraudstream.engine.decide import Decider, Rules
from fraudstream.engine.decisions import Decisions
from fraudstream.engine.featurize import Features, Featurizer, split_coordinates
from fraudstream.plan.plan import Plan
from fraudstream.state.ids import Labels
from fraudstream.state.state import State


class Scorer(Protocol):
    """A model ready to score."""

    @property
    def version(self) -> str:
        """What decisions name the model by."""

    def score(self, inputs: list[Floats]) -> Floats:
        """float64[n] in 0…1 from one float64[n] an input, null as NaN."""


class Program:
    """A plan made ready to run.

    Args:
        plan: The plan.
        scorer: The model. Without one a pipeline that declares a model decides by its rules, flagged `degraded`.
    """

    def __init__(self, plan: Plan, scorer: Scorer | None = None) -> None:
        self.plan = plan
        self.scorer = scorer
        self._featurize = Featurizer(plan)
        self._rules = Rules(plan)
        self._decider = Decider(plan)
        self._inputs = plan.pipeline.model.features if plan.pipeline.model else ()

    def new_state(self) -> State:
        """The state before the first event."""
        return State(self.plan)

    def learn(self, state: State, batch: Batch, labels: Labels) -> None:
        """Moves the state on as `decide` would, without deciding: for recovery."""
        self._featurize(state, batch, labels, features=False)
        state.sequence += len(batch)

    def featurize(self, state: State, batch: Batch, labels: Labels) -> Features:
        """Moves the state on and gives the features alone: for training."""
        features = self._featurize(state, batch, labels)
        state.sequence += len(batch)
        return features

    def inputs(self, features: Features) -> list[Floats]:
        """The model's inputs, float64[n] each, null as NaN."""
        return [features.columns[name].as_float() for name in self._inputs]

    def decide(self, state: State, batch: Batch, labels: Labels, decided_at_ms: int) -> Decisions:
        """Decides a batch and moves the state on.

        Args:
            state: Changed in place.
            batch: Events in processing order.
            labels: Labels with their places among the events.
            decided_at_ms: What the decisions give as their instant; nothing is computed from it.
        """
        sequence = state.sequence
        return self.judge(batch, self.featurize(state, batch, labels), sequence, decided_at_ms)

    def judge(self, batch: Batch, features: Features, sequence: int, decided_at_ms: int) -> Decisions:
        """Decides a batch whose features are known.

        Args:
            batch: Events in processing order.
            features: Theirs, as `featurize` of this program or one with the same features gave them.
            sequence: The first event's place in processing order.
            decided_at_ms: What the decisions give as their instant.
        """
        n = len(batch)
        hits = self._rules.hits(features.columns, n)
        model_score = np.full(n, np.nan)
        if self.scorer is not None and n:
            model_score = self.scorer.score(self.inputs(features))
        outcome, score, risk_level = self._decider.decide(hits, model_score)
        duplicate = features.first >= 0
        first_partition, first_offset = split_coordinates(features.first)
        event = self.plan.pipeline.event
        columns = features.columns
        return Decisions(
            batch=batch,
            sequence=sequence + np.arange(n, dtype=np.int64),
            outcome=outcome,
            score=score,
            model_score=model_score,
            risk_level=risk_level,
            rule_hits=hits,
            rule_codes=self._rules.codes,
            late=features.late,
            duplicate=duplicate,
            duplicate_partition=first_partition,
            duplicate_offset=first_offset,
            degraded=np.isnan(model_score) if self._inputs else np.zeros(n, np.bool_),
            features={feature.name: columns[feature.name] for feature in self.plan.features},
            versions=self.versions(),
            decided_at_ms=decided_at_ms,
            threshold=self.plan.pipeline.policy.review_threshold,
            event_id=columns[event.id] if event.id else None,
            key=columns[event.key] if event.key else None,
            amount=columns[event.amount] if event.amount else None,
        )

    def versions(self) -> dict[str, str]:
        """What decisions are made with now."""
        versions = {name: str(value) for name, value in msgspec.structs.asdict(self.plan.versions).items()}
        if self.scorer is not None:
            versions["model"] = self.scorer.version
        return versions
