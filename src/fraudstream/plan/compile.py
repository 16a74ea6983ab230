"""Pipeline in, plan out: every check a definition can fail, all problems at once."""

from __future__ import annotations

import re
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from fraudstream.define.decision import Action, Rule, ValueList
from fraudstream.define.feature import Feature, FeatureKind
from fraudstream.define.pipeline import Pipeline
from fraudstream.errors import DefinitionError, Problem
from fraudstream.plan.expression import Node, references
from fraudstream.plan.identity import state_identity, versions_of
from fraudstream.plan.kinds import KEYS, TRAITS
from fraudstream.plan.parse import ExpressionError, parse
from fraudstream.plan.plan import KeyedLog, Plan, PlannedFeature, PlannedRule, Stored
from fraudstream.schema.columns import columns_of
from fraudstream.schema.event import FieldType
from fraudstream.schema.types import FLOAT, Kind, ValueType, type_of
from fraudstream.units import parse_duration

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_PIPELINE_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,62}")
_ATTRIBUTES = ("of", "by", "over", "where", "prior", "delay", "list", "steps", "expression")


def plan_of(pipeline: Pipeline, source: str | None = None) -> Plan:
    """The plan of a pipeline.

    Args:
        pipeline: What was declared.
        source: What to call it in an error: the file's name.

    Raises:
        DefinitionError: With every problem found.
    """
    planner = _Planner(pipeline)
    plan = planner.plan()
    if plan is None:
        raise DefinitionError(source or f"pipeline {pipeline.name!r}", planner.problems)
    return plan


def suggestion(name: str, known: list[str]) -> str:
    """Advice for an unknown name: the closest known one, else all of them."""
    close = get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(sorted(known)) or 'none'}."


