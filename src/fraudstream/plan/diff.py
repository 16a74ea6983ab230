"""What changes between two plans: in decisions, in topics, and for what is stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from fraudstream.define.pipeline import Format, Route
from fraudstream.plan.aims import aims_sentences
from fraudstream.plan.identity import describe_state
from fraudstream.plan.plan import Plan
from fraudstream.plan.sentences import fallback_sentence, feature_sentence, rule_sentence
from fraudstream.units import format_duration

_FIELD_PARTS = ("type", "path", "scale", "format", "required")
_SCALARS = {"id": "the event's id", "time": "event time", "max_bytes": "the longest record in bytes"}
_DURATIONS = {
    "max_future_ms": "how far event time may run ahead",
    "dedup_ms": "the horizon within which an id is a duplicate",
}


class Change(NamedTuple):
    """One difference.

    Attributes:
        path: Where, as in problems: `features.card_count_1h`.
        what: What is different, as a sentence without its subject: `is new: number of events …`.
    """

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path} {self.what}"


class Difference(NamedTuple):
    """How a plan differs from an older one.

    Attributes:
        decisions: What may make decisions differ.
        topics: What is read or written elsewhere, or otherwise.
        state: Why what is stored cannot be used any more, one reason each; empty where it can.
        is_compatible: Whether a snapshot of the old plan serves the new one.
    """

    decisions: tuple[Change, ...]
    topics: tuple[Change, ...]
    state: tuple[str, ...]
    is_compatible: bool


def diff(old: Plan, new: Plan) -> Difference:
    """How `new` differs from `old`, leaving out what is only worded or ordered differently."""
    decisions = [
        *_compared("features", _features(old), _features(new)),
        *_compared("rules", _rules(old), _rules(new)),
        *_compared("lists", _lists(old), _lists(new)),
        *_compared("model", _model(old), _model(new)),
        *_compared("policy", _policy(old), _policy(new)),
    ]
    topics = _compared("", _topics(old), _topics(new))
    reasons = explain_mismatch(_state(old), _state(new))
    return Difference(tuple(decisions), tuple(topics), tuple(reasons), old.state_identity == new.state_identity)


def explain_mismatch(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Why state stored under one description cannot serve another; empty where it can.

    Args:
        old: What `describe_state` gave for the state that is stored, perhaps read back from JSON.
        new: What it gives for the plan that would use it.
    """
    old, new = msgspec.to_builtins(old), msgspec.to_builtins(new)
    reasons = [
        f"{called} was {_shown(old.get(name))}, now {_shown(new.get(name))}"
        for name, called in _SCALARS.items()
        if old.get(name) != new.get(name)
    ]
    reasons += [
        f"{called} was {_duration(old.get(name))}, now {_duration(new.get(name))}"
        for name, called in _DURATIONS.items()
        if old.get(name) != new.get(name)
    ]
    reasons += _field_reasons(old.get("fields") or {}, new.get("fields") or {})
    old_logs, new_logs = old.get("logs") or {}, new.get("logs") or {}
    for name in dict.fromkeys((*old_logs, *new_logs)):
        reasons += _log_reasons(name, old_logs.get(name), new_logs.get(name))
    if not reasons and old != new:
        reasons.append("what is stored was described by another version of fraudstream")
    return reasons


