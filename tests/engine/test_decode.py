"""Decoding: every kind of bad record has its class, good neighbours are untouched, and good values arrive exactly."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from decoding import EVENT, NOW_MS, now, raw, record, values_of

from fraudstream.engine.batch import Batch, gather
from fraudstream.engine.decode import Decoded, Decoder
from fraudstream.engine.reject import RejectClass
from fraudstream.schema.event import Event, Field, FieldType
from fraudstream.tokens.held import held_keys

DECODER = Decoder(EVENT)

POISON: list[tuple[str, bytes | None, RejectClass]] = [
    ("tombstone", None, RejectClass.EMPTY),
    ("empty", b"", RejectClass.EMPTY),
    ("white space", b" \n", RejectClass.NOT_JSON),
    ("truncated", record()[:-10], RejectClass.NOT_JSON),
    ("truncated before the last brace", record()[:-1], RejectClass.NOT_JSON),
    ("two objects", record() + record(), RejectClass.NOT_JSON),
    ("trailing bytes", record() + b"x", RejectClass.NOT_JSON),
    ("trailing comma", record()[:-1] + b",}", RejectClass.NOT_JSON),
    ("single quotes", record().replace(b'"', b"'"), RejectClass.NOT_JSON),
    ("schema registry frame of an unknown id", b"\x00\x00\x00\x00\x07" + record(), RejectClass.NOT_JSON),
    ("top-level list", b"[" + record() + b"]", RejectClass.NOT_OBJECT),
    ("top-level number", b"5", RejectClass.NOT_OBJECT),
    ("top-level null", b"null", RejectClass.NOT_OBJECT),
    ("byte order mark", b"\xef\xbb\xbf" + record(), RejectClass.NOT_JSON),
    ("NUL between tokens", record().replace(b": ", b":\0", 1), RejectClass.NOT_JSON),
    ("raw NUL in a string", record(id="a~").replace(b"~", b"\0"), RejectClass.NOT_JSON),
    ("escaped NUL in a wanted string", record(id="a\0"), RejectClass.OUT_OF_RANGE),
    ("line feed in a string", record(id="a~").replace(b"~", b"\n"), RejectClass.NOT_JSON),
    ("bad escape", raw(rb'"x": "\q"'), RejectClass.NOT_JSON),
    ("invalid UTF-8", record(id="a~").replace(b"~", b"\xff"), RejectClass.NOT_UTF8),
    ("overlong UTF-8", raw(b'"x": "\xc0\xaf"'), RejectClass.NOT_UTF8),
    ("UTF-8 of a surrogate", raw(b'"x": "\xed\xa0\x80"'), RejectClass.NOT_UTF8),
    ("lone surrogate escape", raw(rb'"x": ["\ud800"]'), RejectClass.NOT_UTF8),
    ("lone low surrogate in a key", raw(rb'"\udc00": 1'), RejectClass.NOT_UTF8),
    ("NaN", record(v=float("nan")), RejectClass.NOT_JSON),
    ("NaN in an unknown member", record(x=float("nan")), RejectClass.NOT_JSON),
    ("Infinity", record(v=float("inf")), RejectClass.NOT_JSON),
    ("-Infinity", record(v=float("-inf")), RejectClass.NOT_JSON),
    ("1e400", record(v=0.5).replace(b"0.5", b"1e400"), RejectClass.OUT_OF_RANGE),
    ("30-digit integer", record(count=10**29), RejectClass.OUT_OF_RANGE),
    ("2^63", record(count=2**63), RejectClass.OUT_OF_RANGE),
    ("30-digit amount", record(amount=10**29), RejectClass.OUT_OF_RANGE),
    ("amount with a third digit", record(amount=1.005), RejectClass.OUT_OF_RANGE),
    ("amount of a huge exponent", record(amount=5).replace(b"5}", b"1e" + b"9" * 25 + b"}"), RejectClass.OUT_OF_RANGE),
    ("duplicate key", raw(b'"id": "t2"'), RejectClass.DUPLICATE_KEY),
    ("duplicate key, escaped", raw(rb'"\u0069d": "t2"'), RejectClass.DUPLICATE_KEY),
    ("duplicate unknown key", raw(b'"x": 1, "y": 2, "x": 1'), RejectClass.DUPLICATE_KEY),
    ("duplicate key deep inside", raw(b'"x": [{"a": 1}, {"a": 1, "b": {"c": 1, "c": 1}}]'), RejectClass.DUPLICATE_KEY),
    ("depth 65", raw(b'"x": ' + b"[" * 64 + b"]" * 64), RejectClass.TOO_DEEP),
    ("depth 900", raw(b'"x": ' + b"[" * 900 + b"]" * 900), RejectClass.TOO_DEEP),
    ("text for a number", record(count="5"), RejectClass.WRONG_TYPE),
    ("boolean for a number", record(count=True), RejectClass.WRONG_TYPE),
    ("boolean for an amount", record(amount=False), RejectClass.WRONG_TYPE),
    ("number for a string", record(id=5), RejectClass.WRONG_TYPE),
    ("number for a boolean", record(online=1), RejectClass.WRONG_TYPE),
    ("5.0 for an integer", record(count=5.0), RejectClass.WRONG_TYPE),
    ("5e0 for an integer", record(count=5).replace(b": 5,", b": 5e0,"), RejectClass.WRONG_TYPE),
    ("object for a string", record(id={"a": 1}), RejectClass.WRONG_TYPE),
    ("list for a string", record(id=["t1"]), RejectClass.WRONG_TYPE),
    ("amount in words", record(amount="ten"), RejectClass.WRONG_TYPE),
    ("amount with exponent in a string", record(amount="1e2"), RejectClass.WRONG_TYPE),
    ("string where an object is expected", record(client="x"), RejectClass.WRONG_TYPE),
    ("number for a location", record(place=5), RejectClass.WRONG_TYPE),
    ("missing id", record(id=...), RejectClass.MISSING_FIELD),
    ("null id", record(id=None), RejectClass.MISSING_FIELD),
    ("empty object", b"{}", RejectClass.MISSING_FIELD),
    ("latitude 91", record(place={"lat": 91, "lon": 0}), RejectClass.OUT_OF_RANGE),
    ("longitude -180.5", record(place={"lat": 0, "lon": -180.5}), RejectClass.OUT_OF_RANGE),
    ("long string", record(id="x" * 1_025), RejectClass.OUT_OF_RANGE),
    ("year 1969", record(at="1969-12-31 23:59:59"), RejectClass.OUT_OF_RANGE),
    ("year 2263", record(at="2263-01-01T00:00:00Z"), RejectClass.OUT_OF_RANGE),
    ("year 2262", record(at="2262-12-31T23:59:59.999Z"), RejectClass.FUTURE_TIME),
    ("two days ahead", record(at="2026-11-24T20:00:01Z"), RejectClass.FUTURE_TIME),
    ("30 February", record(at="2026-02-30T00:00:00Z"), RejectClass.BAD_TIME),
    ("date alone", record(at="2026-02-03"), RejectClass.BAD_TIME),
    ("number for ISO time", record(at=5), RejectClass.WRONG_TYPE),
    ("too large", raw(b'"x": "' + b"x" * 2_000 + b'"'), RejectClass.TOO_LARGE),
    ("1 MB", raw(b'"x": "' + b"x" * 1_000_000 + b'"'), RejectClass.TOO_LARGE),
    ("depth 100,000", b"[" * 100_000, RejectClass.TOO_LARGE),
]  # fmt: skip


@pytest.mark.parametrize(("value", "kind"), [case[1:] for case in POISON], ids=[case[0] for case in POISON])
def test_poison_has_its_class_and_leaves_its_neighbours_alone(value: bytes | None, kind: RejectClass) -> None:
    decoded = DECODER.decode([record(id="before"), value, record(id="after")], now(3))
    assert [(reject.row, reject.kind) for reject in decoded.rejects] == [(1, kind)]
    assert decoded.ok.tolist() == [True, False, True]
    assert [values_of(decoded, "id")[row] for row in (0, 2)] == ["before", "after"]
    assert [values_of(decoded, "amount")[row] for row in (0, 2)] == [5716, 5716]


def test_all_poison_in_one_chunk_is_rejected_row_by_row() -> None:
    values = [part for _, value, _ in POISON for part in (value, record())]
    decoded = DECODER.decode(values, now(len(values)))
    assert [reject.kind for reject in decoded.rejects] == [kind for _, _, kind in POISON]
    assert decoded.ok.tolist() == [False, True] * len(POISON)


def test_depth_and_size_do_not_crash_where_large_records_are_allowed() -> None:
    decoder = Decoder(Event(fields=(Field(name="id", type=FieldType.STRING),), max_bytes=5_000_000))
    deep = b'{"id": "x", "y": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    decoded = decoder.decode(
        [deep, b"[" * 100_000, b'{"id":' * 100_000, raw(b'"x": "' + b"y" * 1_000_000 + b'"')], now(4)
    )
    assert [reject.kind for reject in decoded.rejects] == [RejectClass.TOO_DEEP] * 3
    assert values_of(decoded, "id")[3] == "t1"


def test_no_value_is_in_a_reason_where_a_field_is_sensitive_and_others_are_cut() -> None:
    secret = {"client": {"device": {"id": ["4111111111111111"]}}}
    decoded = DECODER.decode([record(**secret), record(count="9" * 500), record(amount="8" * 500)], now(3))
    assert "4111" not in decoded.rejects[0].reason
    assert "client.device.id" in decoded.rejects[0].reason
    assert "888" not in decoded.rejects[2].reason
    plain = Decoder(msgspec.structs.replace(EVENT, fields=tuple(f for f in EVENT.fields if not f.sensitive)))
    shown = plain.decode([record(count="9" * 500), record(amount="8" * 500)], now(2)).rejects
    assert "888" in shown[1].reason and all(len(reject.reason) < 200 for reject in shown)


GOOD: list[tuple[dict[str, Any], str, Any]] = [
    ({"amount": 57}, "amount", 5700),
    ({"amount": 57.1}, "amount", 5710),
    ({"amount": "57.10"}, "amount", 5710),
    ({"amount": "57.1000"}, "fine", 571000),
    ({"amount": "-0.01"}, "amount", -1),
    ({"amount": -0.0}, "amount", 0),
    ({"amount": 10**10}, "fine", 10**14),
    ({"count": -(2**63)}, "count", -(2**63)),
    ({"count": 2**63 - 1}, "count", 2**63 - 1),
    ({"v": 3}, "v", 3.0),
    ({"v": 5e-324}, "v", 5e-324),
    ({"v": 10**29}, "v", 1e29),
    ({"v": None}, "v", None),
    ({"id": ""}, "id", ""),
    ({"id": "é\u20ac\U0001f600\\\"/\b\f\n\r\t\x7f"}, "id", "é\u20ac\U0001f600\\\"/\b\f\n\r\t\x7f"),
    ({"id": "x" * 1_024}, "id", "x" * 1_024),
    ({"at": "1970-01-01 00:00:00"}, "at", 0),
    ({"at": "2026-11-22T22:00:00.1239+02:00"}, "at", NOW_MS + 123),
    ({"at": "2026-11-22T14:30:00-0530"}, "at", NOW_MS),
    ({"at": "2026-11-22T19:00:00-01"}, "at", NOW_MS),
    ({"at": "2024-02-29T00:00:00z"}, "at", 1_709_164_800_000),
    ({"seen_ms": 1795377600123.9}, "seen_ms", NOW_MS + 123),
    ({"seen_s": 1795377600}, "seen_s", NOW_MS),
    ({"seen_s": 1795377600.1239}, "seen_s", NOW_MS + 123),
    ({"seen_s": 1.7953776e9}, "seen_s", NOW_MS),
    ({"client": {"device": {"id": "d"}}}, "device", held_keys().token(b"d")),
    ({"client": {"device": None}}, "device", None),
    ({"client": None}, "device", None),
    ({"place": "Paris"}, "place", "Paris"),
    ({"place": {"lat": 1, "lng": -2.5}}, "place", None),
    ({"place": {"lat": 1, "lng": -2.5}}, "place.lon", -2.5),
    ({"place": {"lat": None, "latitude": 7}}, "place.lat", 7.0),
    ({"merchant": {"where": {"latitude": 1, "longitude": 2}}}, "shop.lon", 2.0),
    ({"x": [{"a": 1}, {"a": 1}]}, "id", "t1"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "name", "expected"), GOOD)
def test_good_values_arrive_exactly(changes: dict[str, Any], name: str, expected: Any) -> None:
    for indent in (None, 1):
        value = json.dumps(json.loads(record(**changes)), indent=indent).encode()
        decoded = DECODER.decode([record(), value], now(2))
        assert not decoded.rejects
        assert values_of(decoded, name)[1] == expected


def test_an_amount_may_be_written_with_an_exponent() -> None:
    decoded = DECODER.decode(
        [record(amount=5).replace(b"5}", literal + b"}") for literal in (b"5.71e1", b"571E-1")], now(2)
    )
    assert values_of(decoded, "amount") == [5710, 5710]


def test_depth_64_is_allowed() -> None:
    assert DECODER.decode([raw(b'"x": ' + b"[" * 63 + b"]" * 63)], now(1)).ok.all()


def test_a_known_city_has_coordinates_and_an_unknown_one_has_none() -> None:
    names = ["Paris", "PARIS", "paris", "Atlantis"]
    decoded = DECODER.decode([*(record(place=name) for name in names), record(place={"lat": 1, "lon": 2})], now(5))
    assert [None if lat is None else round(lat) for lat in values_of(decoded, "place.lat")] == [49, 49, 49, None, 1]
    assert [None if lon is None else round(lon) for lon in values_of(decoded, "place.lon")] == [2, 2, 2, None, 2]


def test_a_required_location_gives_a_name_or_both_coordinates() -> None:
    decoder = Decoder(Event(fields=(Field(name="place", type=FieldType.LOCATION),)))
    places = ["Paris", {"lat": 1, "lon": 2}, {"lat": 1}, None, {}, 7]
    decoded = decoder.decode([json.dumps({"place": place}).encode() for place in places], now(6))
    assert decoded.ok.tolist() == [True, True, False, False, False, False]
    assert [reject.kind.value for reject in decoded.rejects] == ["missing_field"] * 3 + ["wrong_type"]


def test_event_time_is_the_kafka_timestamp_where_the_event_has_none() -> None:
    decoder = Decoder(Event(fields=(Field(name="id", type=FieldType.STRING),)))
    decoded = decoder.decode([b'{"id": "a"}', b'{"id": "b"}'], np.array([NOW_MS, -1]))
    assert decoded.event_at_ms[0] == NOW_MS
    assert [(reject.row, reject.kind) for reject in decoded.rejects] == [(1, RejectClass.BAD_TIME)]


def test_gathered_rows_carry_their_values_texts_and_bytes() -> None:
    """Plain, escaped and slowly decoded texts, nulls, and rows of three chunks in a given order."""
    chunks, records = [], []
    for chunk in range(3):
        own = [
            record(id=f"{chunk}.{row}", client={"ip": text}, count=row)
            for row, text in enumerate(["plain", None, 'esc"é', "\U0001f600", "é"])
        ]
        decoded = DECODER.decode(list(own), now(5))
        assert decoded.ok.all()
        chunks.append(Batch.of(decoded, "payments", np.full(5, chunk, np.int32), np.arange(5)))
        records.append(own)
    rows = [np.array([4, 2, 0]), np.array([1, 3]), np.array([], np.int64)]
    order = np.array([3, 0, 4, 2, 1])
    batch = gather(list(zip(chunks, rows, strict=True)), order)
    expected = [(chunk, row) for chunk, own in enumerate(rows) for row in own.tolist()]
    expected = [expected[place] for place in order]
    assert list(zip(batch.partition.tolist(), batch.offset.tolist(), strict=True)) == expected
    spans = zip(batch.start.tolist(), batch.length.tolist(), strict=True)
    assert [batch.buffer[at : at + size].tobytes() for at, size in spans] == [records[c][r] for c, r in expected]
    view = Decoded(
        batch.buffer, batch.start, batch.length, np.ones(5, bool), batch.columns, batch.event_at_ms, batch.timestamp_ms
    )
    for name in ("id", "address", "count"):
        direct = {"id": "id", "address": "client", "count": "count"}[name]
        wanted = [json.loads(records[c][r])[direct] for c, r in expected]
        assert values_of(view, name) == [value["ip"] if direct == "client" else value for value in wanted]


def test_taken_rows_are_those_rows() -> None:
    decoded = DECODER.decode([record(count=row) for row in range(5)], now(5)).take(np.array([3, 1]))
    assert values_of(decoded, "count") == [3, 1]
    assert len(decoded) == 2


def test_no_records_decode_to_no_rows() -> None:
    assert len(DECODER.decode([], now(0))) == 0


def test_keys_that_json_must_escape_are_found() -> None:
    decoder = Decoder(Event(fields=(Field(name="odd", type=FieldType.INTEGER, path='a"\\'),)))
    decoded = decoder.decode([json.dumps({'a"\\': 5}).encode(), b'{"a\\": 5}'], now(2))
    assert decoded.ok.tolist() == [True, False]
    assert values_of(decoded, "odd")[0] == 5
