"""Encoding: every form is JSON that says what was decided; numbers and texts arrive exactly."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pytest
from decoding import EVENT, NOW_MS, now, record
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudstream.define.decision import Action, Rule
from fraudstream.define.pipeline import Form, Pipeline, Topic
from fraudstream.engine.batch import Batch
from fraudstream.engine.column import Column
from fraudstream.engine.decisions import Decisions
from fraudstream.engine.decode import Decoder
from fraudstream.engine.encode import Encoder
from fraudstream.engine.kernels.memory import PADDING
from fraudstream.engine.record_writer import RecordWriter
from fraudstream.plan.compile import plan_of
from fraudstream.schema.event import Event
from fraudstream.schema.types import BOOLEAN, FLOAT, INTEGER, TIMESTAMP, decimal
from fraudstream.tokens.keys import TokenKeys
from fraudstream.units import format_instant

SECRET = "4111111111111111"
EVERY = np.arange(3)


def encoder(event: Event = EVENT) -> Encoder:
    rules = (
        Rule(code="FIRST", when="amount > 1", action=Action.ALLOW),
        Rule(code="SECOND", when="amount > 2", action=Action.REVIEW, reason='Is "two".', letter="The amount."),
    )
    return Encoder(plan_of(Pipeline(name="test", event=event, input=Topic(name="payments"), rules=rules)))


def decisions_on(records: list[bytes], key: str | None = "device") -> Decisions:
    """Three decisions: approved with nulls, reviewed by the model and late, blocked by rules and a duplicate."""
    decoded = Decoder(EVENT).decode(list(records), now(3))
    assert decoded.ok.all()
    columns = decoded.columns
    return Decisions(
        batch=Batch.of(decoded, "payments", np.array([0, 1, 2], np.int32), np.array([10, 2**40, 30])),
        sequence=np.array([7, 8, 9]),
        outcome=np.array([0, 1, 2], np.int8),
        score=np.array([np.nan, 0.1 + 0.2, 1.0]),
        model_score=np.array([np.nan, 0.75, 0.5]),
        risk_level=np.array([0, 2, 3], np.int8),
        rule_hits=np.array([[False, False, True], [False, True, True]]),
        rule_codes=("FIRST", "SECOND"),
        late=np.array([False, True, False]),
        duplicate=np.array([False, False, True]),
        duplicate_partition=np.array([0, 0, 5]),
        duplicate_offset=np.array([0, 0, 6]),
        degraded=np.array([True, False, False]),
        let_through=np.array([True, False, False]),
        features={
            "count": Column(INTEGER, np.array([-5, 0, 2**63 - 1])),
            "sum": Column(decimal(2), np.array([-5, 123456, 0]), np.array([True, True, False])),
            "mean": Column(FLOAT, np.array([1 / 3, -0.0, 5e-324])),
            "seen": Column(BOOLEAN, np.array([True, False, True]), np.array([True, True, False])),
            "last": Column(TIMESTAMP, np.array([NOW_MS, 0, 1])),
            "where": columns["place"],
        },
        versions={"pipeline": "p1", "rules": 'r"1'},
        decided_at_ms=NOW_MS + 5,
        threshold=0.6,
        event_id=columns["id"],
        key=columns[key] if key else None,
        amount=columns["amount"],
    )


EXPLANATION = {
    "base": None,
    "rest": None,
    "reasons": [
        {"code": "SECOND", "sentence": 'Is "two".', "letter": "The amount.", "contribution": None, "value": None},
        {
            "code": "MODEL_SCORE",
            "sentence": "The model's score reaches 0.6, from which on it is reviewed.",
            "letter": "The circumstances of this transaction.",
            "contribution": None,
            "value": None,
        },
    ],
}
"""The reviewed decision's: of the rule, and of a model that cannot say more."""
RECORDS = [
    record(id="a", place="Paris"),
    b" " + record(id='b"\\\n\u00e9', client={"device": {"id": SECRET}}, place='"q"') + b"\n ",
    record(id="c", client={"device": {"id": "abc"}}, amount=-0.05),
]


def as_tokens(own: bytes, keys: TokenKeys) -> bytes:
    """A record with tokens for its devices."""
    for device in (SECRET, "abc"):
        own = own.replace(f'"{device}"'.encode(), f'"{keys.token(device.encode())}"'.encode())
    return own


