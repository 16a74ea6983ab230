"""A small pipeline for tests of the loop, its events, and the check that every input came out once."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from fraudstream.define.decision import Action, ModelRef, Rule
from fraudstream.define.feature import Feature, FeatureKind
from fraudstream.define.pipeline import Pipeline, Topic
from fraudstream.pipelines import find_plan
from fraudstream.runner.loop import StreamLoop
from fraudstream.runner.start import Options, start
from fraudstream.runner.statistics import Statistics
from fraudstream.schema.event import Event, Field, FieldType, TimeFormat
from fraudstream.settings import load_settings

from .workbench import Workbench

START_MS = 1_767_225_600_000

EVENT = Event(
    id="id",
    time="at",
    key="card",
    amount="amount",
    dedup="1h",
    fields=(
        Field(name="id", type=FieldType.STRING),
        Field(name="at", type=FieldType.TIMESTAMP, format=TimeFormat.EPOCH_MS),
        Field(name="card", type=FieldType.STRING),
        Field(name="shop", type=FieldType.STRING),
        Field(name="amount", type=FieldType.DECIMAL),
    ),
)
FEATURES = (
    Feature(name="card_count", kind=FeatureKind.COUNT, by=("card",), over="1h"),
    Feature(name="card_sum", kind=FeatureKind.SUM, of="amount", by=("card",), over="1h"),
)
SHOP_FEATURES = (
    Feature(name="shop_count", kind=FeatureKind.COUNT, by=("shop",), over="1h"),
    Feature(name="shop_frauds", kind=FeatureKind.LABEL_COUNT, by=("shop",), over="1d", delay="1ms"),
)
RETENTION_OF_SHOPS_MS = 86_400_001  # the look-back of `shop_frauds`: a day and its delay
RULES = (Rule(code="HIGH", when="amount >= 900", action=Action.BLOCK),)


def pipeline(*, shops: bool = False, model: ModelRef | None = None, partitions: int = 3) -> Pipeline:
    """The pipeline; `shops` adds features that look across partitions, and labels."""
    return Pipeline(
        name="small",
        event=EVENT,
        input=Topic(name="events", partitions=partitions),
        labels=Topic(name="labels", partitions=1) if shops else None,
        features=FEATURES + (SHOP_FEATURES if shops else ()),
        rules=RULES,
        model=model,
    )


def event(number: int, at_ms: int | None = None, *, card: str = "c0", shop: str = "s0", amount: float = 10) -> bytes:
    """An event; a second after the one numbered before it unless said."""
    at = START_MS + number * 1_000 if at_ms is None else at_ms
    return json.dumps({"id": f"e{number}", "at": at, "card": card, "shop": shop, "amount": amount}).encode()


def events(count: int, seed: int = 1, begin: int = 0) -> tuple[list[bytes], list[bytes]]:
    """Values and keys of events of some cards, shops and amounts."""
    dice = random.Random(seed)
    cards = [f"c{dice.randrange(40)}" for _ in range(count)]
    values = [
        event(begin + i, card=card, shop=f"s{dice.randrange(5)}", amount=dice.randrange(1, 100_000) / 100)
        for i, card in enumerate(cards)
    ]
    return values, [card.encode() for card in cards]


def label(number: int, fraud: bool, at_ms: int) -> bytes:
    """A label of an event."""
    return json.dumps(
        {"event_id": f"e{number}", "label": "fraud" if fraud else "legitimate", "labelled_at": at_ms}
    ).encode()


def scorer(bench: Workbench, group: str | None = None, instance: str = "0", *, rebuild: bool = False) -> StreamLoop:
    """A scorer in this process, in the same place as one that `bench.start` makes; much quicker to start."""
    settings = load_settings({"bootstrap_servers": bench.settings.bootstrap_servers}, environ={}, folder=bench.folder)
    return start(find_plan(bench.file), settings, Options(group, instance, rebuild))


def score_here(bench: Workbench, **options: Any) -> Statistics:
    """Runs a scorer in this process until it has caught up."""
    return scorer(bench, **options).run(until_caught_up=True)


def place_of(each: dict[str, Any]) -> tuple[str, int, int]:
    """The input coordinates of a decision or dead letter."""
    place = each["decision"]["input"] if "decision" in each else each["input"]
    return place["topic"], place["partition"], place["offset"]


def assert_once(bench: Workbench, skipped: Iterable[tuple[str, int, int]] = ()) -> list[dict[str, Any]]:
    """I1: each input offset is in exactly one decision or dead letter, and sequences have no gap; returns decisions.

    Args:
        bench: Whose topics.
        skipped: Offsets that hold no committed record: transaction markers and aborted records.
    """
    decisions, letters = bench.decisions(), bench.dead_letters()
    topic = bench.pipeline.input.name
    ends = bench.admin.end_offsets([topic])
    expected = {(topic, partition, offset) for (_, partition), end in ends.items() for offset in range(end)}
    found = Counter(map(place_of, [*decisions, *(each for each in letters if each["input"]["topic"] == topic)]))
    assert found == Counter(expected - set(skipped))
    assert [each["decision"]["sequence"] for each in decisions] == list(range(len(decisions)))
    assert_values(decisions)
    return decisions


def assert_values(decisions: list[dict[str, Any]]) -> None:
    """I3: the card's count and sum of every decision, recomputed in processing order the slow way."""
    seen: dict[str, list[tuple[int, int]]] = {}
    first: dict[str, int] = {}
    newest = 0
    for each in decisions:
        fields, decision = each["event"], each["decision"]
        at, minor = fields["at"], round(fields["amount"] * 100)
        history = seen.setdefault(fields["card"], [])
        newest, original = max(newest, at), first.get(fields["id"], -(10**15))
        duplicate = abs(original - at) < 3_600_000 and original > newest - 2 * 3_600_000
        late = any(at <= other - 3_600_000 for other, _ in history) and not duplicate
        assert ("duplicate" in decision["flags"]) == duplicate, each
        assert ("late" in decision["flags"]) == late, each
        if not duplicate:
            first[fields["id"]] = at
            if not late:
                history.append((at, minor))
        kept_from = max([at, *(time for time, _ in history)]) - 3_600_000
        window = [amount for time, amount in history if kept_from < time <= at]
        if late:
            window = [minor]
        features = decision["features"]
        assert features["card_count"] == len(window), each
        assert round(features["card_sum"] * 100) == sum(window), each


def read_json(bench: Workbench, topic: str) -> list[dict[str, Any]]:
    """Every committed record of a topic."""
    return [msgspec.json.decode(message.value()) for message in bench.read(topic)]
