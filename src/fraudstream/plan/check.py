"""Checks of what stands around features and rules: names, topics, the event, lists, the model and the policy."""

from __future__ import annotations

import math
import re
from pathlib import Path

from fraudstream.define.decision import ValueList
from fraudstream.define.feature import FeatureKind
from fraudstream.define.pipeline import Form, Format
from fraudstream.define.reader import suggestion
from fraudstream.plan.kinds import KEYS
from fraudstream.plan.scope import Scope
from fraudstream.plan.trainers import check_trainer
from fraudstream.schema.event import Event, Field, FieldType
from fraudstream.schema.types import FLOAT, Kind, type_of
from fraudstream.units import MILLISECONDS, format_duration, parse_duration

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_PIPELINE_NAME = re.compile(r"(?=.{1,63}$)[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TOPIC_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}")
MOST_KEYS = 2**30
DAY_MS = MILLISECONDS["d"]
_ROLES = {
    "id": KEYS,
    "time": frozenset({Kind.TIMESTAMP}),
    "key": KEYS,
    "amount": frozenset({Kind.DECIMAL, Kind.INTEGER}),
}

LARGEST_EVENT = 917_504
"""Bytes: with 128 KiB of decision around it, what Kafka's default limit of a record lets through."""


def check_topics(scope: Scope) -> None:
    """The pipeline's name, and its topics: named rightly, each once."""
    pipeline = scope.pipeline
    if not _PIPELINE_NAME.fullmatch(pipeline.name):
        scope.problem("name", f"{pipeline.name[:80]!r} is not a pipeline name.", "Use lower case words and dashes.")
    topics = {"input": pipeline.input, "labels": pipeline.labels, "dead_letters": pipeline.dead_letters}
    topics |= {"control": pipeline.control, "shadow": pipeline.shadow if pipeline.model is not None else None}
    named = [(path, topic.name, topic.partitions) for path, topic in topics.items() if topic is not None]
    named += [(f"routes.{i}", route.topic, route.partitions) for i, route in enumerate(pipeline.routes)]
    seen: dict[str, str] = {}
    for path, name, partitions in named:
        if not _TOPIC_NAME.fullmatch(name):
            advice = "Use letters, digits, '.', '_' and '-', at most 249."
            scope.problem(path, f"{name[:80]!r} is not a topic name.", advice)
        elif name in seen:
            scope.problem(path, f"topic {name!r} is also `{seen[name]}`.", "Give each a topic of its own.")
        if not 1 <= partitions <= 10_000:
            scope.problem(path, f"{partitions} partitions.", "Use 1 to 10000.")
        seen[name] = path
    for path, topic in topics.items():
        if topic is not None and topic.format is not Format.JSON and path != "input":
            scope.problem(f"{path}.format", f"{topic.format}.", "Only the input may be other than JSON.")
    for i, route in enumerate(pipeline.routes):
        if route.format is not Format.JSON and route.form is not Form.ENVELOPE:
            found = f"{route.form} as {route.format.capitalize()}."
            scope.problem(f"routes.{i}.format", found, "Only envelopes may be other than JSON.")
    if pipeline.routes and not pipeline.json_routes:
        advice = "Add one: sinks, alerts and proofs read no other."
        scope.problem("routes", "no route is JSON.", advice)
    if not pipeline.routes:
        scope.problem("routes", "no route: decisions would go nowhere.", "Add at least one topic.")


def check_event(scope: Scope) -> None:
    """The event's fields and roles; afterwards the scope knows the fields' types."""
    event = scope.pipeline.event
    for i, field in enumerate(event.fields):
        _check_field(scope, f"event.fields.{field.name or i}", field)
        scope.field_types[field.name] = type_of(field)
        if field.type is FieldType.LOCATION:
            scope.field_types |= {f"{field.name}.lat": FLOAT, f"{field.name}.lon": FLOAT}
    scope.types |= scope.field_types
    if not event.fields and not scope.broken:
        scope.problem("event.fields", "no fields.", "List the fields with their types.")
        return
    for role, kinds in _ROLES.items():
        name = getattr(event, role)
        if name is not None:
            found = event.field(name)
            if found is not None and found.type is FieldType.LOCATION:
                scope.problem(f"event.{role}", f"{name!r} is a location.", f"Allowed here: {', '.join(sorted(kinds))}.")
            else:
                scope.field(f"event.{role}", name, kinds)
    for role in ("id", "time"):
        field_of_role = event.field(getattr(event, role) or "")
        if field_of_role is not None and not field_of_role.required:
            found_optional = f"{field_of_role.name!r} is not required."
            scope.problem(f"event.{role}", found_optional, "An event's id and time must be there.")
    _check_paths(scope, event)
    _check_sensitive(scope, event)
    scope.duration("event.max_future", event.max_future)
    scope.duration("event.dedup", event.dedup)
    if not 2 <= event.max_bytes <= LARGEST_EVENT:
        scope.problem("event.max_bytes", f"{event.max_bytes} bytes.", f"Use 2 to {LARGEST_EVENT}.")