def parsed(values: list[bytes]) -> list[Any]:
    """The values by two strict parsers, which must agree."""
    loaded = [json.loads(value, parse_float=Decimal) for value in values]
    assert [msgspec.json.decode(value) for value in values] == [json.loads(value) for value in values]
    return loaded


def test_an_envelope_carries_the_events_bytes_and_the_whole_decision(token_keys: TokenKeys) -> None:
    values, keys = encoder().encode(Form.ENVELOPE, decisions_on(RECORDS), EVERY)
    assert keys == [None, *(token_keys.token(device).encode() for device in (SECRET.encode(), b"abc"))]
    assert all(
        value.startswith(b'{"event":' + as_tokens(own, token_keys) + b',"decision":')
        for value, own in zip(values, RECORDS, strict=True)
    )
    first, second, third = (envelope["decision"] for envelope in parsed(values))
    assert second == {
        "event_id": 'b"\\\n\u00e9',
        "input": {"topic": "payments", "partition": 1, "offset": 2**40},
        "sequence": 8,
        "outcome": "review",
        "score": Decimal("0.30000000000000004"),
        "model_score": Decimal("0.75"),
        "risk_level": "HIGH",
        "threshold": Decimal("0.6"),
        "reasons": ["SECOND", "MODEL_SCORE"],
        "rules": ["SECOND"],
        "explanation": EXPLANATION,
        "features": {
            "count": 0, "sum": Decimal("1234.56"), "mean": 0, "seen": False, "last": 0, "where": '"q"',
        },
        "versions": {"pipeline": "p1", "rules": 'r"1'},
        "flags": ["late"],
        "duplicate_of": None,
        "event_at": NOW_MS + 123,
        "decided_at": NOW_MS + 5,
    }  # fmt: skip
    both = ["degraded", "let_through"]
    assert (first["score"], first["model_score"], first["reasons"], first["flags"]) == (None, None, [], both)
    assert first["features"]["sum"] == Decimal("-0.05")
    assert float(first["features"]["mean"]) == 1 / 3
    assert third["duplicate_of"] == {"partition": 5, "offset": 6}
    assert third["flags"] == ["duplicate"]
    assert third["features"]["count"] == 2**63 - 1
    assert (third["features"]["sum"], third["features"]["seen"], third["features"]["where"]) == (None, None, None)


def test_the_flat_form_is_the_event_with_the_decision_behind_its_members(token_keys: TokenKeys) -> None:
    values, _ = encoder().encode(Form.FLAT, decisions_on(RECORDS), EVERY)
    for flat, own in zip(parsed(values), RECORDS, strict=True):
        event = json.loads(as_tokens(own, token_keys), parse_float=Decimal)
        assert {name: flat[name] for name in event} == event
    assert [flat["is_fraud"] for flat in parsed(values)] == [False, True, True]
    assert {name: value for name, value in parsed(values)[1].items() if name not in json.loads(RECORDS[1])} == {
        "fraud_score": Decimal("0.30000000000000004"),
        "is_fraud": True,
        "risk_level": "HIGH",
        "threshold": Decimal("0.6"),
        "scored_at": "2026-11-22T20:00:00.005Z",
        "scoring_latency_ms": 5,
        "decision_id": "payments-1-1099511627776",
        "outcome": "review",
        "reasons": ["SECOND", "MODEL_SCORE"],
    }


@pytest.mark.parametrize("own", [b"{}", b" { \n} ", b'{"a":{}}', b'{"a":"{"}\r\n', b'{ "a" : [ ] \t}'])
def test_the_flat_form_takes_any_object(own: bytes) -> None:
    decisions = decisions_on(RECORDS)
    buffer = np.frombuffer(bytearray(own + bytes(PADDING)), np.uint8)
    whole = dataclasses.replace(
        decisions.batch, buffer=buffer, start=np.zeros(3, np.int64), length=np.full(3, len(own), np.int64)
    )
    values, _ = encoder().encode(Form.FLAT, dataclasses.replace(decisions, batch=whole), np.array([1]))
    flat = parsed(values)[0]
    assert {name: flat[name] for name in json.loads(own)} == json.loads(own)
    assert parsed(values)[0]["outcome"] == "review"


