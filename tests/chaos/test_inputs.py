"""What comes in: every kind of poison among good events, tombstones, an idle partition, events of other versions."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from traffic import GOOD, LARGE, POISON, START_MS, event

from fraudstream.settings import Settings
from runner.small import assert_once, events, pipeline, place_of, score_here
from runner.small import event as numbered
from runner.workbench import Workbench

pytestmark = pytest.mark.kafka

DEEP = GOOD[:-1] + b', "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
ALL_POISON: list[tuple[str, bytes | None]] = [*POISON, LARGE, ("too_large", DEEP)]


def features_of(bench: Workbench) -> dict[str, Any]:
    """What the features of each event are, by its id; `small` checks them against the log as well."""
    return {each["event"]["id"]: each["decision"]["features"] for each in assert_once(bench)}


def test_poison_of_every_kind_changes_no_neighbours_features(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """Row: poison. The same events with and without poison between them: each poison is a dead letter of its class
    (I1, I9), and every other event has the same features. The year 1970 is no poison: late, flagged, decided."""
    good, _ = events(len(ALL_POISON) * 2)
    mixed: list[bytes | None] = []
    for place, (_, value) in enumerate(ALL_POISON):
        mixed += [good[2 * place], value, good[2 * place + 1]]
    old = event(id="old", at=0, card="c1")
    features = []
    for name, values in (("clean", [*good, old]), ("mixed", [*mixed, old])):
        (tmp_path / name).mkdir()
        bench = Workbench(kafka_settings, pipeline(partitions=1), tmp_path / name, f"{unique_id}-{name}")
        bench.produce(bench.pipeline.input.name, values)
        score_here(bench)
        features.append(features_of(bench))
    assert features[0] == features[1]
    assert Counter(each["class"] for each in bench.dead_letters()) == Counter(kind for kind, _ in ALL_POISON)
    flags = {each["event"]["id"]: each["decision"]["flags"] for each in bench.decisions()}
    assert flags.pop("old") == ["late"] and not any(flags.values())


def test_an_idle_partition_holds_nothing_up_and_tombstones_and_times_to_come_are_dead_letters(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """Row: duplicates, tombstones, late, out of order, future times, an idle partition. All keys lie on one of three
    partitions; the two others stay empty, then hold nothing but tombstones, and never delay the merge by event time."""
    bench = Workbench(kafka_settings, pipeline(partitions=3), tmp_path, unique_id)
    topic = bench.pipeline.input.name
    order = [0, 3, 1, 2, 2, 9_000, 4, 5]  # out of order, a duplicate, and after a leap ahead all others are late
    bench.produce(topic, [numbered(number) for number in order], [b"c0"] * len(order))
    assert score_here(bench).decisions == len(order)
    bench.produce(topic, [None] * 30, [str(number).encode() for number in range(30)])
    bench.produce(
        topic, [event(id="later", at=START_MS * 2), event(id="much later", at=9_214_646_400_000)], [b"c0"] * 2
    )
    bench.produce(topic, [numbered(9_001)], [b"c0"])
    assert score_here(bench).dead_letters == 32
    flags = [each["decision"]["flags"] for each in assert_once(bench)]
    assert flags == [[], [], [], [], ["duplicate"], [], ["late"], ["late"], []]
    assert Counter(each["class"] for each in bench.dead_letters()) == {"empty": 30, "future_time": 2}


def test_events_of_other_versions_are_scored_where_compatible_and_dead_letters_can_be_driven_again(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """Row: schema evolution. Added and removed optional fields are scored, required ones renamed or of another type are
    dead letters; sent again as the pipeline wants them, they are scored with the features they should have had."""
    bench = Workbench(kafka_settings, pipeline(partitions=1), tmp_path, unique_id)
    event_type = bench.pipeline.event
    optional = [msgspec.structs.replace(each, required=each.name != "shop") for each in event_type.fields]
    bench.change(event=msgspec.structs.replace(event_type, fields=tuple(optional)))
    topic = bench.pipeline.input.name

    def version(number: int, name: str) -> dict[str, Any]:
        made: dict[str, Any] = json.loads(numbered(number))
        match name:
            case "added":
                made["channel"] = {"kind": "web", "risk": [1, 2]}
            case "removed":
                del made["shop"]
            case "renamed":
                made["total"] = made.pop("amount")
            case "other type":
                made["card"] = 17
        return made

    versions = ["as declared", "added", "removed", "renamed", "other type"] * 3
    made = [version(number, name) for number, name in enumerate(versions)]
    bench.produce(topic, [json.dumps(each).encode() for each in made])
    assert score_here(bench).decisions == 9
    letters = bench.dead_letters()
    expected = {"renamed": "missing_field", "other type": "wrong_type"}
    assert [each["class"] for each in letters] == [expected[name] for name in versions if name in expected]
    repaired = []
    for each in letters:
        document = made[place_of(each)[2]]
        document["amount"] = document.pop("total", document.get("amount"))
        repaired.append(json.dumps(document | {"card": "c0"}).encode())
    bench.produce(topic, repaired)
    assert score_here(bench).decisions == len(repaired)
    decisions = assert_once(bench)
    assert {each["event"]["id"] for each in decisions} == {f"e{number}" for number in range(len(versions))}
    newest = max(decisions, key=lambda each: each["event"]["at"])
    assert newest["decision"]["features"]["card_count"] == len(versions)
