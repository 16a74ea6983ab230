"""The engine: `(program, state, batch) → decisions`, and nothing else. It alone knows the order of the stages.

No Kafka, clock, thread or file is touched here. The live stream, recovery, training, replay, tests and benchmarks all
call these functions, so what is computed in one place cannot differ from the other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

import msgspec
import numpy as np

from fraudstream.define.fallback import MODEL_SCORE
from fraudstream.engine.batch import Batch
from fraudstream.engine.column import Bools, Floats, Int64s
from fraudstream.engine.contribute import key_of
from fraudstream.engine.decide import APPROVE, BLOCK, Decider, Rules
from fraudstream.engine.decisions import Decisions
from fraudstream.engine.fallback import Account, Ladder
from fraudstream.engine.featurize import Features, Featurizer, coordinates_of, split_coordinates
from fraudstream.engine.kernels.fingerprint import fingerprint_integers
from fraudstream.engine.let_through import LetThroughSample
from fraudstream.plan.plan import Plan
from fraudstream.state.ids import Labels
from fraudstream.state.state import State

NOTHING: frozenset[str] = frozenset()


class Scorer(Protocol):
    """A model ready to score."""

    @property
    def version(self) -> str:
        """What decisions name the model by."""

    def score(self, inputs: list[Floats]) -> Floats | None:
        """float64[n] in 0…1 from one float64[n] an input, null as NaN; None where the model failed."""

    def contributions(self, inputs: list[Floats]) -> tuple[float, Floats] | None:
        """The margin of no event in particular, and what each input adds to that of each event, float64[n, inputs].

        None where nothing says it.
        """


class Program:
    """A plan made ready to run.

    Args:
        plan: The plan.
        scorer: The model; it may be replaced between two batches. Without one a pipeline that declares a model decides
            by its fallback ladder, flagged `degraded`.

    Attributes:
        ended: Told the name of each stage of `decide` when it has ended; whoever times them has the clock.
    """

    def __init__(self, plan: Plan, scorer: Scorer | None = None) -> None:
        self.plan = plan
        self.scorer = scorer
        self._featurize = Featurizer(plan)
        self._rules = Rules(plan)
        self._decider = Decider(plan)
        self._ladder = Ladder(plan)
        self._sample = LetThroughSample(plan) if plan.pipeline.policy.let_through is not None else None
        self._inputs = plan.pipeline.model.features if plan.pipeline.model else ()
        self.ended: Callable[[str], None] = lambda stage: None

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

    def decide(
        self,
        state: State,
        batch: Batch,
        labels: Labels,
        decided_at_ms: int,
        off: frozenset[str] = NOTHING,
        account: Account | None = None,
    ) -> Decisions:
        """Decides a batch and moves the state on.

        Args:
            state: Changed in place.
            batch: Events in processing order.
            labels: Labels with their places among the events.
            decided_at_ms: What the decisions give as their instant; nothing is computed from it.
            off: Codes of rules that are switched off, and MODEL_SCORE for the model.
            account: What was approved without the model, or let through, so far; moved on. A new one unless given.
        """
        sequence = state.sequence
        features = self.featurize(state, batch, labels)
        self.ended("featurize")
        decisions = self.judge(batch, features, sequence, decided_at_ms, off, account)
        self.ended("decide")
        return decisions

    def judge(
        self,
        batch: Batch,
        features: Features,
        sequence: int,
        decided_at_ms: int,
        off: frozenset[str] = NOTHING,
        account: Account | None = None,
    ) -> Decisions:
        """Decides a batch whose features are known.

        Args:
            batch: Events in processing order.
            features: Theirs, as `featurize` of this program or one with the same features gave them.
            sequence: The first event's place in processing order.
            decided_at_ms: What the decisions give as their instant.
            off: As of `decide`.
            account: As of `decide`.
        """
        n = len(batch)
        event = self.plan.pipeline.event
        hits = self._rules.hits(features.columns, n, off)
        self.ended("rules")
        inputs = self.inputs(features)
        model_score = self._model_score(inputs, off) if n else np.empty(0)
        self.ended("score")
        is_off = model_score is None
        if model_score is None:
            model_score = np.full(n, np.nan)
        outcome, score, risk_level = self._decider.decide(hits, model_score)
        alone = np.isnan(model_score) if self._inputs else np.zeros(n, np.bool_)
        amount = features.columns[event.amount] if event.amount else None
        account = account or Account()
        fell = self._ladder.decide(outcome, alone, off, batch.event_at_ms, amount, account)
        outcome = outcome if fell is None else fell.outcome
        duplicate = features.first >= 0
        let_through = self._let_through(batch, features, (outcome == BLOCK) & ~duplicate, account)
        outcome[let_through] = APPROVE
        first_partition, first_offset = split_coordinates(features.first)
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
            degraded=alone | self._has_off_rules(off),
            let_through=let_through,
            features={feature.name: columns[feature.name] for feature in self.plan.features},
            versions=self.versions(with_model=not is_off),
            decided_at_ms=decided_at_ms,
            threshold=self.plan.pipeline.policy.review_threshold,
            event_id=columns[event.id] if event.id else None,
            key=columns[event.key] if event.key else None,
            amount=amount,
            off=self._named_off(off, is_off),
            by_amount=None if fell is None else fell.by_amount,
            over_limit=None if fell is None else fell.over_limit,
            inputs=inputs,
            contributions=partial(_contributions, self.scorer, inputs),
        )

    def _let_through(self, batch: Batch, features: Features, blocked: Bools, account: Account) -> Bools:
        """bool[n], the events of the let-through sample, if the policy declares one."""
        event = self.plan.pipeline.event
        if self._sample is None or event.amount is None:
            return np.zeros(len(batch), np.bool_)
        if event.id is not None:
            fingerprint, _, _ = key_of(features.columns, (event.id,), len(batch))
        else:
            fingerprint, _ = fingerprint_integers(coordinates_of(batch.partition, batch.offset))
        amount = features.columns[event.amount]
        return self._sample.choose(blocked, fingerprint, batch.event_at_ms, amount, account.sample)

    def _model_score(self, inputs: list[Floats], off: frozenset[str]) -> Floats | None:
        """float64[n], or None where the model takes no part: there is none, it is switched off, or it failed."""
        if self.scorer is None or MODEL_SCORE in off:
            return None
        return self.scorer.score(inputs)

    def _has_off_rules(self, off: frozenset[str]) -> bool:
        return not off.isdisjoint(self._rules.codes)

    def _named_off(self, off: frozenset[str], is_model_off: bool) -> tuple[str, ...]:
        """The codes of what took no part, the model's first."""
        model = (MODEL_SCORE,) if is_model_off and self._inputs else ()
        return model + tuple(code for code in self._rules.codes if code in off)

    def versions(self, *, with_model: bool = True) -> dict[str, str]:
        """What decisions are made with now."""
        versions = {name: str(value) for name, value in msgspec.structs.asdict(self.plan.versions).items()}
        if self.scorer is not None and with_model:
            versions["model"] = self.scorer.version
        return versions


def _contributions(scorer: Scorer | None, inputs: list[Floats], rows: Int64s) -> tuple[float, Floats] | None:
    return None if scorer is None else scorer.contributions([values[rows] for values in inputs])
