"""Case files: a few events with the features and decisions they must get, readable enough to check by hand.

    case: How many payments a card made in the last hour, this one included
    pipeline:
      event: {id: id, time: at, fields: {id: string, at: timestamp, card: string?, amount: decimal(2)}}
      features:
        card_count_1h: {count: , by: card, over: 1h}
    rows:
      - event: {id: a, at: "10:00", card: X, amount: 5.00}
        expect: {card_count_1h: 1}
      - label: {id: a, fraud: true, at: "12:00"}

`pipeline` is a pipeline as in its own file (`name`, `input` and `labels` may be left out), or the path of such a file,
or a name. Rows are processed in their order. Times without a day are on `day`, 2026-01-01 unless said. What
`expect` does not mention is not checked, but no event is late or a duplicate unless it says so. Beside features,
`expect` takes `outcome`, `risk_level`, `score`, `score_at_least`, `rules`, `late`, `duplicate_of` (the offset of the
first copy). A row may have `partition` and `offset` (the next of its partition unless said), `at` (for pipelines
whose events have no time) and `model_score`.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from fraudstream.define.load import load_pipeline, parse_definition
from fraudstream.define.pipeline import Pipeline
from fraudstream.define.yaml_tree import Node, YamlRefused, read_tree
from fraudstream.errors import DataError, DefinitionError
from fraudstream.plan.compile import plan_of
from fraudstream.plan.plan import Plan
from fraudstream.schema.event import Field as EventField
from fraudstream.schema.event import FieldType
from fraudstream.testing.oracle import Value
from fraudstream.testing.places import coordinates_of_cities
from fraudstream.units import parse_duration

FIRST_DAY = "2026-01-01"
DECISION_KEYS = ("outcome", "risk_level", "score", "score_at_least", "rules", "late", "duplicate_of")
_CLOCK = re.compile(r"\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?")
_PIPELINE_BLOCK = re.compile(r"^pipeline:[ \t]*\n((?:[ \t]+.*\n|[ \t]*\n)+)", re.MULTILINE)
_DEFAULTS = {"name": "case", "input": "events", "labels": "labels"}


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event of a case.

    Attributes:
        fields: The decoded columns' values, as the oracle takes them.
        event_at: Event time in epoch milliseconds.
        partition: Where it stands in the input topic.
        offset: Where it stands in its partition.
        expect: What it must get, as written: text by feature or decision key; None where null is expected.
        model_score: What the model is to have said, or None.
        line: Where it stands in the file.
    """

    fields: dict[str, Value]
    event_at: int
    partition: int
    offset: int
    expect: dict[str, Any] = field(default_factory=dict)
    model_score: float | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class LabelRow:
    """A label of a case: an event's id, whether it was fraud, and when that was said (epoch milliseconds)."""

    event_id: str
    is_fraud: bool
    labelled_at: int


@dataclass(frozen=True, slots=True)
class Case:
    """A case file: what it shows, for which plan, by which rows in processing order."""

    title: str
    path: Path
    plan: Plan
    rows: tuple[EventRow | LabelRow, ...]


