"""Features planned: shapes checked, types settled, expressions ordered, histories gathered by key."""

from __future__ import annotations

from collections.abc import Set
from graphlib import CycleError, TopologicalSorter

from fraudstream.define.feature import Feature, FeatureKind
from fraudstream.define.reader import suggestion
from fraudstream.plan.check import NAME
from fraudstream.plan.kinds import KEYS, TRAITS, known_frauds
from fraudstream.plan.plan import KeyedLog, PlannedFeature
from fraudstream.plan.scope import Scope, words_of
from fraudstream.schema.types import Kind

_ATTRIBUTES = (
    *("of", "by", "over", "where", "prior", "clean", "times", "mean_over", "delay", "list", "steps", "expression"),
)
_MOST_STEPS = 8


def plan_features(scope: Scope) -> tuple[PlannedFeature, ...]:
    """All features, those over history first, then expressions, each after those it uses.

    Afterwards the scope knows the features' types, and which of them are broken.
    """
    declared = _declared(scope)
    planned: dict[str, PlannedFeature] = {}
    histories = [name for name, feature in declared.items() if feature.kind is not FeatureKind.EXPRESSION]
    expressions = {name: feature for name, feature in declared.items() if name not in histories}
    for name in (*histories, *_ordered(scope, expressions)):
        feature = declared[name]
        before = len(scope.problems)
        result = _expression(scope, feature) if name in expressions else _history(scope, feature)
        if result is None or len(scope.problems) > before:
            scope.broken.add(name)
        else:
            planned[name] = result
            scope.types[name] = result.type
    return tuple(planned.values())


def logs_of(features: tuple[PlannedFeature, ...], max_keys: int | None = None) -> tuple[KeyedLog, ...]:
    """The keyed logs that features read, in order of first use, each of at most so many keys."""
    grouped: dict[tuple[str, ...], list[PlannedFeature]] = {}
    for feature in features:
        if feature.definition.by:
            grouped.setdefault(feature.definition.by, []).append(feature)
    return tuple(
        KeyedLog(
            by=by,
            retention_ms=max(feature.look_back_ms for feature in members),
            stored=tuple(dict.fromkeys(stored for feature in members for stored in feature.stored)),
            features=tuple(members),
            label_retention_ms=max((f.look_back_ms for f in members if f.reads_labels), default=0),
            max_keys=max_keys,
        )
        for by, members in grouped.items()
    )


def _declared(scope: Scope) -> dict[str, Feature]:
    declared: dict[str, Feature] = {}
    for i, feature in enumerate(scope.pipeline.features):
        path = f"features.{feature.name or i}"
        if not NAME.fullmatch(feature.name):
            scope.problem(path, f"{feature.name[:80]!r} is not a feature name.", "Use letters, digits and '_'.")
        elif feature.name in declared or feature.name in scope.field_types:
            scope.problem(path, "the name is taken.", "Names of fields and features must all differ.")
        else:
            declared[feature.name] = feature
    return declared