def _check_field(scope: Scope, path: str, field: Field) -> None:
    if not NAME.fullmatch(field.name):
        advice = "Use letters, digits and '_', and say `path` where it stands elsewhere."
        scope.problem(path, f"{field.name[:80]!r} is not a field name.", advice)
    if field.name in scope.field_types:
        scope.problem(path, "declared twice.", "Each field has one declaration.")
    if field.type is FieldType.DECIMAL and not 0 <= field.scale <= 9:
        scope.problem(f"{path}.scale", f"{field.scale} digits.", "Use 0 to 9.")
    for key, each in (("path", field.path), *(("aliases", alias) for alias in field.aliases)):
        if each is not None and not all(each.split(".")):
            scope.problem(f"{path}.{key}", f"{each!r} is not a path.", "Write names with dots between: `card.hash`.")


def _check_paths(scope: Scope, event: Event) -> None:
    """No field stands inside another one: a value cannot be an object for one and a number for the other."""
    paths = {path: field.name for field in event.fields for path in field.paths}
    for path, name in paths.items():
        parts = path.split(".")
        for length in range(1, len(parts)):
            outer = paths.get(".".join(parts[:length]))
            if outer is not None:
                found = f"{path!r} lies inside {outer!r}, which is a field as well."
                scope.problem(f"event.fields.{name}.path", found, "Read one or the other.")


def _check_sensitive(scope: Scope, event: Event) -> None:
    """Sensitive fields are texts or integers, and no other field reads the same value as it is."""
    for field in (each for each in event.fields if each.sensitive):
        path = f"event.fields.{field.name}.sensitive"
        if field.type not in (FieldType.STRING, FieldType.INTEGER):
            advice = "Only string and integer can be: a token takes the value's place, and nothing is computed of it."
            scope.problem(path, f"{field.type} cannot be sensitive.", advice)
        own = set(field.paths)
        twin = next((each.name for each in event.fields if each is not field and own & {*each.paths}), None)
        if twin is not None:
            scope.problem(path, f"{twin!r} reads the same value.", "Declare each sensitive value once.")


def read_lists(scope: Scope) -> tuple[ValueList, ...]:
    """The lists with the values of their files."""
    loaded: dict[str, ValueList] = {}
    for i, each in enumerate(scope.pipeline.lists):
        path = f"lists.{each.name or i}"
        if not NAME.fullmatch(each.name):
            scope.problem(path, f"{each.name[:80]!r} is not a list's name.", "Use letters, digits and '_'.")
        if each.name in loaded:
            scope.problem(path, "declared twice.", "Each list has one declaration.")
        values = each.values
        if each.file is not None:
            try:
                values = (*values, *_lines(Path(each.file)))
            except (OSError, ValueError) as error:
                found = f"cannot read {each.file!r}: {getattr(error, 'strerror', None) or error}."
                scope.problem(f"{path}.file", found, "Give a UTF-8 text file with one value a line.")
        loaded[each.name] = ValueList(name=each.name, values=tuple(sorted(set(values))), file=each.file)
    return tuple(loaded.values())


def sensitive_lists(scope: Scope) -> dict[str, str]:
    """The lists that sensitive fields are looked up in, each with such a field; no other field is looked up there."""
    sensitive = scope.pipeline.event.sensitive
    users: dict[str, set[str]] = {}
    for feature in scope.pipeline.features:
        if feature.kind is FeatureKind.IN_LIST and feature.list is not None and feature.of is not None:
            users.setdefault(feature.list, set()).add(feature.of)
    for name, of in users.items():
        if of & sensitive and of - sensitive:
            found = f"{min(of & sensitive)!r}, which is sensitive, and {min(of - sensitive)!r} are looked up in it."
            scope.problem(f"lists.{name}", found, "Make two lists of it: tokens stand for the values of one.")
    return {name: min(of) for name, of in users.items() if of & sensitive}


def _lines(path: Path) -> list[str]:
    """The values in a list's file: one a line, `#` starts a comment."""
    if path.exists() and not path.is_file():
        raise OSError("it is not a file")  # a device or a pipe could be read for ever
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8-sig").splitlines())
    return [line for line in lines if line]