def test_an_alert_says_what_to_do_and_has_tokens_for_what_is_sensitive(token_keys: TokenKeys) -> None:
    values, keys = encoder(msgspec.structs.replace(EVENT, key="device")).encode(
        Form.ALERT, decisions_on(RECORDS), np.array([2, 1])
    )
    blocked, reviewed = parsed(values)
    assert (blocked["key"], reviewed["key"]) == (token_keys.token(b"abc"), token_keys.token(SECRET.encode()))
    assert keys == [blocked["key"].encode(), reviewed["key"].encode()]
    assert (blocked["action_required"], reviewed["action_required"]) == ("BLOCK", "REVIEW")
    assert {name: reviewed[name] for name in list(reviewed) if name not in ("key", "features", "versions")} == {
        "alert_id": "payments-1-1099511627776",
        "transaction_id": 'b"\\\n\u00e9',
        "amount": Decimal("57.16"),
        "score": Decimal("0.30000000000000004"),
        "risk_level": "HIGH",
        "reasons": ["SECOND", "MODEL_SCORE"],
        "rules": ["SECOND"],
        "explanation": EXPLANATION,
        "event_at": "2026-11-22T20:00:00.123Z",
        "alert_at": "2026-11-22T20:00:00.005Z",
        "action_required": "REVIEW",
        "input": {"topic": "payments", "partition": 1, "offset": 2**40},
    }
    assert blocked["amount"] == Decimal("-0.05")


def test_an_event_without_id_is_named_by_its_coordinates_and_one_without_key_has_none() -> None:
    decisions = dataclasses.replace(decisions_on(RECORDS, key=None), event_id=None, amount=None)
    values, keys = encoder().encode(Form.ENVELOPE, decisions, EVERY)
    assert parsed(values)[1]["decision"]["event_id"] == "payments-1-1099511627776"
    alert = parsed(encoder().encode(Form.ALERT, decisions, EVERY)[0])[1]
    assert (alert["transaction_id"], alert["key"], alert["amount"]) == ("payments-1-1099511627776", None, None)
    assert keys == [None, None, None]


def test_an_integer_key_is_written_in_decimal() -> None:
    decisions = dataclasses.replace(decisions_on(RECORDS), key=Column(INTEGER, np.array([-1, 0, 596])))
    assert encoder().encode(Form.ENVELOPE, decisions, np.array([2, 0]))[1] == [b"596", b"-1"]


def test_no_rows_are_no_records() -> None:
    for form in Form:
        assert encoder().encode(form, decisions_on(RECORDS), np.array([], np.int64)) == ([], [])


def test_more_records_than_one_block_are_each_their_own() -> None:
    values = np.arange(2_000)
    writer = RecordWriter(values[::-1].copy())
    writer.integer(values)
    writer.literal(" ")
    writer.number(values / 4)
    assert writer.write() == [f"{value} {value / 4}".encode() for value in reversed(range(2_000))]


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=40), min_size=1, max_size=10))
@settings(deadline=None)
def test_any_text_survives(texts: list[str]) -> None:
    encoded = [text.encode() for text in texts]
    length = np.array([len(text) for text in encoded])
    buffer = np.frombuffer(bytearray(b"".join(encoded) + bytes(PADDING)), np.uint8)
    writer = RecordWriter(np.arange(len(texts)))
    writer.text(buffer, np.cumsum(length) - length, length)
    assert [json.loads(value) for value in writer.write()] == texts


@given(st.lists(st.floats(), min_size=1, max_size=20), st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
@settings(deadline=None)
def test_numbers_read_back_as_they_were(floats: list[float], integers: list[int]) -> None:
    writer = RecordWriter(np.arange(len(floats)))
    writer.number(np.array(floats))
    read = [json.loads(value) for value in writer.write()]
    assert read == [number if np.isfinite(number) else None for number in floats]
    for scale in (0, 1, 2, 9):
        writer = RecordWriter(np.arange(len(integers)))
        writer.decimal(np.array(integers, np.int64), scale)
        written = writer.write()
        assert [Decimal(value.decode()) for value in written] == [Decimal(each).scaleb(-scale) for each in integers]
        assert all(isinstance(json.loads(value), (int, float)) for value in written)


@given(st.lists(st.integers(0, 9_246_182_399_999), min_size=1))
@settings(deadline=None)
def test_instants_are_written_as_iso_8601(instants: list[int]) -> None:
    writer = RecordWriter(np.arange(len(instants)))
    writer.instant(np.array(instants))
    assert [json.loads(value) for value in writer.write()] == [format_instant(at) for at in instants]