def _field_reasons(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Fields decide which records are dead letters, so every one of them counts."""
    reasons = []
    for name in dict.fromkeys((*old, *new)):
        if name not in old:
            reasons.append(f"the field {name} is new: what is a dead letter may differ")
        elif name not in new:
            reasons.append(f"the field {name} is gone: what is a dead letter may differ")
        elif old[name] != new[name]:
            parts = [
                f"{part} was {_shown(before)}, now {_shown(after)}"
                for part, before, after in zip(_FIELD_PARTS, old[name], new[name], strict=False)
                if before != after
            ]
            reasons.append(f"the field {name} changed: {', '.join(parts)}")
    return reasons


def _log_reasons(name: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> list[str]:
    if old is None or new is None:
        return [f"the history by {name} {'is new' if old is None else 'is no longer kept'}"]
    reasons = [
        f"the history by {name} keeps {what} for {_duration(new.get(key))} instead of {_duration(old.get(key))}"
        for key, what in (("retention_ms", "events"), ("label_retention_ms", "what labels say"))
        if old.get(key) != new.get(key)
    ]
    if old.get("max_keys") != new.get("max_keys"):
        most, was = (each.get("max_keys") or "any number of" for each in (new, old))
        reasons.append(f"the history by {name} holds {most} keys instead of {was}")
    before, after = old.get("stored") or [], new.get("stored") or []
    reasons += [f"the history by {name} now also stores: {each}" for each in after if each not in before]
    reasons += [f"the history by {name} no longer stores: {each}" for each in before if each not in after]
    return reasons


def _compared(area: str, old: Mapping[str, tuple[Any, str]], new: Mapping[str, tuple[Any, str]]) -> list[Change]:
    """Changes between two mappings of name to (meaning, words); equal meanings are no change."""
    changes = []
    for name in dict.fromkeys((*old, *new)):
        path = f"{area}.{name}" if area else name
        if name not in old:
            changes.append(Change(path, f"is new: {new[name][1]}"))
        elif name not in new:
            changes.append(Change(path, f"is gone: {old[name][1]}"))
        elif old[name][0] != new[name][0]:
            before, after = old[name][1], new[name][1]
            same = before == after
            changes.append(Change(path, "follows what it uses" if same else f"was: {before}; now: {after}"))
    return changes


def _features(plan: Plan) -> dict[str, tuple[Any, str]]:
    found = {}
    for feature in plan.features:
        meaning = msgspec.structs.replace(
            feature, definition=msgspec.structs.replace(
                feature.definition, description="", over=None, delay=None, where=None, steps=(), expression=None
            ),
        )  # fmt: skip
        found[feature.name] = (meaning, feature_sentence(feature))
    return found


def _rules(plan: Plan) -> dict[str, tuple[Any, str]]:
    return {
        rule.definition.code: ((rule.when, rule.definition.action, rule.score), rule_sentence(rule))
        for rule in plan.rules
    }


def _lists(plan: Plan) -> dict[str, tuple[Any, str]]:
    return {each.name: (each.values, f"{len(each.values)} values") for each in plan.lists}


def _model(plan: Plan) -> dict[str, tuple[Any, str]]:
    model = plan.pipeline.model
    if model is None:
        return {}
    parts = {"features": ", ".join(model.features), "missing": f"{model.missing:g}", "trainer": model.trainer}
    parts["name"] = model.name or plan.pipeline.name
    parts |= {f"parameters.{name}": str(value) for name, value in model.parameters.items()}
    return {name: (text, text) for name, text in parts.items()}


def _policy(plan: Plan) -> dict[str, tuple[Any, str]]:
    policy = plan.pipeline.policy
    parts: dict[str, Any] = {
        "medium": policy.medium,
        "high": policy.high,
        "critical": policy.critical,
        "review_at": policy.review_threshold,
        "block_at": policy.block_threshold,
        "precedence": " < ".join(policy.precedence),
        "fallback": fallback_sentence(policy),
        **dict(aims_sentences(policy)),
    }
    return {name: (value, str(value)) for name, value in parts.items()}


def _as(route: Route) -> str:
    return "" if route.format is Format.JSON else f", as {route.format.capitalize()}"


def _topics(plan: Plan) -> dict[str, tuple[Any, str]]:
    pipeline = plan.pipeline
    parts: dict[str, str] = {"name": pipeline.name, "input": pipeline.input.name}
    parts["input.format"] = pipeline.input.format.value
    if pipeline.labels is not None:
        parts["labels"] = pipeline.labels.name
    parts |= {f"routes.{route.topic}": f"{route.carries}, form {route.form}{_as(route)}" for route in pipeline.routes}
    parts["dead_letters"] = pipeline.dead_letters.name
    parts["control"] = pipeline.control.name
    if pipeline.model is not None:
        parts["shadow"] = pipeline.shadow.name
    parts["event.key"] = pipeline.event.key or "none"
    parts["event.amount"] = pipeline.event.amount or "none"
    parts["sensitive fields"] = ", ".join(field.name for field in pipeline.event.fields if field.sensitive) or "none"
    return {name: (text, text) for name, text in parts.items()}


def _state(plan: Plan) -> dict[str, object]:
    return describe_state(plan.pipeline.event, plan.logs, plan.dedup_ms)


def _shown(value: object) -> str:
    return "none" if value is None else str(value)


def _duration(value: object) -> str:
    return format_duration(value) if isinstance(value, int) and value > 0 else "not at all" if value == 0 else "unknown"