def _ordered(scope: Scope, expressions: dict[str, Feature]) -> list[str]:
    """Names of expression features, each after those it uses, otherwise as declared."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name, feature in expressions.items():
        words = words_of(feature.expression or "")
        sorter.add(name, *(other for other in expressions if other in words))
    try:
        return list(sorter.static_order())
    except CycleError as error:
        circle = list(reversed(error.args[1]))
        found = f"expressions use each other in a circle: {' → '.join(circle)}."
        scope.problem(f"features.{circle[0]}", found, "Break the circle.")
        scope.broken.update(circle)
        return _ordered(scope, {name: feature for name, feature in expressions.items() if name not in circle})


def _has_shape(scope: Scope, feature: Feature) -> bool:
    """Whether the attributes given are those the kind needs and takes."""
    traits = TRAITS[feature.kind]
    given = {name for name in _ATTRIBUTES if getattr(feature, name) not in (None, False, "", ())}
    path = f"features.{feature.name}"
    missing, extra = traits.needs - given, given - traits.needs - traits.takes
    advice = f"It takes {_joined(traits.needs | traits.takes)}."
    if missing:
        scope.problem(path, f"{feature.kind} needs {_joined(missing)}.", advice)
    if extra:
        scope.problem(path, f"{feature.kind} does not take {_joined(extra)}.", advice)
    return not missing and not extra


def _history(scope: Scope, feature: Feature) -> PlannedFeature | None:
    if not _has_shape(scope, feature):
        return None
    path, traits = f"features.{feature.name}", TRAITS[feature.kind]
    of = scope.field(f"{path}.of", feature.of, traits.of) if feature.of is not None else None
    if of is not None and traits.location and f"{feature.of}.lat" not in scope.field_types:
        scope.problem(f"{path}.of", f"{feature.of!r} is {of}.", "Allowed here: location.")
    keys = [scope.field(f"{path}.by", field, KEYS) for field in feature.by]
    if len(set(feature.by)) != len(feature.by):
        scope.problem(f"{path}.by", "a field is named twice.", "Name each field of the key once.")
    if feature.list is not None and feature.list not in scope.broken:
        lists = [each.name for each in scope.pipeline.lists]
        if feature.list not in lists:
            scope.problem(f"{path}.list", f"no list {feature.list!r}.", suggestion(feature.list, lists))
    over_ms = scope.duration(f"{path}.over", feature.over)
    delay_ms = scope.duration(f"{path}.delay", feature.delay)
    mean_over_ms = scope.duration(f"{path}.mean_over", feature.mean_over)
    if feature.times is not None and feature.times <= 0:
        scope.problem(f"{path}.times", f"{feature.times:g} is not above 0.", "Write how many times the mean, like 3.")
    if "delay" in traits.needs or feature.clean:
        _check_labels(scope, path, feature)
    where = scope.predicate(f"{path}.where", feature.where) if feature.where else None
    steps = [scope.predicate(f"{path}.steps.{i}", step) for i, step in enumerate(feature.steps)]
    if feature.steps and not 2 <= len(steps) <= _MOST_STEPS:
        count = f"{len(steps)} step{'s' if len(steps) != 1 else ''}."
        scope.problem(f"{path}.steps", count, f"Give two to {_MOST_STEPS}; one step is a `count` with `where`.")
    parsed = tuple(step for step in steps if step is not None)
    is_silently_broken = (
        (feature.of is not None and of is None)
        or None in keys
        or (feature.where and where is None)
        or len(parsed) < len(steps)
    )
    result = traits.result or of
    if is_silently_broken or result is None:
        return None
    stored = traits.stored(feature.of, where, parsed)
    return PlannedFeature(
        definition=feature,
        type=result,
        over_ms=over_ms,
        delay_ms=delay_ms,
        mean_over_ms=mean_over_ms,
        where=where,
        steps=parsed,
        stored=known_frauds(stored) if feature.clean else stored,
    )


def _check_labels(scope: Scope, path: str, feature: Feature) -> None:
    what = "clean" if feature.clean else feature.kind
    if scope.pipeline.labels is None:
        advice = "Declare `labels: fraud-labels`, the topic they come from."
        scope.problem(path, f"{what} needs labels.", advice)
    if scope.pipeline.event.id is None:
        scope.problem(path, f"{what} needs an event id.", "Declare `event.id`: labels name events by it.")


def _expression(scope: Scope, feature: Feature) -> PlannedFeature | None:
    if not _has_shape(scope, feature):
        return None
    path = f"features.{feature.name}.expression"
    node = scope.parse(path, feature.expression or "", scope.types, boolean=False)
    if node is None:
        return None
    if node.type.kind is Kind.STRING:
        scope.problem(path, "the result is text.", "A feature is a number, a boolean or an instant.")
        return None
    return PlannedFeature(definition=feature, type=node.type, expression=node)


def _joined(names: Set[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))
