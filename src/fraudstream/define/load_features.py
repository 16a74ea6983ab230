"""The features of a pipeline's file: the kind is the key of what it looks at, and `{over}` makes several."""

from __future__ import annotations

from typing import Any

from fraudstream.define.feature import Feature, FeatureKind
from fraudstream.define.reader import Reader
from fraudstream.define.yaml_tree import Node

FEATURE_KEYS = (*("by", "over", "where", "prior", "clean", "times", "mean_over", "delay", "list", "description"),)


def read_features(read: Reader, node: Node | None) -> tuple[Feature, ...]:
    """The features, windows written out; one with a problem is noted as broken."""
    features: dict[str, Feature] = {}
    for template, each in read.mapping("features", node).items():
        before = len(read.problems)
        made = _expanded(read, template, each)
        names = [feature.name for feature in made] or _names(template, each)
        for place, name in enumerate(names):
            if name in features or name in names[:place]:
                advice = "Names of features must differ, also after {over} is filled in."
                read.problem(f"features.{name}", each.line, "declared twice.", advice)
        if len(read.problems) > before:
            read.broken.update(names)
        # One with a slip is kept as far as it could be read, so that the rest of it is checked, too.
        for feature in made:
            features.setdefault(feature.name, feature)
        for name in names:
            read.lines.setdefault(f"features.{name}", each.line)
    return tuple(features.values())


def _names(template: str, node: Node) -> list[str]:
    """The names an entry was meant to make, as far as its windows can be read."""
    over = node.value.get("over") if isinstance(node.value, dict) else None
    items = over.value if over is not None and isinstance(over.value, list) else [over]
    lengths = [item.value for item in items if item is not None and isinstance(item.value, str)]
    return [template.replace("{over}", length) for length in lengths] or [template]


def _expanded(read: Reader, template: str, node: Node) -> list[Feature]:
    """The features of one entry: one, or one for each of its window lengths."""
    path = f"features.{template}"
    kinds = [kind.value for kind in FeatureKind]
    if not isinstance(node.value, dict):
        advice = "Write its kind and the rest: `{count: , by: card, over: 1h}`."
        read.problem(path, node.line, f"{node.shown} where a feature belongs.", advice)
        return []
    parts = read.mapping(path, node, (*kinds, *FEATURE_KEYS))
    named = [key for key in parts if key in kinds]
    if not named and len(parts) < len(node.value):
        return []  # the key that was not known is the kind, misspelt
    if len(named) != 1:
        found = "has no kind." if not named else f"has several kinds: {', '.join(named)}."
        read.problem(path, node.line, found, f"Give one of: {', '.join(kinds)}.")
        return []
    kind = FeatureKind(named[0])
    given = _value_of_kind(read, path, kind, parts[kind.value])
    lengths = read.texts(f"{path}.over", parts.get("over")) or (None,)
    if len(lengths) > 1 and "{over}" not in template:
        read.problem(path, node.line, "several windows, one name.", "Put `{over}` in the name.")
        lengths = lengths[:1]
    description = read.text(f"{path}.description", parts.get("description")) or ""
    common: dict[str, Any] = {
        "kind": kind,
        "by": read.texts(f"{path}.by", parts.get("by")),
        "where": read.text(f"{path}.where", parts.get("where")),
        "prior": read.boolean(f"{path}.prior", parts.get("prior"), False),
        "clean": read.boolean(f"{path}.clean", parts.get("clean"), False),
        "times": read.number(f"{path}.times", parts.get("times")),
        "mean_over": read.text(f"{path}.mean_over", parts.get("mean_over")),
        "delay": read.text(f"{path}.delay", parts.get("delay")),
        "list": read.text(f"{path}.list", parts.get("list")),
        **given,
    }
    return [
        Feature(
            name=template.replace("{over}", length or "over"),
            over=length,
            description=description.replace("{over}", length or "") if "{over}" in template else description,
            **common,
        )
        for length in lengths
    ]


def _value_of_kind(read: Reader, path: str, kind: FeatureKind, node: Node) -> dict[str, object]:
    """What stands behind the kind: its field, its steps or its expression."""
    path = f"{path}.{kind}"
    if kind is FeatureKind.SEQUENCE:
        return {"steps": read.texts(path, node)}
    text = read.text(path, node)
    if kind is FeatureKind.EXPRESSION:
        return {"expression": text}
    return {} if text is None or (text == "true" and not node.quoted) else {"of": text}
