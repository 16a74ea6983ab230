"""A plan as text that a reviewer reads, and as plain values for machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fraudstream.define.decision import Action, Stage
from fraudstream.define.feature import FeatureKind
from fraudstream.define.pipeline import Format, Route, Topic
from fraudstream.plan.aims import aims_sentences
from fraudstream.plan.identity import describe_stored
from fraudstream.plan.plan import KeyedLog, Plan, Stored, StoredKind
from fraudstream.plan.sentences import (
    CARRIES,
    bands_sentence,
    fallback_sentence,
    feature_sentence,
    rule_sentence,
    thresholds_sentence,
)
from fraudstream.schema.types import type_of
from fraudstream.units import format_duration

_WORD_BYTES = 8
_STAGE_ACTIONS = {Stage.ALLOW: Action.ALLOW, Stage.REVIEW: Action.REVIEW, Stage.BLOCK: Action.BLOCK}


def explain(plan: Plan) -> str:
    """The whole plan as text, with a line at the end."""
    pipeline = plan.pipeline
    sections = [
        ("", [f"{pipeline.name}: {pipeline.description}" if pipeline.description else pipeline.name]),
        ("Event", _event_lines(plan)),
        ("Topics", _topic_lines(plan)),
        ("History", _history_lines(plan)),
        ("Features", _feature_lines(plan)),
        ("Rules, weakest first", _rule_lines(plan)),
        ("Decision", _decision_lines(plan)),
        ("Reasons of the model", _reason_lines(plan)),
        ("Versions", _version_lines(plan)),
    ]
    blocks = []
    for title, lines in sections:
        body = [f"  {line}" for line in lines] if title else lines
        if lines:
            blocks.append("\n".join([title, *body] if title else body))
    return "\n\n".join(blocks) + "\n"


def outline(plan: Plan) -> dict[str, Any]:
    """The same as plain values, for JSON."""
    pipeline, policy = plan.pipeline, plan.pipeline.policy
    return {
        "name": pipeline.name,
        "description": pipeline.description,
        "event": {
            "id": pipeline.event.id,
            "time": pipeline.event.time,
            "key": pipeline.event.key,
            "amount": pipeline.event.amount,
            "fields": {field.name: str(type_of(field)) for field in pipeline.event.fields},
            "dedup_ms": plan.dedup_ms,
        },
        "topics": {
            "input": pipeline.input.name,
            "labels": pipeline.labels.name if pipeline.labels else None,
            "routes": [
                {"topic": route.topic, "carries": route.carries, "form": route.form, "partitions": route.partitions}
                for route in pipeline.routes
            ],
            "dead_letters": pipeline.dead_letters.name,
            "control": pipeline.control.name,
            "shadow": pipeline.shadow.name if pipeline.model else None,
        },
        "logs": [
            {
                "by": log.by,
                "retention_ms": log.retention_ms,
                "label_retention_ms": log.label_retention_ms,
                "max_keys": log.max_keys,
                "stored": [describe_stored(stored) for stored in log.stored],
                "bytes_per_event": bytes_per_event(log),
                "features": [feature.name for feature in log.features],
            }
            for log in plan.logs
        ],
        "features": {
            feature.name: {"type": str(feature.type), "kind": feature.kind, "is": feature_sentence(feature)}
            for feature in plan.features
        },
        "rules": {
            rule.definition.code: {"action": rule.definition.action, "score": rule.score, "when": rule.definition.when}
            for rule in plan.rules
        },
        "model": {"features": pipeline.model.features, "trainer": pipeline.model.trainer} if pipeline.model else None,
        "reasons": {
            reason.code: {each.name: {"sentence": str(each.holds), "letter": each.letter} for each in reason.inputs}
            for reason in plan.reasons
        },
        "policy": {
            "medium": policy.medium,
            "high": policy.high,
            "critical": policy.critical,
            "review_at": policy.review_threshold,
            "block_at": policy.block_threshold,
            "precedence": policy.precedence,
            "fallback": policy.fallback,
            "budget": policy.budget,
            "costs": policy.costs,
            "let_through": policy.let_through,
        },
        "needs_one_process": needs_one_process(plan),
        "state_identity": plan.state_identity,
        "versions": {"pipeline": plan.versions.pipeline, "rules": plan.versions.rules, "lists": plan.versions.lists},
    }


def bytes_per_event(log: KeyedLog) -> int:
    """About how much memory an event takes in a log: its time, what is kept, and its place where order matters."""
    ordered = (StoredKind.CHAIN, StoredKind.FRAUD_TALLY)
    is_ordered = any(stored.kind in ordered or _is_coordinate(stored) for stored in log.stored)
    widths = [2 if stored.kind is StoredKind.SQUARES else 1 for stored in log.stored]
    return _WORD_BYTES * (1 + sum(widths) + (1 if is_ordered else 0))


def needs_one_process(plan: Plan) -> list[str]:
    """Features over keys that are spread over the input's partitions.

    They are exact only while one scorer process reads all partitions. A key that contains the topic's own key lies in
    one partition whole.
    """
    key = plan.pipeline.event.key
    return [feature.name for log in plan.logs if key is None or key not in log.by for feature in log.features]


def _is_coordinate(stored: Stored) -> bool:
    return stored.of is not None and stored.of.endswith((".lat", ".lon"))


def _event_lines(plan: Plan) -> list[str]:
    event = plan.pipeline.event
    dedup = f"; the same id again within {format_duration(plan.dedup_ms)} is a duplicate" if event.id else ""
    future = f", at most {format_duration(plan.max_future_ms)} ahead of Kafka's" if event.time else ""
    lines = [
        f"id      {event.id or 'the record itself (topic, partition, offset); nothing is a duplicate'}{dedup}",
        f"time    {event.time or 'the timestamp Kafka gave the record'}{future}",
        f"key     {event.key or 'none'}",
        f"amount  {event.amount or 'none'}",
    ]
    table = []
    for field in event.fields:
        notes = [] if field.required else ["may be missing"]
        notes += [f"at {field.path}"] if field.path else []
        notes += [f"or at {alias}" for alias in field.aliases]
        notes += ["sensitive: a token stands for it"] if field.sensitive else []
        shown = "location" if f"{field.name}.lat" in plan.types else str(type_of(field))
        table.append((field.name, shown, ", ".join(notes)))
    return [*lines, "fields", *(f"  {line}" for line in _aligned(table))]


def _form(route: Route) -> str:
    return f"form {route.form}" + ("" if route.format is Format.JSON else f", as {route.format.capitalize()}")


def _read(topic: Topic, what: str) -> tuple[str, str, str, str]:
    form = "" if topic.format is Format.JSON else f", as {topic.format.capitalize()}"
    return ("reads", topic.name, _partitions(topic.partitions), what + form)


def _topic_lines(plan: Plan) -> list[str]:
    pipeline = plan.pipeline
    key = f"keyed by {pipeline.event.key}" if pipeline.event.key else "in any order of keys"
    table = [_read(pipeline.input, f"events, {key}")]
    if pipeline.labels is not None:
        table.append(_read(pipeline.labels, "labels"))
    table += [
        ("writes", route.topic, _partitions(route.partitions), f"{CARRIES[route.carries]}, {_form(route)}")
        for route in pipeline.routes
    ]
    letters = pipeline.dead_letters
    table.append(("writes", letters.name, _partitions(letters.partitions), "what cannot become a decision"))
    control, shadow = pipeline.control, pipeline.shadow
    table.append(("reads", control.name, _partitions(control.partitions), "what is switched off"))
    if pipeline.model is not None:
        table.append(("writes", shadow.name, _partitions(shadow.partitions), "what other models would have decided"))
    return _aligned(table)


def _history_lines(plan: Plan) -> list[str]:
    lines: list[str] = []
    for log in plan.logs:
        kept = format_duration(log.retention_ms)
        lines.append(f"by {' and '.join(log.by)}: {kept} of events, about {bytes_per_event(log)} bytes each")
        lines += [f"  {describe_stored(stored)}" for stored in log.stored] or ["  times only"]
        if log.max_keys is not None:
            lines.append(f"  at most {log.max_keys:,} keys; the least recently seen are forgotten to make room")
    spread = needs_one_process(plan)
    if spread:
        key = plan.pipeline.event.key
        why = f"these are not by the topic's key ({key})" if key else "the topic has no key"
        lines.append(f"needs one scorer process for all partitions, because {why}:")
        lines += [f"  {line}" for line in _wrapped(spread)]
    return lines


def _feature_lines(plan: Plan) -> list[str]:
    return _aligned([(feature.name, str(feature.type), feature_sentence(feature)) for feature in plan.features])


def _rule_lines(plan: Plan) -> list[str]:
    """Rules in the order they speak; scoring rules speak with the model."""
    precedence = plan.pipeline.policy.precedence
    order = {_STAGE_ACTIONS.get(stage, Action.SCORE): i for i, stage in enumerate(precedence)}
    silent = len(precedence)
    rules = sorted(plan.rules, key=lambda rule: order.get(rule.definition.action, silent))
    table = []
    for rule in rules:
        unheard = "" if rule.definition.action in order else "; not heard: the policy's precedence leaves it out"
        table.append((rule.definition.code, rule_sentence(rule) + unheard))
    return _aligned(table)


def _decision_lines(plan: Plan) -> list[str]:
    pipeline, policy = plan.pipeline, plan.pipeline.policy
    lines = [
        f"risk level  {bands_sentence(policy)}",
        f"outcome     {thresholds_sentence(policy)}",
        f"precedence  {' < '.join(policy.precedence)}",
        *(f"{name:<11} {sentence}" for name, sentence in aims_sentences(policy)),
    ]
    for each in plan.lists:
        users = [f.name for f in plan.features if f.kind is FeatureKind.IN_LIST and f.definition.list == each.name]
        lines.append(f"list        {each.name}: {len(each.values)} values, read by {', '.join(users) or 'nothing'}")
    if pipeline.model is None:
        return [*lines, "model       none: rules alone decide"]
    chosen = "".join(f", {name} {value}" for name, value in pipeline.model.parameters.items())
    lines.append(f"model       {pipeline.model.trainer}{chosen}, {len(pipeline.model.features)} inputs:")
    lines += [f"  {line}" for line in _wrapped(pipeline.model.features)]
    return [*lines, f"without it  {fallback_sentence(policy)}"]


def _reason_lines(plan: Plan) -> list[str]:
    """Each code with what stands in a letter, and below it what an analyst reads of each of its inputs."""
    lines: list[str] = []
    for reason in plan.reasons:
        lines.append(f"{reason.code}: {' / '.join(dict.fromkeys(each.letter for each in reason.inputs))}")
        lines += [f"  {sentence}" for sentence in dict.fromkeys(str(each.holds) for each in reason.inputs)]
    return lines


def _version_lines(plan: Plan) -> list[str]:
    versions = plan.versions
    rows = [("state", plan.state_identity), ("pipeline", versions.pipeline), ("rules", versions.rules)]
    return _aligned([*rows, ("lists", versions.lists)])


def _partitions(count: int) -> str:
    return f"{count} partition{'s' if count != 1 else ''}"


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Rows with their columns lined up, two spaces between."""
    if not table:
        return []
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def _wrapped(names: Sequence[str], width: int = 100) -> list[str]:
    """Names with commas, in lines of at most that width where names allow."""
    lines, line = [], ""
    for i, name in enumerate(names):
        piece = name + ("," if i < len(names) - 1 else "")
        if line and len(line) + 1 + len(piece) > width:
            lines.append(line)
            line = piece
        else:
            line = f"{line} {piece}".strip()
    return [*lines, line] if line else lines
