"""The law for Avro: the scan is the plain reader, which reads as fastavro does; an event is the same event as JSON."""

from __future__ import annotations

import io
import json
import random
from decimal import Decimal
from typing import Any

import fastavro
import numpy as np
import pytest
from decoding import EVENT, NOW_MS, now, plain
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudstream.define.pipeline import Format
from fraudstream.engine.avro_read import read_avro
from fraudstream.engine.avro_schema import parse_avro
from fraudstream.engine.decode import Decoded, Decoder
from fraudstream.engine.decode_framed import FramedDecoder, reader_of
from fraudstream.engine.decode_values import Refused
from fraudstream.engine.event_json import EventWriter
from fraudstream.engine.reject import Reject, RejectClass
from fraudstream.engine.schemas import WriterSchema
from fuzz.guard import guard_the_decoder

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 3}
PLACE = {
    "type": "record",
    "name": "Place",
    "fields": [{"name": "lat", "type": "double"}, {"name": "lon", "type": "float"}],
}
SHOP = {"type": "record", "name": "Shop", "fields": [{"name": "where", "type": "Place"}]}
NODE = {
    "type": "record",
    "name": "Node",
    "fields": [{"name": "next", "type": ["null", "Node"]}, {"name": "n", "type": "int"}],
}
SCHEMA = {
    "type": "record",
    "name": "Everything",
    "fields": [
        {"name": "before", "type": ["null", "boolean", "int", {"type": "fixed", "name": "F", "size": 3}]},
        {"name": "id", "type": ["string", {"type": "enum", "name": "Id", "symbols": ["ONE", "TWO"]}]},
        {"name": "at", "type": [{"type": "long", "logicalType": "timestamp-micros"}, "string"]},
        {"name": "count", "type": ["int", "long", "double"]},
        {"name": "amount", "type": [DECIMAL, "double", "string", "long"]},
        {"name": "speed", "aliases": ["v"], "type": ["null", "float", "double", "int"]},
        {"name": "online", "type": ["null", "boolean"]},
        {"name": "seen_ms", "type": ["null", "long", {"type": "int", "logicalType": "date"}]},
        {"name": "seen_s", "type": ["null", "long", "double"]},
        {
            "name": "client",
            "type": {
                "type": "record",
                "name": "Client",
                "fields": [
                    {"name": "ip", "type": ["null", "string"]},
                    {"name": "skipped", "type": {"type": "array", "items": ["null", "string", "long"]}},
                    {"name": "device", "type": [{"type": "map", "values": "string"}, "null", NODE]},
                ],
            },
        },
        {"name": "place", "type": ["null", "string", PLACE]},
        {"name": "tags", "type": {"type": "map", "values": {"type": "array", "items": "double"}}},
        {"name": "merchant", "type": ["null", SHOP]},
    ],
}  # fmt: skip
PARSED = fastavro.parse_schema(SCHEMA)


class Known:
    """A registry with one schema, number 7, and one of another event, number 8."""

    def schema(self, schema_id: int) -> WriterSchema | None:
        if schema_id == 7:
            return WriterSchema("AVRO", json.dumps(SCHEMA))
        return WriterSchema("AVRO", '{"type": "record", "name": "Other", "fields": []}') if schema_id == 8 else None


DECODER = FramedDecoder(EVENT, Format.AVRO, Known())
JSON_DECODER = Decoder(EVENT)
WRITER = EventWriter(EVENT)


def written(members: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, PARSED, members)
    return b"\0\0\0\0\7" + stream.getvalue()


def assert_same(records: list[bytes | None]) -> Decoded:
    """Every row is what the reference says, and again the same when it has been written as JSON and read."""
    decoded = DECODER.decode(records, now(len(records)))
    rejected = {reject.row: reject for reject in decoded.rejects}
    for row, record in enumerate(records):
        expected = DECODER._refer(record, NOW_MS, row)
        assert decoded.ok[row] == (not isinstance(expected, Reject)), (record, expected)
        if isinstance(expected, Reject):
            assert rejected[row] == expected
            continue
        for name, column in decoded.columns.items():
            if name.endswith((".lat", ".lon")) and expected[name] is None:
                continue  # the city table may have filled it
            found = plain(decoded, column, row) if column.valid is None or column.valid[row] else None
            assert (found, type(found)) == (expected[name], type(expected[name])), (record, name)
    assert_same_as_json(decoded)
    return decoded


