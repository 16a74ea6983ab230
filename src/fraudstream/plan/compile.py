"""Pipeline in, plan out: every check a definition can fail, all problems at once."""

from __future__ import annotations

from collections.abc import Iterable

from fraudstream.define.decision import Action, Rule
from fraudstream.define.fallback import RESERVED_CODES
from fraudstream.define.pipeline import Pipeline
from fraudstream.define.reader import suggestion
from fraudstream.errors import DefinitionError, Problem
from fraudstream.plan.aims import check_aims
from fraudstream.plan.check import (
    check_event,
    check_inputs_kept,
    check_limits,
    check_max_keys,
    check_model,
    check_policy,
    check_retention,
    check_topics,
    read_lists,
    sensitive_lists,
)
from fraudstream.plan.fallback import plan_fallback
from fraudstream.plan.features import logs_of, plan_features
from fraudstream.plan.identity import state_identity, versions_of
from fraudstream.plan.plan import Plan, PlannedRule
from fraudstream.plan.reasons import CODE, check_length, plan_reasons
from fraudstream.plan.scope import Scope
from fraudstream.plan.sensitive import lists_to_keep
from fraudstream.schema.columns import columns_of
from fraudstream.units import parse_duration


def plan_of(pipeline: Pipeline, source: str | None = None) -> Plan:
    """The plan of a pipeline.

    Args:
        pipeline: What was declared.
        source: What to call it in an error: the file's name.

    Raises:
        DefinitionError: With every problem found.
    """
    plan, problems = try_plan(pipeline)
    if plan is None:
        raise DefinitionError(source or f"pipeline {pipeline.name!r}", problems)
    return plan


def try_plan(pipeline: Pipeline, broken: Iterable[str] = ()) -> tuple[Plan | None, list[Problem]]:
    """The plan, or None and every problem found.

    Args:
        pipeline: What was declared.
        broken: Names whose declarations could not be read: what mentions them is not reported again.
    """
    scope = Scope(pipeline, broken)
    check_topics(scope)
    check_event(scope)
    check_max_keys(scope)
    check_limits(scope)
    check_retention(scope)
    lists, of_sensitive = read_lists(scope), sensitive_lists(scope)
    features = plan_features(scope)
    rules = _plan_rules(scope)
    check_model(scope)
    reasons = plan_reasons(scope, features)
    check_policy(scope)
    check_aims(scope)
    fallback = plan_fallback(scope)
    if scope.problems or scope.broken:
        return None, scope.problems
    logs = logs_of(features, pipeline.max_keys)
    check_inputs_kept(scope, max((log.retention_ms for log in logs), default=0))
    if scope.problems:
        return None, scope.problems
    kept_lists = lists_to_keep(lists, of_sensitive, pipeline.event)
    dedup_ms = parse_duration(pipeline.event.dedup) if pipeline.event.id else 0
    plan = Plan(
        pipeline=pipeline,
        columns=columns_of(pipeline.event),
        types=scope.types,
        features=features,
        logs=logs,
        rules=rules,
        fallback=fallback,
        reasons=reasons,
        lists=lists,
        kept_lists=kept_lists,
        dedup_ms=dedup_ms,
        max_future_ms=parse_duration(pipeline.event.max_future),
        label_retention_ms=max((log.label_retention_ms for log in logs), default=0),
        state_identity=state_identity(pipeline.event, logs, dedup_ms),
        versions=versions_of(pipeline, rules, kept_lists),
    )
    return plan, []


def _plan_rules(scope: Scope) -> tuple[PlannedRule, ...]:
    planned: dict[str, PlannedRule] = {}
    for i, rule in enumerate(scope.pipeline.rules):
        path = f"rules.{rule.code or i}"
        if not CODE.fullmatch(rule.code):
            advice = "Use upper case, digits and '_', like CARD_TESTING."
            scope.problem(path, f"{rule.code[:80]!r} is not a rule code.", advice)
        if rule.code in planned or rule.code in RESERVED_CODES:
            advice = f"Each rule has a code of its own; {', '.join(RESERVED_CODES)} are the model's and its fallback's."
            scope.problem(path, "the code is taken.", advice)
        if rule.score is not None and not 0 <= rule.score <= 1:
            scope.problem(f"{path}.score", f"{rule.score}.", "Use 0 to 1.")
        if rule.action is Action.SCORE and rule.score is None:
            scope.problem(path, "action `score` without a score.", "Give `score`, 0 to 1.")
        for part, text in (("reason", rule.reason), ("letter", rule.letter)):
            check_length(scope, f"{path}.{part}", text)
        when = scope.parse(f"{path}.when", rule.when, scope.types, boolean=True)
        if when is not None:
            planned[rule.code] = PlannedRule(definition=rule, when=when, score=_score_of(scope, rule))
    return tuple(planned.values())


def _score_of(scope: Scope, rule: Rule) -> float:
    """The score of a hit: the rule's, or the threshold of what it asks for."""
    if rule.score is not None:
        return rule.score
    policy = scope.pipeline.policy
    by_action = {Action.REVIEW: policy.review_threshold, Action.BLOCK: policy.block_threshold}
    return by_action.get(rule.action, 0.0)


__all__ = ["plan_of", "suggestion", "try_plan"]
