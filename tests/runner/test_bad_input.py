"""What is no event becomes a dead letter of its class, and its neighbours do not notice."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest

from fraudstream.engine.deadletter import LARGEST_VALUE
from fraudstream.settings import Settings

from .small import START_MS, assert_once, event, events, label, pipeline, read_json, score_here
from .workbench import Workbench

pytestmark = pytest.mark.kafka


def event_with(**members: object) -> bytes:
    """An otherwise good event; None leaves a member out."""
    document = {"id": "p", "at": START_MS, "card": "c0", "shop": "s0", "amount": 1.5} | members
    return json.dumps({name: value for name, value in document.items() if value is not None}).encode()


GOOD = event_with()
POISON: list[tuple[str, bytes | None]] = [
    ("empty", None),
    ("empty", b""),
    ("not_json", GOOD[:-9]),
    ("not_json", b"\xef\xbb\xbf" + GOOD),
    ("not_json", GOOD.replace(b"1.5", b"NaN")),
    ("not_json", GOOD.replace(b"1.5", b"-Infinity")),
    ("not_json", GOOD.replace(b'"c0"', b'"c\x000"')),
    ("not_object", b"[" + GOOD + b"]"),
    ("not_object", b"7"),
    ("wrong_type", event_with(card=5)),
    ("wrong_type", event_with(amount=True)),
    ("missing_field", event_with(id=None)),
    ("out_of_range", GOOD.replace(b"1.5", b"1e400")),
    ("out_of_range", GOOD.replace(b"1.5", b"9" * 30)),
    ("duplicate_key", GOOD[:-1] + b', "amount": 2}'),
    ("too_deep", GOOD[:-1] + b', "x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"),
    ("not_utf8", GOOD.replace(b"c0", b"c\xff")),
    ("not_utf8", GOOD.replace(b"c0", b"\\ud800")),
    ("too_large", event_with(pad="x" * 990_000)),
    ("future_time", event_with(at=9_214_646_400_000)),
]


def test_every_class_of_poison_is_a_dead_letter_with_its_bytes(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """Planted by class equals found by class; the bytes are kept to a limit and hashed whole; good ones are scored."""
    bench = Workbench(kafka_settings, pipeline(partitions=1), tmp_path, unique_id)
    good, _ = events(len(POISON) * 3)
    mixed: list[bytes | None] = []
    for place, (_, value) in enumerate(POISON):
        mixed += [*good[3 * place : 3 * place + 2], value, good[3 * place + 2]]
    bench.produce(bench.pipeline.input.name, mixed)
    summary = score_here(bench)
    decisions, letters = assert_once(bench), bench.dead_letters()
    assert len(decisions) == len(good)
    assert (summary.decisions, summary.dead_letters) == (len(good), len(POISON))
    assert [(each["class"], each["input"]["offset"]) for each in letters] == [
        (kind, 4 * place + 2) for place, (kind, _) in enumerate(POISON)
    ]
    for letter, (_, value) in zip(letters, POISON, strict=True):
        kept = None if letter["value_base64"] is None else base64.b64decode(letter["value_base64"])
        assert kept == (value if value is None else value[:LARGEST_VALUE])
        if value is not None:
            assert letter["value_sha256"] == hashlib.sha256(value).hexdigest()
            assert letter["truncated"] == (len(value) > LARGEST_VALUE)


def test_a_topic_of_nothing_but_poison_is_read_to_its_end(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """Dead letters alone make their transactions too, and a restart does not write them again."""
    bench = Workbench(kafka_settings, pipeline(), tmp_path, unique_id)
    bench.produce(bench.pipeline.input.name, [b"no"] * 300, [str(i).encode() for i in range(300)])
    assert score_here(bench).dead_letters == 300
    assert score_here(bench).dead_letters == 0
    assert_once(bench)


def test_a_poisonous_key_does_not_stop_the_scorer(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> None:
    """A dead letter of a record with a key of 900 KB can still be sent."""
    bench = Workbench(kafka_settings, pipeline(partitions=1), tmp_path, unique_id)
    bench.produce(bench.pipeline.input.name, [b"no", event(1)], [b"k" * 900_000, b"c0"])
    assert score_here(bench).dead_letters == 1
    assert_once(bench)
    (letter,) = bench.dead_letters()
    assert base64.b64decode(letter["key_base64"]) == b"k" * LARGEST_VALUE


def test_duplicates_and_late_events_are_decided_and_flagged(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """A copy points to its first, what is too old is late, both are decided, and the alert of a copy is not sent."""
    bench = Workbench(kafka_settings, pipeline(partitions=1), tmp_path, unique_id)
    hour = 3_600_000
    values = [
        event(0, START_MS, amount=950),
        event(1, START_MS + 2 * hour),
        event(0, START_MS, amount=950),
        event(2, START_MS + hour),  # exactly at the edge: too old
        event(3, START_MS + hour + 1),
        event(1, START_MS + 2 * hour),
    ]
    for half in (values[:3], values[3:]):
        bench.produce(bench.pipeline.input.name, half)
        score_here(bench)
    flags = [each["decision"]["flags"] for each in assert_once(bench)]
    # The copy of event 0 comes two hours of event time later: beyond its dedup of one hour it is no copy to be found.
    assert flags[3:] == [["late"], [], ["duplicate"]]
    decisions = bench.decisions()
    assert decisions[5]["decision"]["duplicate_of"] == {"partition": 0, "offset": 1}
    assert len(read_json(bench, bench.pipeline.routes[1].topic)) == sum(
        each["decision"]["outcome"] != "approve" and "duplicate" not in each["decision"]["flags"] for each in decisions
    )


def test_labels_wait_are_corrected_and_bad_ones_are_dead_letters(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """Known fraud counts from the label on, also where the label comes first; a correction takes it back."""
    bench = Workbench(kafka_settings, pipeline(shops=True, partitions=1), tmp_path, unique_id)
    inputs, labels = bench.pipeline.input.name, bench.pipeline.labels.name
    bad = [None, b"{", b"[]", label(1, True, START_MS).replace(b"fraud", b"fruad"), b'{"event_id": "e1"}']
    bench.produce(labels, [label(1, True, START_MS), *bad])
    bench.produce(inputs, [event(i) for i in range(4)])
    score_here(bench)
    bench.produce(labels, [label(2, True, START_MS + 10_000), label(1, False, START_MS + 10_000)])
    bench.produce(inputs, [event(i) for i in (11, 12)])
    score_here(bench)
    bench.produce(labels, [label(1, True, START_MS + 9_000)])  # older than the correction
    bench.produce(inputs, [event(13)])
    score_here(bench)
    decisions = assert_once(bench)
    assert [each["decision"]["features"]["shop_frauds"] for each in decisions] == [0, 0, 1, 1, 1, 1, 1]
    found = Counter(each["class"] for each in bench.dead_letters() if each["input"]["topic"] == labels)
    assert found == {"empty": 1, "not_json": 1, "wrong_type": 3}


def test_a_label_with_an_impossible_id_is_a_dead_letter(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """Where ids are integers, a label's id of 20 digits or with other characters does not stop the scorer."""
    import msgspec

    from fraudstream.pipelines import find_plan

    shipped = find_plan("terminal-payments").pipeline
    bench = Workbench(kafka_settings, msgspec.structs.replace(shipped, model=None, reasons=()), tmp_path, unique_id)
    ids = ["9" * 20, int("9" * 20), "1_0", " 5", "٣", "", "12", 12, "-3"]
    bench.produce(
        bench.pipeline.labels.name,
        [json.dumps({"event_id": each, "label": "fraud", "labelled_at": START_MS}).encode() for each in ids],
    )
    assert score_here(bench).dead_letters == 6
    assert {each["class"] for each in bench.dead_letters()} == {"wrong_type"}