def assert_same_as_json(decoded: Decoded) -> None:
    rows = np.flatnonzero(decoded.ok)
    again = JSON_DECODER.decode(list(WRITER.texts(decoded, rows)), now(len(rows)))
    assert not again.rejects
    for name, column in decoded.columns.items():
        other = again.columns[name]
        for place, row in enumerate(rows.tolist()):
            found = plain(decoded, column, row) if column.valid is None or column.valid[row] else None
            assert found == (plain(again, other, place) if other.valid is None or other.valid[place] else None), name


def of(branch: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Values of one branch of a union."""
    return values.map(lambda value: (branch, value))


texts = st.one_of(st.text(max_size=20), st.sampled_from(["Paris", "2026-11-22T20:00:00", "x" * 1_025, "1.50", "a\0"]))
longs = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-100, 100), st.integers(0, 2 * 10**15))
ints = st.integers(-(2**31), 2**31 - 1)
doubles = st.one_of(st.floats(), st.decimals(-100, 100, places=2).map(float), st.just(85.64999999999999))
singles = st.floats(width=32)
units = st.one_of(st.integers(-(10**15), 10**15), st.integers(-(2**90), 2**90)).map(
    lambda number: (
        number.to_bytes(12, "big", signed=True)
        if abs(number) >= 2**62
        else number.to_bytes(max(1, (number.bit_length() + 8) // 8), "big", signed=True)
    )
)
isos = st.one_of(st.datetimes().map(str), st.datetimes().map(lambda at: at.isoformat() + "+02:00"), texts)
places = st.fixed_dictionaries({"lat": doubles, "lon": singles})
changes: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "before": st.one_of(st.none(), st.booleans(), ints, st.just(("F", b"abc"))),
        "id": st.one_of(of("string", texts), st.sampled_from([("Id", "ONE"), ("Id", "TWO")])),
        "at": st.one_of(of("long", st.integers(0, 2 * 10**15)), of("string", isos)),
        "count": st.one_of(of("int", ints), of("long", longs), doubles),
        "amount": st.one_of(
            of("bytes", units),
            of("double", doubles),
            of("string", st.one_of(texts, st.decimals(-(10**6), 10**6, places=2).map(str))),
            of("long", longs),
        ),
        "speed": st.one_of(
            st.none(), of("float", singles), of("double", doubles), of("int", ints)
        ),
        "online": st.one_of(st.none(), st.booleans()),
        "seen_ms": st.one_of(st.none(), of("long", longs), of("int", st.integers(-5, 200_000))),
        "seen_s": st.one_of(st.none(), of("long", st.integers(0, 10**10)), of("double", doubles)),
        "client": st.fixed_dictionaries(
            {
                "ip": st.one_of(st.none(), texts),
                "skipped": st.lists(st.one_of(st.none(), texts, longs), max_size=3),
                "device": st.one_of(
                    of("map", st.dictionaries(st.sampled_from(["id", "é"]), texts)),
                    st.none(),
                    st.just(("Node", {"next": {"next": None, "n": 1}, "n": 2})),
                ),
            }
        ),
        "place": st.one_of(st.none(), texts, of("Place", places)),
        "tags": st.dictionaries(texts, st.lists(doubles, max_size=2), max_size=2),
        "merchant": st.one_of(st.none(), places.map(lambda place: {"where": place})),
    }
)  # fmt: skip
GOOD = {
    "before": 5, "id": ("string", "t1é"), "at": ("long", 1_795_377_600_123_456), "count": ("long", -7),
    "amount": ("bytes", (57_160).to_bytes(3, "big")), "speed": ("float", 0.5), "online": True,
    "seen_ms": ("int", 19_000), "seen_s": None, "place": "Paris",
    "client": {"ip": "::1", "skipped": [None, "x", 3], "device": None},
    "tags": {"a": [1.0]}, "merchant": {"where": {"lat": 1.5, "lon": -2.25}},
}  # fmt: skip


@given(st.lists(changes, min_size=1, max_size=6))
@settings(max_examples=200, deadline=None)
def test_records_of_every_type_decode_as_the_reference_says(cases: list[dict[str, Any]]) -> None:
    assert_same([written({**GOOD, **case}) for case in cases])


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_mutated_and_random_bytes_decode_as_the_reference_says(seed: int) -> None:
    source = random.Random(seed)
    full = written(GOOD)
    records: list[bytes | None] = [
        b"\0\0\0\0" + bytes([source.randrange(6, 9)]) + source.randbytes(source.randrange(60))
    ]
    for _ in range(12):
        mutant = bytearray(full)
        for _ in range(source.randrange(1, 4)):
            at = source.randrange(len(mutant) + 1)
            cut = source.choice([0, 1, 1, 2, source.randrange(10)])
            token = source.choice(
                [b"\0", b"\2", b"\x80", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", b"\1", source.randbytes(1)]
            )
            mutant[at : at + cut] = token if source.random() < 0.7 else b""
        records.append(bytes(mutant[: source.choice([len(mutant)] * 4 + [source.randrange(len(mutant) + 1)])]))
    assert_same(records)


def test_nothing_reads_or_writes_beyond_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every prefix of a record, and every byte of it changed: a step aside would kill this process."""
    guard_the_decoder(monkeypatch)
    full = written(GOOD)
    prefixes: list[bytes | None] = [full[:end] for end in range(len(full) + 1)]
    assert assert_same(prefixes).ok.sum() == 1
    changed = [
        full[:at] + bytes([full[at] ^ bits]) + full[at + 1 :] for at in range(len(full)) for bits in (1, 2, 0x80, 0xFF)
    ]
    decoded = assert_same([*changed])
    assert {reject.kind for reject in decoded.rejects} > {
        RejectClass.MALFORMED,
        RejectClass.UNKNOWN_SCHEMA,
        RejectClass.BAD_FRAME,
    }


def test_usual_records_need_no_help_and_are_what_fastavro_reads() -> None:
    source = random.Random(1)
    cases = []
    for row in range(200):
        units = source.randrange(-(10**9), 10**9) * 10
        own = {
            "id": ("string", f"t{row}") if row % 2 else ("Id", "TWO"), "count": ("int", row),
            "place": [None, "Paris"][row % 2],
            "amount": ("bytes", units.to_bytes(8, "big", signed=True)) if row % 3 else ("string", "12.50"),
            "at": ("long", 1_795_377_600_000_000 + row) if row % 2 else ("string", "2026-11-22T20:00:00.5+01:00"),
        }  # fmt: skip
        cases.append({**GOOD, **own})
    records: list[bytes | None] = [written(case) for case in cases]
    decoded = assert_same(records)
    assert decoded.ok.all() and decoded.slow_rows == 0
    for row, record in enumerate(records):
        read = fastavro.schemaless_reader(io.BytesIO((record or b"")[5:]), PARSED)
        assert plain(decoded, decoded.columns["id"], row) == read["id"]
        assert Decimal(plain(decoded, decoded.columns["fine"], row)) / 10_000 == Decimal(read["amount"])
        assert decoded.columns["seen_ms"].values[row] == 19_000 * 86_400_000
        assert decoded.columns["shop.lon"].values[row] == -2.25


@pytest.mark.parametrize(
    ("count", "what"),
    [(2**62, "more items than"), (-(2**62), "more items than"), (50_000, "more items than")],
)
def test_an_array_of_nothing_does_not_keep_anybody_busy(count: int, what: str) -> None:
    """A few bytes that claim a million million items are refused at once."""
    fields = [{"name": "id", "type": {"type": "array", "items": "null"}}, {"name": "x", "type": "string"}]
    empty = json.dumps({"type": "record", "name": "E", "fields": fields})
    zigzag = (count << 1) ^ (count >> 63)
    body = bytearray()
    while zigzag >= 0x80:
        body.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    body.append(zigzag)
    with pytest.raises(Refused, match=what):
        read_avro(bytes(body) + b"\0\0\2", 0, parse_avro(empty))


def test_a_schema_that_would_never_end_is_refused() -> None:
    """Records within records: forty levels of two each are a million million values of no bytes."""
    kind: Any = {"type": "record", "name": "R0", "fields": []}
    for level in range(1, 40):
        inner = f"R{level - 1}"
        kind = {
            "type": "record",
            "name": f"R{level}",
            "fields": [{"name": "a", "type": kind}, {"name": "b", "type": inner}],
        }
    found = reader_of(7, WriterSchema("AVRO", json.dumps(kind)), EVENT, Format.AVRO)
    assert isinstance(found, Refused) and "more than 50000 values" in found.reason
    schema = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "null"}]}
    text = json.dumps(schema).replace('"null"', '{"type":"array","items":' * 3_000 + '"null"' + "}" * 3_000)
    assert isinstance(reader_of(7, WriterSchema("AVRO", text), EVENT, Format.AVRO), Refused)