def load_case(path: Path, pipeline_named: Callable[[str], Pipeline] | None = None) -> Case:
    """The case in a file.

    Args:
        path: The YAML file.
        pipeline_named: Finds a pipeline that is given by name and is not a file beside the case.

    Raises:
        DataError: The file is not a case; the message says where.
        DefinitionError: Its pipeline has problems.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tree, repeated = read_tree(text)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The case file {path} cannot be read: {error}.") from None
    except YamlRefused as refused:
        raise DataError(f"The case file {path} is not YAML that can be read: {refused.problem}.") from None
    if repeated:
        raise DataError(f"The case file {path}: {repeated[0]}.")
    try:
        parts = _mapping(tree, ("case", "pipeline", "day", "rows"))
        pipeline = _pipeline(parts.get("pipeline"), text, path, pipeline_named)
        plan = plan_of(pipeline, str(path))
        reader = _RowReader(plan, _text(parts["day"]) if "day" in parts else FIRST_DAY)
        rows = tuple(reader.row(node) for node in _list(parts.get("rows")))
        return Case(_text(parts["case"]) if "case" in parts else path.stem, path, plan, rows)
    except _Wrong as wrong:
        raise DataError(f"The case file {path}, line {wrong.line}: {wrong.found}", wrong.advice) from None


class _Wrong(Exception):
    def __init__(self, line: int, found: str, advice: str = "") -> None:
        self.line, self.found, self.advice = line, found, advice
        super().__init__(found)


class _RowReader:
    """Reads rows, giving each event the next offset of its partition."""

    def __init__(self, plan: Plan, day: str) -> None:
        self.plan = plan
        self.day = day
        self.next_offset: dict[int, int] = {}

    def row(self, node: Node) -> EventRow | LabelRow:
        parts = _mapping(node, ("event", "label", "expect", "partition", "offset", "at", "model_score"))
        if "label" in parts:
            return self._label(parts["label"])
        if "event" not in parts:
            raise _Wrong(node.line, "a row without `event` or `label`.", "Write `- event: {…}`.")
        fields = self._fields(parts["event"])
        time = self.plan.pipeline.event.time
        at = fields[time] if time else self._instant(parts["at"]) if "at" in parts else None
        if not isinstance(at, int):
            raise _Wrong(node.line, "the event has no time.", "Give the event's time field, or `at` beside `event`.")
        partition = _number(parts["partition"], int) if "partition" in parts else 0
        offset = _number(parts["offset"], int) if "offset" in parts else self.next_offset.get(partition, 0)
        self.next_offset[partition] = offset + 1
        return EventRow(
            fields=fields,
            event_at=at,
            partition=partition,
            offset=offset,
            expect=self._expected(parts.get("expect")),
            model_score=_number(parts["model_score"], float) if "model_score" in parts else None,
            line=node.line,
        )

    def _label(self, node: Node) -> LabelRow:
        parts = _mapping(node, ("id", "fraud", "at"))
        missing = [name for name in ("id", "fraud", "at") if name not in parts]
        if missing:
            raise _Wrong(node.line, f"a label without {', '.join(missing)}.", "Write {id: …, fraud: …, at: …}.")
        return LabelRow(_text(parts["id"]), _boolean(parts["fraud"]), self._instant(parts["at"]))

    def _expected(self, node: Node | None) -> dict[str, Any]:
        if node is None or node.value is None:
            return {}
        known = [*DECISION_KEYS, *(feature.name for feature in self.plan.features)]
        return {name: _plain(each) for name, each in _mapping(node, known).items()}

    def _fields(self, node: Node) -> dict[str, Value]:
        declared = self.plan.pipeline.event.fields
        given = _mapping(node, [each.name for each in declared])
        fields: dict[str, Value] = {column.name: None for column in self.plan.columns}
        for each in declared:
            value = given.get(each.name)
            if value is not None and (value.value is not None or value.quoted):
                fields |= self._field(each, value)
            elif each.required:
                raise _Wrong(node.line, f"the event has no {each.name!r}.", "The field is required.")
        return fields

    def _field(self, declared: EventField, node: Node) -> dict[str, Value]:
        name = declared.name
        match declared.type:
            case FieldType.TIMESTAMP:
                return {name: self._instant(node)}
            case FieldType.DECIMAL:
                return {name: minor_units(_text(node), declared.scale, node.line)}
            case FieldType.INTEGER:
                return {name: _number(node, int)}
            case FieldType.FLOAT:
                return {name: _number(node, float)}
            case FieldType.BOOLEAN:
                return {name: _boolean(node)}
            case FieldType.LOCATION if isinstance(node.value, dict):
                axes = _mapping(node, ("lat", "lon"))
                return {f"{name}.{axis}": _number(value, float) for axis, value in axes.items()}
            case FieldType.LOCATION:
                latitude, longitude = coordinates_of_cities().get(_text(node), (None, None))
                return {name: _text(node), f"{name}.lat": latitude, f"{name}.lon": longitude}
            case _:
                return {name: _text(node)}

    def _instant(self, node: Node) -> int:
        text = _text(node)
        try:
            instant = datetime.fromisoformat(f"{self.day}T{text}" if _CLOCK.fullmatch(text) else text)
        except ValueError:
            raise _Wrong(
                node.line, f"{text!r} is not a time.", "Write 10:00, 10:00:00.500 or 2026-01-01T10:00."
            ) from None
        utc = instant if instant.tzinfo else datetime.fromisoformat(instant.isoformat() + "+00:00")
        return round(utc.timestamp() * 1_000)


def minor_units(text: str, scale: int, line: int = 0) -> int:
    """A decimal's minor units: ("12.5", 2) is 1250."""
    found = re.fullmatch(r"(-?)(\d+)(?:\.(\d+))?", text)
    if found is None or len((found[3] or "").rstrip("0")) > scale:
        raise _Wrong(line, f"{text!r} is not a decimal with {scale} digits.")
    minor = int(found[2] + (found[3] or "")[:scale].ljust(scale, "0"))
    return -minor if found[1] else minor


