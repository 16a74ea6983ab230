"""A pipeline as YAML: the text that `load` reads back to the same value."""

from __future__ import annotations

from typing import Any

import msgspec

from fraudstream.define.decision import ModelRef, Reason, Rule, ValueList
from fraudstream.define.feature import Feature, FeatureKind
from fraudstream.define.pipeline import DEFAULT_CONTROL, DEFAULT_ROUTES, DEFAULT_SHADOW, Format, Pipeline, Route, Topic
from fraudstream.schema.event import Event, Field, FieldType


def to_yaml(pipeline: Pipeline) -> str:
    """The pipeline as YAML, in the order a reader wants: what it reads, features, rules, model, policy.

    The files of lists are written as they are, so they must make sense from where the text is read again.
    """
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes features and fields on one line each, and never an alias."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    Dumper.add_representer(
        _OneLine, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data, flow_style=True)
    )
    Dumper.add_representer(
        _Quoted, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="'")
    )
    document = _document(pipeline)
    return yaml.dump(document, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=118, default_flow_style=False)


class _Quoted(str):
    """A text to be written in quotes."""


class _OneLine(dict[str, Any]):
    """A mapping to be written on one line."""


def _document(pipeline: Pipeline) -> dict[str, Any]:
    document: dict[str, Any] = {"name": _text(pipeline.name)}
    if pipeline.description:
        document["description"] = _text(pipeline.description)
    document["event"] = _event(pipeline.event)
    document["input"] = _topic(pipeline.input, 6)
    if pipeline.labels is not None:
        document["labels"] = _topic(pipeline.labels, 6)
    document["dead_letters"] = _topic(pipeline.dead_letters, 1)
    for name, topic, usual in (
        ("control", pipeline.control, DEFAULT_CONTROL),
        ("shadow", pipeline.shadow, DEFAULT_SHADOW),
    ):
        if topic != usual:
            document[name] = _topic(topic, usual.partitions)
    if pipeline.routes != DEFAULT_ROUTES:
        document["routes"] = [_route(route) for route in pipeline.routes]
    if pipeline.lists:
        document["lists"] = {each.name: _list(each) for each in pipeline.lists}
    if pipeline.features:
        document["features"] = {feature.name: _feature(feature) for feature in pipeline.features}
    if pipeline.max_keys is not None:
        document["max_keys"] = pipeline.max_keys
    if pipeline.rules:
        document["rules"] = {rule.code: _with_code(rule) for rule in pipeline.rules}
    if pipeline.model is not None:
        document["model"] = _plain(pipeline.model) | _parameters(pipeline.model)
    if pipeline.reasons:
        document["reasons"] = {reason.code: _with_code(reason) for reason in pipeline.reasons}
    policy = {
        key: _OneLine(value) if isinstance(value, dict) else value for key, value in _plain(pipeline.policy).items()
    }
    if policy:
        document["policy"] = policy
    limits = _plain(pipeline.monitor)
    if limits:
        document["monitor"] = limits
    retention = _plain(pipeline.retention)
    if pipeline.retention.topics:
        retention["topics"] = {_text(name): _text(keep) for name, keep in pipeline.retention.topics}
    if retention:
        document["retention"] = retention
    return document


def _event(event: Event) -> dict[str, Any]:
    roles = {key: value for key, value in _plain(event).items() if key != "fields"}
    return {**roles, "fields": {field.name: _field(field) for field in event.fields}}


def _field(field: Field) -> Any:
    """The short form (`decimal(2)?`) where it says everything, else a mapping."""
    plain = _plain(field)
    short = field.type.value
    if field.type is FieldType.DECIMAL:
        short += f"({plain.pop('scale', 2)})"
    else:
        plain.pop("scale", None)  # says nothing about the other types
    short += "" if plain.pop("required", True) else "?"
    rest = {key: value for key, value in plain.items() if key not in ("name", "type")}
    return _OneLine(type=short, **rest) if rest else short


def _topic(topic: Topic, usual_partitions: int) -> Any:
    name = _text(topic.name)
    more: dict[str, Any] = {} if topic.partitions == usual_partitions else {"partitions": topic.partitions}
    more |= {} if topic.format is Format.JSON else {"format": topic.format.value}
    return _OneLine(name=name, **more) if more else name


def _route(route: Route) -> dict[str, Any]:
    return _OneLine(_plain(route))


def _list(each: ValueList) -> dict[str, Any]:
    return {key: value for key, value in _plain(each).items() if key != "name"}


def _feature(feature: Feature) -> dict[str, Any]:
    """The kind as the key of its field, steps or expression; then the rest."""
    plain = _plain(feature)
    kind = FeatureKind(plain.pop("kind"))
    value = plain.pop({FeatureKind.SEQUENCE: "steps", FeatureKind.EXPRESSION: "expression"}.get(kind, "of"), None)
    by = plain.pop("by", [])
    keys = {"by": by[0] if len(by) == 1 else by} if by else {}
    rest = {key: value for key, value in plain.items() if key != "name"}
    return _OneLine({kind.value: value, **keys, **rest})


def _with_code(rule: Rule | Reason) -> dict[str, Any]:
    return {key: value for key, value in _plain(rule).items() if key != "code"}


def _parameters(model: ModelRef) -> dict[str, Any]:
    """The trainer's parameters: texts in quotes, because a plain `1e5` would be read as a number."""

    def written(value: Any) -> Any:
        if isinstance(value, tuple):
            return [written(each) for each in value]
        return _Quoted(_text(value)) if isinstance(value, str) else value

    return {"parameters": {name: written(each) for name, each in model.parameters.items()}} if model.parameters else {}


def _plain(value: msgspec.Struct) -> dict[str, Any]:
    """A struct as plain values without what is at its default; texts escaped."""
    plain = msgspec.to_builtins(value)
    return {key: _escaped(each) for key, each in plain.items()}


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    return [_escaped(each) for each in value] if isinstance(value, (list, tuple)) else value


def _text(text: str) -> str:
    """`${` is where a variable begins; a literal one is written `$${`."""
    return text.replace("${", "$${")