class _Planner:
    """Collects problems while it builds the plan's parts."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.problems: list[Problem] = []
        self.field_types: dict[str, ValueType] = {}
        self.types: dict[str, ValueType] = {}

    def problem(self, path: str, found: str, advice: str = "") -> None:
        self.problems.append(Problem(path, found, advice))

    def plan(self) -> Plan | None:
        pipeline = self.pipeline
        self._check_names()
        self._check_event()
        lists = self._lists()
        features = self._features({each.name for each in lists})
        rules = self._rules()
        self._check_model()
        self._check_policy()
        if self.problems:
            return None
        logs = _logs_of(features)
        dedup_ms = parse_duration(pipeline.event.dedup) if pipeline.event.id else 0
        label_retention_ms = max((log.label_retention_ms for log in logs), default=0)
        return Plan(
            pipeline=pipeline,
            columns=columns_of(pipeline.event),
            types=self.types,
            features=features,
            logs=logs,
            rules=rules,
            lists=lists,
            dedup_ms=dedup_ms,
            max_future_ms=parse_duration(pipeline.event.max_future),
            label_retention_ms=label_retention_ms,
            state_identity=state_identity(pipeline.event, logs, dedup_ms),
            versions=versions_of(pipeline, rules, lists),
        )

    # ── names, topics, event ────────────────────────────────────────────────────────────────────────────────

    def _check_names(self) -> None:
        if not _PIPELINE_NAME.fullmatch(self.pipeline.name):
            self.problem("name", f"{self.pipeline.name!r} is not a pipeline name.", "Use lower case words and dashes.")
        topics = {
            "input": self.pipeline.input,
            "labels": self.pipeline.labels,
            "dead_letters": self.pipeline.dead_letters,
        }
        seen: dict[str, str] = {}
        named = [(path, topic.name, topic.partitions) for path, topic in topics.items() if topic is not None]
        named += [(f"routes.{i}", route.topic, route.partitions) for i, route in enumerate(self.pipeline.routes)]
        for path, name, partitions in named:
            if not _TOPIC_NAME.fullmatch(name):
                self.problem(
                    path, f"{name!r} is not a topic name.", "Use letters, digits, '.', '_' and '-', at most 249."
                )
            if name in seen:
                self.problem(path, f"topic {name!r} is also {seen[name]}.", "Give each a topic of its own.")
            if not 1 <= partitions <= 10_000:
                self.problem(path, f"{partitions} partitions.", "Use 1 to 10000.")
            seen[name] = path
        if not self.pipeline.routes:
            self.problem("routes", "no route: decisions would go nowhere.", "Add at least one topic.")

    def _check_event(self) -> None:
        event = self.pipeline.event
        for i, field in enumerate(event.fields):
            path = f"event.fields.{field.name or i}"
            if not _NAME.fullmatch(field.name):
                self.problem(
                    path, f"{field.name!r} is not a field name.", "Use letters, digits and '_'; say `path` for others."
                )
            if field.name in self.field_types:
                self.problem(path, "declared twice.", "Each field has one declaration.")
            if field.type is FieldType.DECIMAL and not 0 <= field.scale <= 9:
                self.problem(f"{path}.scale", f"{field.scale} digits.", "Use 0 to 9.")
            self.field_types[field.name] = type_of(field)
            if field.type is FieldType.LOCATION:
                self.field_types |= {f"{field.name}.lat": FLOAT, f"{field.name}.lon": FLOAT}
        roles = {"id": KEYS, "time": {Kind.TIMESTAMP}, "key": KEYS, "amount": {Kind.DECIMAL, Kind.INTEGER}}
        for role, kinds in roles.items():
            name = getattr(event, role)
            if name is not None:
                self._field(f"event.{role}", name, frozenset(kinds))
        for role in ("id", "time"):
            field = event.field(getattr(event, role) or "")
            if field is not None and not field.required:
                self.problem(
                    f"event.{role}", f"{field.name!r} is not required.", "An event's id and time must be there."
                )
        self._duration("event.max_future", event.max_future)
        self._duration("event.dedup", event.dedup)
        if not 2 <= event.max_bytes <= 1_048_576:
            self.problem("event.max_bytes", f"{event.max_bytes} bytes.", "Use 2 to 1048576.")
        self.types |= self.field_types

    def _field(self, path: str, name: str, kinds: frozenset[Kind]) -> ValueType | None:
        """The type of a field that must exist and be of one of the kinds."""
        found = self.field_types.get(name)
        if found is None:
            self.problem(path, f"{name!r} is not a field of the event.", suggestion(name, list(self.field_types)))
        elif found.kind not in kinds:
            allowed = ", ".join(sorted(kinds))
            self.problem(path, f"{name!r} is {found}.", f"Allowed here: {allowed}.")
            return None
        return found

    def _duration(self, path: str, text: str | None) -> int:
        try:
            return parse_duration(text) if text is not None else 0
        except ValueError as error:
            self.problem(path, f"{error}.")
            return 0

    # ── lists ───────────────────────────────────────────────────────────────────────────────────────────────

    def _lists(self) -> tuple[ValueList, ...]:
        loaded: dict[str, ValueList] = {}
        for i, each in enumerate(self.pipeline.lists):
            path = f"lists.{each.name or i}"
            if each.name in loaded:
                self.problem(path, "declared twice.", "Each list has one declaration.")
            values = each.values
            if each.file is not None:
                try:
                    values = (*values, *_lines(Path(each.file)))
                except (OSError, UnicodeDecodeError) as error:
                    self.problem(f"{path}.file", f"cannot read {each.file!r}: {error}.", "Give a UTF-8 text file.")
            loaded[each.name] = ValueList(name=each.name, values=tuple(sorted(set(values))), file=each.file)
        return tuple(loaded.values())

    # ── features ────────────────────────────────────────────────────────────────────────────────────────────

    def _features(self, lists: set[str]) -> tuple[PlannedFeature, ...]:
        declared: dict[str, Feature] = {}
        for i, feature in enumerate(self.pipeline.features):
            path = f"features.{feature.name or i}"
            if not _NAME.fullmatch(feature.name):
                self.problem(path, f"{feature.name!r} is not a feature name.", "Use letters, digits and '_'.")
            elif feature.name in declared or feature.name in self.field_types:
                self.problem(path, "the name is taken.", "Names of fields and features must all differ.")
            else:
                declared[feature.name] = feature
        planned: dict[str, PlannedFeature] = {}
        for feature in declared.values():
            if feature.kind is not FeatureKind.EXPRESSION:
                result = self._windowed(feature, lists)
                if result is not None:
                    planned[feature.name] = result
                    self.types[feature.name] = result.type
        expressions = {f.name: f for f in declared.values() if f.kind is FeatureKind.EXPRESSION}
        for name in self._expression_order(expressions):
            result = self._expression(expressions[name])
            if result is not None:
                planned[name] = result
                self.types[name] = result.type
        return tuple(planned.values())

    def _shape(self, feature: Feature) -> bool:
        """Whether the attributes given are those the kind needs and takes."""
        traits = TRAITS[feature.kind]
        given = {name for name in _ATTRIBUTES if getattr(feature, name)}
        path = f"features.{feature.name}"
        missing, extra = traits.needs - given, given - traits.needs - traits.takes
        if missing:
            self.problem(
                path, f"{feature.kind} needs {_joined(missing)}.", f"It takes {_joined(traits.needs | traits.takes)}."
            )
        if extra:
            self.problem(
                path,
                f"{feature.kind} does not take {_joined(extra)}.",
                f"It takes {_joined(traits.needs | traits.takes)}.",
            )
        return not missing and not extra

    def _windowed(self, feature: Feature, lists: set[str]) -> PlannedFeature | None:
        if not self._shape(feature):
            return None
        path, traits, before = f"features.{feature.name}", TRAITS[feature.kind], len(self.problems)
        of = None
        if feature.of is not None:
            of = self._field(f"{path}.of", feature.of, traits.of)
            is_location = f"{feature.of}.lat" in self.field_types
            if of is not None and traits.location and not is_location:
                self.problem(f"{path}.of", f"{feature.of!r} is {of}.", "Allowed here: location.")
        for field in feature.by:
            self._field(f"{path}.by", field, KEYS)
        if len(set(feature.by)) != len(feature.by):
            self.problem(f"{path}.by", "a field is named twice.")
        if feature.list is not None and feature.list not in lists:
            self.problem(f"{path}.list", f"no list {feature.list!r}.", suggestion(feature.list, list(lists)))
        over_ms = self._duration(f"{path}.over", feature.over)
        delay_ms = self._duration(f"{path}.delay", feature.delay)
        if TRAITS[feature.kind].needs >= {"delay"}:
            if self.pipeline.labels is None:
                self.problem(
                    path, f"{feature.kind} needs labels.", "Declare `labels: {name: …}`, the topic they come from."
                )
            if self.pipeline.event.id is None:
                self.problem(
                    path, f"{feature.kind} needs an event id.", "Declare `event.id`: labels name events by it."
                )
        where = self._predicate(f"{path}.where", feature.where) if feature.where else None
        steps = tuple(self._predicate(f"{path}.steps.{i}", step) for i, step in enumerate(feature.steps))
        if 0 < len(steps) < 2:
            self.problem(
                f"{path}.steps", "one step is not a sequence.", "Give two to eight, or use `count` with `where`."
            )
        if len(steps) > 8:
            self.problem(f"{path}.steps", f"{len(steps)} steps.", "Give two to eight.")
        if len(self.problems) > before:
            return None
        parsed_steps = tuple(step for step in steps if step is not None)
        result = traits.result or of
        assert result is not None
        return PlannedFeature(
            definition=feature,
            type=result,
            over_ms=over_ms,
            delay_ms=delay_ms,
            where=where,
            steps=parsed_steps,
            stored=traits.stored(feature.of, where, parsed_steps),
        )

    def _predicate(self, path: str, text: str) -> Node | None:
        """A predicate over the event's fields alone: what is stored must not depend on features."""
        return self._parse(path, text, self.field_types, boolean=True)

    def _parse(self, path: str, text: str, types: dict[str, ValueType], *, boolean: bool) -> Node | None:
        try:
            return parse(text, types, boolean=boolean)
        except ExpressionError as error:
            self.problem(path, f"{error.message} In: {text[:200]!r}.", error.advice)
            return None

    def _expression_order(self, expressions: dict[str, Feature]) -> list[str]:
        """Names of expression features, each after those it uses."""
        words = {
            name: set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", f.expression or "")) & expressions.keys()
            for name, f in expressions.items()
        }
        try:
            return list(TopologicalSorter(words).static_order())
        except CycleError as error:
            cycle = " → ".join(error.args[1])
            self.problem("features", f"expressions use each other in a circle: {cycle}.", "Break the circle.")
            return []

    def _expression(self, feature: Feature) -> PlannedFeature | None:
        if not self._shape(feature):
            return None
        node = self._parse(f"features.{feature.name}.expression", feature.expression or "", self.types, boolean=False)
        if node is None:
            return None
        if node.type.kind is Kind.STRING:
            self.problem(
                f"features.{feature.name}.expression",
                "the result is text.",
                "A feature is a number, boolean or instant.",
            )
            return None
        return PlannedFeature(definition=feature, type=node.type, expression=node)

    # ── rules, model, policy ────────────────────────────────────────────────────────────────────────────────

    def _rules(self) -> tuple[PlannedRule, ...]:
        planned: dict[str, PlannedRule] = {}
        for i, rule in enumerate(self.pipeline.rules):
            path = f"rules.{rule.code or i}"
            if not _CODE.fullmatch(rule.code):
                self.problem(
                    path, f"{rule.code!r} is not a rule code.", "Use upper case, digits and '_', like CARD_TESTING."
                )
            if rule.code in planned or rule.code == "MODEL_SCORE":
                self.problem(path, "the code is taken.", "Each rule has a code of its own; MODEL_SCORE is the model's.")
            if rule.score is not None and not 0 <= rule.score <= 1:
                self.problem(f"{path}.score", f"{rule.score}.", "Use 0 to 1.")
            if rule.action is Action.SCORE and rule.score is None:
                self.problem(path, "action `score` without a score.", "Give `score`, 0 to 1.")
            when = self._parse(f"{path}.when", rule.when, self.types, boolean=True)
            if when is not None:
                planned[rule.code] = PlannedRule(definition=rule, when=when, score=self._score_of(rule))
        return tuple(planned.values())

    def _score_of(self, rule: Rule) -> float:
        if rule.score is not None:
            return rule.score
        policy = self.pipeline.policy
        by_action = {Action.REVIEW: policy.review_threshold, Action.BLOCK: policy.block_threshold}
        return by_action.get(rule.action, 0.0)

    def _check_model(self) -> None:
        model = self.pipeline.model
        if model is None:
            return
        if not model.features:
            self.problem("model.features", "no inputs.", "Name numeric or boolean fields and features.")
        if len(set(model.features)) != len(model.features):
            self.problem("model.features", "a name is given twice.")
        for name in model.features:
            found = self.types.get(name)
            if found is None:
                # A feature that failed its own checks has been reported there.
                if all(feature.name != name for feature in self.pipeline.features):
                    self.problem("model.features", f"no field or feature {name!r}.", suggestion(name, list(self.types)))
            elif found.kind in (Kind.STRING, Kind.TIMESTAMP):
                self.problem("model.features", f"{name!r} is {found}.", "A model takes numbers and booleans.")

    def _check_policy(self) -> None:
        policy = self.pipeline.policy
        if not 0 <= policy.medium <= policy.high <= policy.critical <= 1:
            self.problem(
                "policy",
                f"bands medium {policy.medium}, high {policy.high}, critical {policy.critical}.",
                "They must rise from 0 to 1.",
            )
        if not 0 <= policy.review_threshold <= policy.block_threshold <= 1:
            self.problem(
                "policy",
                f"review at {policy.review_threshold}, block at {policy.block_threshold}.",
                "They must rise from 0 to 1.",
            )
        if len(set(policy.precedence)) != len(policy.precedence):
            self.problem(
                "policy.precedence", "a stage is named twice.", "Name each of allow, model, review, block at most once."
            )


def _logs_of(features: tuple[PlannedFeature, ...]) -> tuple[KeyedLog, ...]:
    """The keyed logs that the windowed features read, in order of first use."""
    grouped: dict[tuple[str, ...], list[PlannedFeature]] = {}
    for feature in features:
        if feature.definition.by:
            grouped.setdefault(feature.definition.by, []).append(feature)
    return tuple(
        KeyedLog(
            by=by,
            retention_ms=max(feature.over_ms + feature.delay_ms for feature in members),
            stored=_distinct(stored for feature in members for stored in feature.stored),
            features=tuple(members),
            label_retention_ms=max((f.over_ms + f.delay_ms for f in members if f.reads_labels), default=0),
        )
        for by, members in grouped.items()
    )


def _distinct(stored) -> tuple[Stored, ...]:  # type: ignore[no-untyped-def]
    return tuple(dict.fromkeys(stored))


def _lines(path: Path) -> list[str]:
    """The values in a list's file: one a line, `#` starts a comment."""
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def _joined(names: set[str] | frozenset[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


__all__ = ["plan_of", "references", "suggestion"]
