"""Features, conditions and scores in a reviewer's words."""

from __future__ import annotations

from fraudstream.define.decision import Action, Policy
from fraudstream.define.feature import FeatureKind
from fraudstream.define.pipeline import Selection
from fraudstream.plan.plan import PlannedFeature, PlannedRule
from fraudstream.units import format_duration

_OVER_EVENTS = {
    FeatureKind.COUNT: "number of events",
    FeatureKind.COUNT_ABOVE: "number of values of {of} more than {times:g} times their mean",
    FeatureKind.SUM: "sum of {of}",
    FeatureKind.MEAN: "mean of {of}",
    FeatureKind.STD: "sample standard deviation of {of}",
    FeatureKind.MIN: "smallest {of}",
    FeatureKind.MAX: "largest {of}",
    FeatureKind.DISTINCT: "number of different {of}",
    FeatureKind.SINCE_LAST: "milliseconds since the latest earlier event",
    FeatureKind.SINCE_FIRST: "milliseconds since the oldest earlier event",
    FeatureKind.FIRST_SEEN: "whether there is no earlier event",
    FeatureKind.DISTANCE_KM: "kilometres from the last known {of}",
    FeatureKind.SPEED_KMH: "km/h needed from the last known {of}",
    FeatureKind.LABEL_COUNT: "number of events known to be fraud",
    FeatureKind.LABEL_RATE: "share of events known to be fraud",
    FeatureKind.SINCE_FRAUD: "milliseconds since the latest event known to be fraud",
    FeatureKind.SINCE_GENUINE: "milliseconds since the latest event not known to be fraud",
    FeatureKind.FRAUD_RUN: "number of events known to be fraud since the latest other one",
    FeatureKind.SINCE_FRAUD_RUN: "milliseconds since the first of the latest run of events known to be fraud",
}

CARRIES = {
    Selection.ALL: "every decision",
    Selection.APPROVED: "decisions to approve",
    Selection.FLAGGED: "decisions to review or block",
}

ASKS = {
    Action.ALLOW: "allow",
    Action.SCORE: "raise the score",
    Action.REVIEW: "review",
    Action.BLOCK: "block",
}


def feature_sentence(feature: PlannedFeature) -> str:
    """What a feature is, as half a sentence that begins with what it counts or says."""
    definition = feature.definition
    if feature.kind is FeatureKind.EXPRESSION:
        return " ".join((definition.expression or "").split())
    if feature.kind is FeatureKind.IN_LIST:
        return f"whether {definition.of} is in the list {definition.list}"
    by = " and ".join(definition.by)
    window = f"of the same {by} in the last {format_duration(feature.over_ms)}"
    if feature.kind is FeatureKind.SEQUENCE:
        return f"whether events {window} were, in order and ending with this one: {', then '.join(definition.steps)}"
    parts = [_OVER_EVENTS[feature.kind].format(of=definition.of, times=definition.times), window]
    if feature.delay_ms:
        parts.append(f"up to {format_duration(feature.delay_ms)} ago")
    if definition.where:
        parts.append(f"where {' '.join(definition.where.split())}")
    if feature.mean_over_ms:
        parts.append(f"(the mean of the last {format_duration(feature.mean_over_ms)})")
    left_out = [*(["this one"] if definition.prior else []), *(["known frauds"] if definition.clean else [])]
    return " ".join(parts) + (f", without {' and '.join(left_out)}" if left_out else "")


def rule_sentence(rule: PlannedRule) -> str:
    """What a rule asks for and when."""
    when = " ".join(rule.definition.when.split())
    score = "" if rule.definition.action is Action.ALLOW else f" (score {rule.score:g})"
    return f"{ASKS[rule.definition.action]}{score} when {when}"


def bands_sentence(policy: Policy) -> str:
    """Where the risk levels begin."""
    return f"MEDIUM from {policy.medium:g}, HIGH from {policy.high:g}, CRITICAL from {policy.critical:g}"


def fallback_sentence(policy: Policy) -> str:
    """Who decides while the model does not: `rules, at most 1000 approved in 1h; else by amount: review from 50`."""
    steps = []
    for step in policy.fallback:
        limits = [
            f"{word} from {limit:g}"
            for word, limit in (("review", step.review_from), ("block", step.block_from))
            if limit is not None
        ]
        said = f"by amount: {', '.join(limits)}" if limits else step.by.value
        most = "" if step.at_most is None else f", at most {step.at_most:g} approved in {step.per}"
        steps.append(said + most)
    return "; else ".join(steps)


def thresholds_sentence(policy: Policy) -> str:
    """Where the outcomes begin."""
    return f"review from {policy.review_threshold:g}, block from {policy.block_threshold:g}"
