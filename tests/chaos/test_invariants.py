"""Each invariant on a small made-up log: silent where it holds, and not where one thing is wrong."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from array import array
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import invariants
import kept
import pytest
from invariants import Facts, Found
from reading import Record

FACTS = Facts("", "group", "in", "scores", "alerts", "dead", planted=(("empty", None), ("not_json", hashlib.sha256(b"?").hexdigest())))  # fmt: skip  # noqa: E501


def world() -> Found:
    """Four events of one card, the last flagged, and two dead letters."""
    inputs, scores, alerts, dead = [], [], [], []
    for offset in range(6):
        place = {"topic": "in", "partition": 0, "offset": offset}
        if offset in (1, 4):
            value = None if offset == 1 else b"?"
            letter = {
                "class": "empty" if value is None else "not_json",
                "input": place,
                "value_base64": None if value is None else base64.b64encode(value).decode(),
                "value_sha256": None if value is None else hashlib.sha256(value).hexdigest(),
            }
            inputs.append(Record("in", 0, offset, b"c", value))
            dead.append(Record("dead", 0, len(dead), b"c", json.dumps(letter).encode()))
            continue
        number = len(scores)
        event = {"id": f"e{offset}", "at": offset * 1_000, "card": "c", "amount": 1.5}
        decision = {
            "input": place,
            "sequence": number,
            "outcome": "block" if offset == 5 else "approve",
            "score": 0.5,
            "features": {"card_count": number + 1, "card_sum": 1.5 * (number + 1)},
            "flags": [],
        }
        inputs.append(Record("in", 0, offset, b"c", json.dumps(event).encode()))
        scores.append(Record("scores", 0, number, b"c", json.dumps({"event": event, "decision": decision}).encode()))
        if decision["outcome"] == "block":
            alerts.append(Record("alerts", 0, 0, b"c", json.dumps(decision).encode()))
    return Found.of({0: 6}, inputs, scores, alerts, dead)


CHECKS: dict[str, Callable[[Found], list[str]]] = {
    "I1": invariants.i1_exactly_once,
    "I2": lambda found: invariants.i2_order(found, FACTS),
    "I3": lambda found: invariants.i3_state(found, FACTS),
    "I5": invariants.i5_atomic,
    "I9": lambda found: invariants.i9_dead_letters(found, FACTS),
}


def swap(found: Found) -> None:
    one, two = found.decisions[0][1]["decision"], found.decisions[1][1]["decision"]
    one["input"], two["input"] = two["input"], one["input"]


def lie_elsewhere(found: Found) -> None:
    record, first = found.decisions[0]
    found.decisions[0] = record._replace(offset=9), first


def decision(found: Found, number: int) -> Any:
    return found.decisions[number][1]["decision"]


WRONG: list[tuple[str, Callable[[Found], object]]] = [
    ("I1", lambda found: found.decisions.pop(1)),
    ("I1", lambda found: found.decisions.append(found.decisions[0])),
    ("I1", lambda found: found.letters.pop()),
    ("I1", lambda found: found.committed.update({0: 4})),
    ("I1", lambda found: decision(found, 2).update(sequence=7)),
    ("I2", swap),
    ("I2", lie_elsewhere),
    ("I3", lambda found: decision(found, 3)["features"].update(card_count=5)),
    ("I3", lambda found: decision(found, 3)["features"].update(card_sum=5.99)),
    ("I3", lambda found: decision(found, 1)["flags"].append("late")),
    ("I5", lambda found: found.alerts.clear()),
    ("I5", lambda found: found.alerts.append(found.alerts[0])),
    ("I5", lambda found: decision(found, 0).update(outcome="review")),
    ("I5", lambda found: found.alerts[0].update(score=0.1)),
    ("I9", lambda found: found.letters[0].update({"class": "not_json"})),
    ("I9", lambda found: found.letters[1].update(value_base64="")),
    ("I9", lambda found: found.letters[1].update(value_sha256="0")),
]  # fmt: skip


@pytest.mark.parametrize("name", CHECKS)
def test_it_is_silent_where_it_holds(name: str) -> None:
    assert CHECKS[name](world()) == []


@pytest.mark.parametrize(("name", "spoil"), WRONG)
def test_it_speaks_where_one_thing_is_wrong(name: str, spoil: Callable[[Found], object]) -> None:
    found = world()
    spoil(found)
    assert [each[:2] for each in CHECKS[name](found)] != []


def test_a_record_that_one_reader_did_not_see_is_told() -> None:
    fresh = [Record("scores", 0, offset, b"c", b"%d" % offset) for offset in range(3)]
    seen = [record.fingerprint for record in fresh]
    assert invariants.i4_no_aborted_reads(seen, fresh) == []
    assert "was not seen" in invariants.i4_no_aborted_reads(seen[1:], fresh)[0]
    assert "is not there" in invariants.i4_no_aborted_reads(seen, fresh[1:])[0]
    assert len(invariants.i4_no_aborted_reads([*seen, seen[0]], fresh)) == 1


def snapshot_of(path: Path, histories: list[list[tuple[int, int]]], end: int) -> str:
    """A snapshot with what the checker looks at, written as the scorer writes it: ghost rows, running sums, blocks."""
    pool, blocks = array("q"), array("q")
    for history in histories:
        blocks.extend([len(pool) // 2, 0, 1, len(history)])
        total = 70
        pool.extend([-1, total])
        for at, minor in history:
            total += minor
            pool.extend([at, total])
    parts = {"0.events.pool": (pool, 2), "0.events.blocks": (blocks, 4)}
    described = [{"name": n, "dtype": "<i8", "shape": [len(a) // width, width]} for n, (a, width) in parts.items()]
    header = json.dumps({"offsets": {"in/0": end}, "arrays": described}).encode()
    content = kept.MAGIC + struct.pack("<Q", len(header)) + header + b"".join(a.tobytes() for a, _ in parts.values())
    path.write_bytes(content + hashlib.blake2b(content, digest_size=kept.DIGEST_BYTES).digest())
    return str(path)


RIGHT = [(0, 150), (2_000, 150), (3_000, 150), (5_000, 150)]


def test_a_snapshot_that_keeps_what_the_log_gives_is_passed(tmp_path: Path) -> None:
    path = snapshot_of(tmp_path / "s", [RIGHT], 6)
    assert invariants.i3_snapshot(world(), replace(FACTS, snapshot=path)) == []
    path = snapshot_of(tmp_path / "s", [RIGHT[:3]], 5)  # it stands before the last event
    assert invariants.i3_snapshot(world(), replace(FACTS, snapshot=path)) == []


@pytest.mark.parametrize(
    "histories",
    [
        [RIGHT[1:]],
        [[*RIGHT[:3], (5_000, 151)]],
        [[*RIGHT[:3], (5_001, 150)]],
        [RIGHT, [(1, 1)]],
        [[*RIGHT, RIGHT[-1]]],
        [],
    ],
)
def test_a_snapshot_that_keeps_anything_else_is_told(tmp_path: Path, histories: list[list[tuple[int, int]]]) -> None:
    path = snapshot_of(tmp_path / "s", histories, 6)
    assert "other histories" in invariants.i3_snapshot(world(), replace(FACTS, snapshot=path))[0]


def test_a_snapshot_with_another_bit_or_none_at_all_is_told(tmp_path: Path) -> None:
    path = Path(snapshot_of(tmp_path / "s", [RIGHT], 6))
    content = bytearray(path.read_bytes())
    content[-40] ^= 1
    path.write_bytes(content)
    assert "checksum" in invariants.i3_snapshot(world(), replace(FACTS, snapshot=str(path)))[0]
    assert invariants.i3_snapshot(world(), replace(FACTS, snapshot=str(tmp_path / "none"))) != []


def test_latency_is_told_apart_for_calm_and_faults_and_calm_must_have_been_seen() -> None:
    found = world()
    for number, record in enumerate(found.inputs.values()):
        found.inputs[record.partition, record.offset] = record._replace(at_ms=1_000 * number)
    seen = [
        (*record.fingerprint, found.inputs[0, each["decision"]["input"]["offset"]].at_ms + 7)
        for record, each in found.decisions
    ]
    facts = replace(FACTS, calm=((1_500, 3_500),))
    figures, wrong = invariants.i10_service(found, seen, facts)
    assert (figures["calm"]["n"], figures["faults"]["n"], wrong) == (2, 2, [])
    assert figures["calm"]["p99"] == figures["calm"]["p50"] == 7
    _, wrong = invariants.i10_service(found, seen, replace(FACTS, calm=((90_000, 91_000),)))
    assert wrong == ["I10: no decision was seen in calm"]


def test_lag_and_a_hanging_transaction_are_told() -> None:
    place = ("scores", 0)
    assert invariants.i6_live({0: 6}, {0: 6}, {place: 9}, {place: 9}) == []
    assert len(invariants.i6_live({0: 5}, {0: 6}, {place: 9}, {place: 9})) == 1
    assert len(invariants.i6_live({0: 6}, {0: 6}, {place: 8}, {place: 9})) == 1


def test_faults_that_did_not_happen_are_told() -> None:
    assert invariants.i13_not_vacuous({"kills": 2}, {"kills": 2}) == []
    assert len(invariants.i13_not_vacuous({"kills": 2}, {"kills": 3, "fenced": 1})) == 2


def test_an_event_too_old_for_another_history_is_late_and_still_counts_for_its_card() -> None:
    facts = replace(FACTS, histories=(("shop", 86_400_001),))
    found = world()
    for place, record in found.inputs.items():
        if place[1] not in (1, 4):
            event = json.loads(record.value or b"") | {"shop": "s", "at": 10**12 + place[1]}
            if place[1] == 5:  # a card not seen before, at a shop that was
                event |= {"card": "new", "at": 0}
            found.inputs[place] = record._replace(value=json.dumps(event).encode())
    decision(found, 3).update(flags=["late"], features={"card_count": 1, "card_sum": 1.5})
    assert invariants.i3_state(found, facts) == []
    assert "(True" not in invariants.i3_state(found, FACTS)[0]
    decision(found, 3).update(flags=[])
    assert len(invariants.i3_state(found, facts)) == 1
