"""Hashes that name definitions: equal hashes are equal meaning, whatever the text looked like."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from fraudstream.define.decision import ValueList
from fraudstream.define.monitoring import DEFAULT_LIMITS
from fraudstream.define.pipeline import Pipeline
from fraudstream.define.retention import KEEP_ALL
from fraudstream.plan.expression import canonical
from fraudstream.plan.plan import KeyedLog, PlannedRule, Stored, Versions
from fraudstream.schema.event import Event
from fraudstream.units import parse_duration


def digest(value: object) -> str:
    """The first 16 hex digits of the SHA-256 of a value's canonical JSON; definitions stand in it without defaults."""
    return hashlib.sha256(msgspec.json.encode(_said(value), order="deterministic")).hexdigest()[:16]


def _said(value: object) -> object:
    """What a definition says beyond its defaults.

    msgspec leaves a default out only where it is the very same object, and whether it is depends on where the
    definition was written: in a file, or in Python.
    """
    if isinstance(value, msgspec.Struct):
        names, defaults = value.__struct_fields__, value.__struct_defaults__
        defaults = (msgspec.NODEFAULT,) * (len(names) - len(defaults)) + defaults
        members = zip(names, (getattr(value, name) for name in names), defaults, strict=True)
        return {name: _said(given) for name, given, default in members if given != _made(default)}
    if isinstance(value, tuple | list):
        return [_said(each) for each in value]
    if isinstance(value, dict):
        return {name: _said(each) for name, each in value.items()}
    return value


def _made(default: Any) -> object:
    """A default as msgspec keeps it: of an empty list or dict what makes one."""
    return default.factory() if hasattr(default, "factory") else default


def describe_stored(stored: Stored) -> str:
    """What is kept for each event, as one line of text that does not depend on how its filter was written."""
    about = f" of {stored.of}" if stored.of else ""
    where = f" where {canonical(stored.where)}" if stored.where else ""
    steps = f" after {' then '.join(canonical(step) for step in stored.steps)}" if stored.steps else ""
    return f"{stored.kind}{about}{where}{steps}"


def describe_state(event: Event, logs: tuple[KeyedLog, ...], dedup_ms: int) -> dict[str, object]:
    """Everything that decides what is stored: the definition of the state's identity, and what `diff` compares.

    Every field belongs to it, used by a log or not: whether an event is a dead letter depends on all of them.
    """
    return {
        "fields": {
            field.name: [
                *(field.type, field.path or field.name, field.scale, field.format, field.required),
                *(["sensitive"] if field.sensitive else []),
            ]
            for field in event.fields
        },
        "id": event.id,
        "time": event.time,
        "max_bytes": event.max_bytes,
        "max_future_ms": parse_duration(event.max_future),
        "dedup_ms": dedup_ms,
        "logs": {
            log.name: {
                "retention_ms": log.retention_ms,
                "label_retention_ms": log.label_retention_ms,
                "stored": sorted(describe_stored(stored) for stored in log.stored),
                **({} if log.max_keys is None else {"max_keys": log.max_keys}),
            }
            for log in logs
        },
    }


def state_identity(event: Event, logs: tuple[KeyedLog, ...], dedup_ms: int) -> str:
    """The hash of everything that decides what is stored."""
    return digest(describe_state(event, logs, dedup_ms))


def versions_of(pipeline: Pipeline, rules: tuple[PlannedRule, ...], lists: tuple[ValueList, ...]) -> Versions:
    """The hashes a decision carries: of the whole pipeline, its rules and its lists' values."""
    # Lists count by their values, below: where their files lie differs from machine to machine.
    names_only = tuple(ValueList(name=each.name) for each in lists)
    return Versions(
        # When to raise an alarm decides nothing, and neither does how long things are kept.
        pipeline=digest(
            msgspec.structs.replace(pipeline, lists=names_only, monitor=DEFAULT_LIMITS, retention=KEEP_ALL)
        ),
        rules=digest(
            [[rule.definition.code, canonical(rule.when), rule.definition.action, rule.score] for rule in rules]
        ),
        lists=digest({each.name: each.values for each in lists}),
    )