def _pipeline(node: Node | None, text: str, path: Path, pipeline_named: Callable[[str], Pipeline] | None) -> Pipeline:
    if node is None:
        raise _Wrong(1, "no `pipeline`.", "Give a pipeline, the path of its file, or its name.")
    if isinstance(node.value, str):
        file = path.parent / node.value
        if file.is_file() or pipeline_named is None:
            return load_pipeline(file)
        return pipeline_named(node.value)
    block = _PIPELINE_BLOCK.search(text)
    if block is None:
        raise _Wrong(node.line, "the pipeline is not written as an indented block.", "Indent it below `pipeline:`.")
    body = textwrap.dedent(block[1])
    missing = [key for key in _DEFAULTS if not re.search(rf"^{key}:", body, re.MULTILINE)]
    # Empty lines before, so that problems are reported with the case file's own line numbers.
    above = "\n" * text.count("\n", 0, block.start(1))
    definition = parse_definition(
        above + body + "".join(f"{key}: {_DEFAULTS[key]}\n" for key in missing), str(path), path.parent
    )
    if definition.pipeline is None or definition.problems:
        raise DefinitionError(str(path), list(definition.problems))
    return definition.pipeline


def expected_value(plan: Plan, name: str, text: str, line: int = 0) -> Value:
    """A feature's expected value as the oracle gives it: decimals to minor units, durations to milliseconds."""
    kind = plan.types[name]
    if text in ("true", "false"):
        return text == "true"
    if kind.is_exact:
        try:
            return parse_duration(text)
        except ValueError:
            return minor_units(text, kind.scale, line)
    return float(text.removeprefix("~"))


# ── reading nodes ───────────────────────────────────────────────────────────────────────────────────────────────


def _mapping(node: Node, known: Any) -> Mapping[str, Node]:
    if not isinstance(node.value, dict):
        raise _Wrong(node.line, f"{node.shown} where a mapping belongs.")
    for name, value in node.value.items():
        if name not in known:
            raise _Wrong(value.line, f"unknown name {name!r}.", f"Known here: {', '.join(known)}.")
    return node.value


def _list(node: Node | None) -> list[Node]:
    if node is None or not isinstance(node.value, list):
        raise _Wrong(node.line if node else 1, "`rows` is not a list.", "Write `- event: {…}` lines.")
    return node.value


def _text(node: Node) -> str:
    if not isinstance(node.value, str):
        raise _Wrong(node.line, f"{node.shown} where a value belongs.")
    return node.value


def _number(node: Node, kind: Callable[[str], Any]) -> Any:
    try:
        return kind(_text(node))
    except ValueError:
        raise _Wrong(node.line, f"{node.shown} where a number belongs.") from None


def _boolean(node: Node) -> bool:
    if _text(node) not in ("true", "false"):
        raise _Wrong(node.line, f"{node.shown} where true or false belongs.")
    return node.value == "true"


def _plain(node: Node) -> Any:
    if isinstance(node.value, list):
        return [_plain(each) for each in node.value]
    if isinstance(node.value, dict):
        raise _Wrong(node.line, "a mapping where a value belongs.")
    return node.value
