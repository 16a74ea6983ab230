"""From features to an outcome: rules, the model's score, and the policy that joins them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from fraudstream.define.decision import Action, Stage
from fraudstream.engine.column import Bools, Column, Floats
from fraudstream.engine.evaluate import compile_predicate
from fraudstream.plan.plan import Plan

Codes = npt.NDArray[np.int8]

APPROVE, REVIEW, BLOCK = range(3)
"""Outcomes as numbers that order by strictness."""


class Rules:
    """The rules of a plan, compiled."""

    def __init__(self, plan: Plan) -> None:
        self.codes = tuple(rule.definition.code for rule in plan.rules)
        self._predicates = [compile_predicate(rule.when) for rule in plan.rules]

    def hits(self, columns: Mapping[str, Column], n: int, off: frozenset[str] = frozenset()) -> Bools:
        """bool[rules, n], where each rule hits; null is no hit, and one that is switched off has none."""
        hits = np.zeros((len(self._predicates), n), np.bool_)
        for code, row, predicate in zip(self.codes, hits, self._predicates, strict=True):
            if code not in off:
                row[:] = predicate(columns, n)
        return hits


class Decider:
    """The policy of a plan."""

    def __init__(self, plan: Plan) -> None:
        self._policy = plan.pipeline.policy
        self._actions = [rule.definition.action for rule in plan.rules]
        self._scores = np.array([rule.score for rule in plan.rules], np.float64)

    def _any(self, hits: Bools, action: Action) -> Bools:
        rows = [index for index, each in enumerate(self._actions) if each is action]
        found: Bools = np.logical_or.reduce(hits[rows], axis=0)
        return found

    def _best(self, hits: Bools, model_score: Floats, actions: tuple[Action, ...]) -> Floats:
        """The highest of the model's score and those of hit rules with one of the actions; NaN where there is none."""
        best = model_score
        for index, action in enumerate(self._actions):
            if action in actions:
                best = np.fmax(best, np.where(hits[index], self._scores[index], np.nan))
        return best

    def speaking(self, hits: Bools, model_score: Floats) -> Floats:
        """float64[n], what is compared with the thresholds: the model's score and those of `score` rules; or NaN."""
        return self._best(hits, model_score, (Action.SCORE,))

    def decide(self, hits: Bools, model_score: Floats) -> tuple[Codes, Floats, Codes]:
        """Outcomes, scores and risk levels.

        Args:
            hits: bool[rules, n].
            model_score: float64[n], NaN where there is none.

        Returns:
            outcome int8[n] (0 approve, 1 review, 2 block), score float64[n] (NaN only where neither a model nor a
            rule could speak), risk level int8[n] (0 LOW … 3 CRITICAL).
        """
        policy = self._policy
        score = self._best(hits, model_score, (Action.SCORE, Action.REVIEW, Action.BLOCK))
        if self._actions:
            score = np.where(np.isnan(score), 0.0, score)
        outcome = np.full(len(model_score), APPROVE, np.int8)
        for stage in policy.precedence:
            if stage is Stage.ALLOW:
                outcome[self._any(hits, Action.ALLOW)] = APPROVE
            elif stage is Stage.MODEL:
                speaking = self.speaking(hits, model_score)
                outcome[(speaking >= policy.review_threshold) & (outcome < REVIEW)] = REVIEW
                outcome[speaking >= policy.block_threshold] = BLOCK
            elif stage is Stage.REVIEW:
                outcome[self._any(hits, Action.REVIEW) & (outcome < REVIEW)] = REVIEW
            else:
                outcome[self._any(hits, Action.BLOCK)] = BLOCK
        bands = (policy.medium, policy.high, policy.critical)
        level = sum((score >= band).astype(np.int8) for band in bands)
        return outcome, score, np.asarray(level, np.int8)