def check_max_keys(scope: Scope) -> None:
    """The cap on keys is a number that makes sense."""
    most = scope.pipeline.max_keys
    if most is not None and not 1 <= most <= MOST_KEYS:
        advice = f"Use a whole number from 1 to {MOST_KEYS}, or leave it out for any number of keys."
        scope.problem("max_keys", f"{most} keys.", advice)


def check_model(scope: Scope) -> None:
    """The model's inputs exist and are numbers or booleans."""
    model = scope.pipeline.model
    if model is None:
        return
    if not model.features:
        scope.problem("model.features", "no inputs.", "Name numeric or boolean fields and features.")
    repeated = sorted({name for name in model.features if model.features.count(name) > 1})
    if repeated:
        scope.problem("model.features", f"{repeated[0]!r} is given twice.", "Name each input once.")
    for name in dict.fromkeys(model.features):
        found = scope.types.get(name)
        if found is None:
            if name not in scope.broken:
                scope.problem("model.features", f"no field or feature {name!r}.", suggestion(name, scope.types))
        elif found.kind in (Kind.STRING, Kind.TIMESTAMP):
            scope.problem("model.features", f"{name!r} is {found}.", "A model takes numbers and booleans.")
    if model.name is not None and not _PIPELINE_NAME.fullmatch(model.name):
        scope.problem("model.name", f"{model.name[:80]!r} is not a model's name.", "Use lower case words and dashes.")
    check_trainer(scope, model)
    if not math.isfinite(model.missing):
        scope.problem("model.missing", f"{model.missing} is not a number.", "Use a finite number, like -1.")


def check_policy(scope: Scope) -> None:
    """Bands and thresholds rise; a stage speaks once."""
    policy = scope.pipeline.policy
    if not 0 <= policy.medium <= policy.high <= policy.critical <= 1:
        found = f"bands medium {policy.medium}, high {policy.high}, critical {policy.critical}."
        scope.problem("policy", found, "They must rise from 0 to 1.")
    if not 0 <= policy.review_threshold <= policy.block_threshold <= 1:
        found = f"review at {policy.review_threshold}, block at {policy.block_threshold}."
        scope.problem("policy", found, "They must rise from 0 to 1.")
    if len(set(policy.precedence)) != len(policy.precedence):
        advice = "Name each of allow, model, review, block at most once."
        scope.problem("policy.precedence", "a stage is named twice.", advice)


def check_retention(scope: Scope) -> None:
    """What is kept is kept for whole days: the store and the lake delete by days."""
    retention = scope.pipeline.retention
    for name in retention.__struct_fields__:
        text = getattr(retention, name)
        if name != "topics" and scope.duration(f"retention.{name}", text) % DAY_MS:
            scope.problem(f"retention.{name}", f"{text!r} is not a number of whole days.", "Write 30d or 2w.")
    known = {name for name, _ in scope.pipeline.topics_to_create()} - {*scope.pipeline.compacted_topics()}
    for name, text in retention.topics:
        path = f"retention.topics.{name}"
        if name not in known:
            scope.problem(path, f"{name[:80]!r} is no topic whose records go by age.", suggestion(name, known))
        scope.duration(path, text)


def check_inputs_kept(scope: Scope, longest_ms: int) -> None:
    """The topics that state is rebuilt from are kept for the longest look-back at least."""
    labels = scope.pipeline.labels
    inputs = {scope.pipeline.input.name, *(() if labels is None else (labels.name,))}
    for name, text in scope.pipeline.retention.topics:
        if name in inputs and parse_duration(text) < longest_ms:
            found = f"{text!r} is less than features look back, {format_duration(longest_ms)}."
            scope.problem(f"retention.topics.{name}", found, "State is rebuilt from it: keep it for longer than that.")


def check_limits(scope: Scope) -> None:
    """Limits of monitoring are numbers that can be passed."""
    limits = scope.pipeline.monitor
    shares = ("null_rate", "out_of_range", "degraded", "average_precision_loss", "precision", "recall", "ks")
    for name in limits.__struct_fields__:
        value = getattr(limits, name)
        if value is None:
            continue
        least, most = (1.0, math.inf) if name in ("alert_ratio", "least_decisions", "least_frauds") else (0.0, math.inf)
        most = 1.0 if name in shares else most
        if not least <= value <= most:
            advice = f"Use {least:g} to {most:g}." if name in shares else f"Use {least:g} or more."
            scope.problem(f"monitor.{name}", f"{value:g}.", advice)
