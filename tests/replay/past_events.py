"""A small pipeline with a history of its own, and the oracle's word on it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import orjson

from fraudstream.define.decision import Action, Policy, Rule, Stage, ValueList
from fraudstream.define.feature import Feature, FeatureKind
from fraudstream.define.pipeline import Pipeline, Topic
from fraudstream.define.write import to_yaml
from fraudstream.plan.compile import plan_of
from fraudstream.schema.event import Event, Field, FieldType, TimeFormat
from fraudstream.testing.decide import Verdict, decide
from fraudstream.testing.oracle import Oracle

START_MS = 1_767_225_600_000
DAY_MS = 86_400_000

PIPELINE = Pipeline(
    name="shop",
    event=Event(
        id="id",
        time="at",
        key="card",
        amount="amount",
        fields=(
            Field(name="id", type=FieldType.STRING),
            Field(name="at", type=FieldType.TIMESTAMP, format=TimeFormat.EPOCH_MS),
            Field(name="card", type=FieldType.STRING, sensitive=True),
            Field(name="kind", type=FieldType.STRING),
            Field(name="amount", type=FieldType.DECIMAL),
        ),
    ),
    input=Topic(name="events"),
    labels=Topic(name="labels"),
    lists=(ValueList(name="friends", values=("c1",)),),
    features=(
        Feature(name="count", kind=FeatureKind.COUNT, by=("card",), over="6h"),
        Feature(name="frauds", kind=FeatureKind.LABEL_COUNT, by=("card",), over="30d", delay="1d"),
        Feature(name="friend", kind=FeatureKind.IN_LIST, of="card", list="friends"),
    ),
    rules=(
        Rule(code="FRIEND", when="friend", action=Action.ALLOW),
        Rule(code="BIG", when="amount > 800", action=Action.BLOCK),
        Rule(code="FAST", when="count >= 3", action=Action.REVIEW),
        Rule(code="BURNT", when="frauds >= 1 and amount > 300", action=Action.SCORE, score=0.7),
        Rule(code="NEVER", when="amount > 100000", action=Action.REVIEW),
    ),
    policy=Policy(precedence=(Stage.MODEL, Stage.REVIEW, Stage.ALLOW, Stage.BLOCK)),
)


def rows(count: int = 2_000, days: int = 20, seed: int = 3) -> list[dict[str, Any]]:
    """Events in time order with their truth; every 50th is there twice."""
    dice = random.Random(seed)
    found = []
    for number, at in enumerate(sorted(dice.randrange(days * DAY_MS) for _ in range(count))):
        amount = dice.randrange(1, 100_000)
        fraud = dice.random() < (0.3 if amount > 70_000 else 0.01)
        found.append(
            {
                "id": f"e{number}",
                "at": START_MS + at,
                "card": f"c{dice.randrange(60)}",
                "kind": dice.choice(("web", "shop")),
                "amount": amount / 100,
                "fraud": int(fraud),
            }
        )
    return [row for number, row in enumerate(found) for row in [row] * (2 if number % 50 == 0 else 1)]


def write(folder: Path, history: list[dict[str, Any]], pipeline: Pipeline = PIPELINE) -> tuple[Path, Path]:
    """The history and the pipeline as files."""
    data, file = folder / "history.jsonl", folder / f"{pipeline.name}.yaml"
    data.write_bytes(b"\n".join(orjson.dumps(row) for row in history))
    file.write_text(to_yaml(pipeline), encoding="utf-8")
    return data, file


def verdicts(pipeline: Pipeline, history: list[dict[str, Any]], label_delay_ms: int) -> list[Verdict | None]:
    """What the oracle decides of each row, labels coming so long after their events; None for a second copy."""
    plan = plan_of(pipeline)
    oracle = Oracle(plan)
    waiting = [(row["at"] + label_delay_ms, row["id"]) for row in history if row["fraud"]]
    found: list[Verdict | None] = []
    for offset, row in enumerate(history):
        while waiting and waiting[0][0] <= row["at"]:
            due_ms, event_id = waiting.pop(0)
            oracle.label(event_id, True, due_ms)
        fields = {name: row[name] for name in ("id", "at", "card", "kind")} | {"amount": round(row["amount"] * 100)}
        answer = oracle.event(fields, row["at"], 0, offset)
        verdict = decide(plan, fields | answer.features, None)
        found.append(None if answer.duplicate_of is not None else verdict)
    return found


def changed(pipeline: Pipeline = PIPELINE, **rules: str) -> Pipeline:
    """The pipeline with other predicates."""
    return msgspec.structs.replace(
        pipeline,
        rules=tuple(
            msgspec.structs.replace(rule, when=rules[rule.code]) if rule.code in rules else rule
            for rule in pipeline.rules
        ),
    )
