"""Protobuf reads as the JSON of the same event, strictly, whatever bytes come."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import numpy as np
import pytest
from decoding import EVENT, NOW_MS, now, plain, values_of
from google.protobuf import json_format

from fraudstream.define.pipeline import Format
from fraudstream.engine.decode import Decoded, Decoder
from fraudstream.engine.decode_framed import FramedDecoder
from fraudstream.engine.event_json import EventWriter
from fraudstream.engine.protobuf_schema import ProtobufSchema, compiled
from fraudstream.engine.reject import Reject
from fraudstream.engine.schemas import SchemaUnusable, WriterSchema
from fraudstream.tokens.held import held_keys
from fuzz.guard import guard_the_decoder

SHOPS = """
syntax = "proto3";
package shop;
message Place { optional double lat = 1; optional double lon = 2; }
"""
SCHEMA = """
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "places/place.proto";

enum Kind { CARD = 0; TRANSFER = 1; ODD = -5; }
  message Event {
    string id = 1;
    google.protobuf.Timestamp at = 2;
    int32 count = 3;
    string amount = 4;
    optional float v = 5;
    google.protobuf.BoolValue online = 6;
    optional int64 seen_ms = 7;
    optional double seen_s = 8;
    message Client { string ip = 1; map<string, string> device = 2; }
    optional Client client = 9;
    oneof where { string place = 10; int32 nowhere = 11; }
    message Merchant { Place where = 1; }
    Merchant merchant = 12;
    repeated string tags = 13;
    Event inner = 14;
    Kind kind = 15;
    repeated sint64 numbers = 16;
    repeated Place places = 17;
    bytes rest = 18;
    fixed32 four = 19;
  }
message Envelope { message Other { string name = 1; } Event event = 1; }
"""
SHOP = (("places/place.proto", SHOPS),)
FIRST = b"\0"
OTHER = b"\4\2\0"  # two levels: the second message type, and its first
COMPILED = ProtobufSchema(SCHEMA, SHOP)
GOOD: dict[str, Any] = {
    "id": "t1é", "at": "2026-11-22T20:00:00.123Z", "count": -7, "amount": "57.16", "v": 0.5, "online": False,
    "seenMs": "5", "seenS": 1.5, "client": {"ip": "::1", "device": {"id": "d1"}}, "place": "Paris",
    "merchant": {"where": {"lat": 1.5, "lon": -2.25}}, "tags": ["a"],
}  # fmt: skip


class Known:
    """A registry with one schema, number 7."""

    def __init__(self, text: str = SCHEMA, references: tuple[tuple[str, str], ...] = SHOP) -> None:
        self.known = WriterSchema("PROTOBUF", text, references)

    def schema(self, schema_id: int) -> WriterSchema | None:
        return self.known if schema_id == 7 else None


DECODER = FramedDecoder(EVENT, Format.PROTOBUF, Known())


def written(members: dict[str, Any], indexes: bytes = FIRST) -> bytes:
    message = COMPILED.message((0,))()
    json_format.ParseDict(members, message)
    return b"\0\0\0\0\7" + indexes + message.SerializeToString()


def assert_same(records: list[bytes | None], decoder: FramedDecoder = DECODER) -> Decoded:
    """Every row is what the reference says."""
    decoded = decoder.decode(records, now(len(records)))
    rejected = {reject.row: reject for reject in decoded.rejects}
    for row, record in enumerate(records):
        expected = decoder._refer(record, NOW_MS, row)
        assert decoded.ok[row] == (not isinstance(expected, Reject)), (record, expected)
        if isinstance(expected, Reject):
            assert rejected[row] == expected
            continue
        for name, column in decoded.columns.items():
            if name.endswith((".lat", ".lon")) and expected[name] is None:
                continue  # the city table may have filled it
            found = plain(decoded, column, row) if column.valid is None or column.valid[row] else None
            assert (found, type(found)) == (expected[name], type(expected[name])), (record, name)
    return decoded


def test_usual_messages_need_no_help() -> None:
    usual = {**GOOD, "seenS": None}  # a number of seconds with a fraction is rare
    records: list[bytes | None] = [written({**usual, "client": {"ip": ip}}) for ip in ("", "é", "x" * 300)]
    more = {"inner": GOOD, "numbers": [1, -2], "places": [{"lat": 1}, {}], "rest": "AAEC", "four": 7, "kind": "ODD"}
    records.append(written({**usual, "client": {"ip": "::1"}, **more}))
    records.append(written({"id": "t", "at": GOOD["at"], "amount": "0.00", "nowhere": 3}))
    decoded = assert_same(records)
    assert decoded.ok.all() and decoded.slow_rows == 0


def test_nothing_reads_or_writes_beyond_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every prefix of a record, and every byte of it changed: a step aside would kill this process."""
    guard_the_decoder(monkeypatch)
    full = written({**GOOD, "client": {"ip": "::1"}, "inner": {"id": "x"}, "numbers": [5]})
    records: list[bytes | None] = [full[:end] for end in range(len(full) + 1)]
    records += [
        full[:at] + bytes([full[at] ^ bits]) + full[at + 1 :] for at in range(len(full)) for bits in (1, 8, 0x80)
    ]
    assert_same(records)


def test_an_event_decodes_as_its_json_does() -> None:
    records: list[bytes | None] = [written(GOOD), written({"id": "t2", "at": GOOD["at"], "amount": "1.00"})]
    decoded = DECODER.decode(records, now(2))
    assert decoded.ok.all(), decoded.rejects
    assert values_of(decoded, "id") == ["t1é", "t2"]
    assert values_of(decoded, "at") == [1_795_377_600_123] * 2
    assert values_of(decoded, "count") == [-7, 0], "without presence it has its type's default"
    assert values_of(decoded, "amount") == [5_716, 100]
    assert values_of(decoded, "v") == [0.5, None]
    assert values_of(decoded, "online") == [False, None]
    assert values_of(decoded, "device") == [held_keys().token(b"d1"), None]
    assert values_of(decoded, "place") == ["Paris", None]
    assert values_of(decoded, "shop.lon") == [-2.25, None]
    again = Decoder(EVENT).decode(list(EventWriter(EVENT).texts(decoded, np.arange(2))), now(2))
    for name in decoded.columns:
        assert values_of(again, name) == values_of(decoded, name), name


def test_a_descriptor_in_base64_is_read_like_its_text() -> None:
    """What Confluent's client for Python registers, and some registries give back as it came."""
    files = {each.name: each for each in compiled(SCHEMA, SHOP)}
    names = ("schema.proto", "places/place.proto")
    own, place = (base64.b64encode(files[name].SerializeToString()).decode() for name in names)
    decoder = FramedDecoder(EVENT, Format.PROTOBUF, Known(own, (("places/place.proto", place),)))
    assert decoder.decode([written(GOOD)], now(1)).ok.all()
    mixed = FramedDecoder(EVENT, Format.PROTOBUF, Known(own, SHOP))
    assert mixed.decode([written(GOOD)], now(1)).ok.all()


@pytest.mark.parametrize(
    ("record", "kind", "reason"),
    [
        (
            written(GOOD, OTHER),
            "incompatible_schema",
            "id: required, and shop.Envelope.Other has no such field (it has name)",
        ),
        (written(GOOD, b"\2\4"), "bad_frame", "has no message type 2"),
        (b"\0\0\0\0\7", "bad_frame", "the place of the message type is expected"),
        (written(GOOD)[:-1], "malformed", "Not Protobuf of its schema"),
        (written({**GOOD, "amount": "1,5"}), "wrong_type", "amount: found"),
        (written({**GOOD, "amount": ""}), "wrong_type", "amount: found"),
        (written({"id": "t2", "amount": "1.00"}), "missing_field", "at: absent or null"),
    ],
)
def test_what_is_no_event_is_said(record: bytes, kind: str, reason: str) -> None:
    (reject,) = DECODER.decode([record], now(1)).rejects
    assert (reject.kind, reason in reject.reason) == (kind, True), reject


def test_hostile_bytes_are_refused_and_nothing_else_happens() -> None:
    source = random.Random(3)
    full = written(GOOD)
    records: list[bytes | None] = []
    for _ in range(1_500):
        mutant = bytearray(full)
        for _ in range(source.randrange(1, 4)):
            at = source.randrange(5, len(mutant) + 1)
            mutant[at : at + source.randrange(3)] = source.randbytes(source.randrange(3))
        records.append(bytes(mutant))
    records += [b"\0\0\0\0\7\0" + source.randbytes(source.randrange(80)) for _ in range(500)]
    records.append(b"\0\0\0\0\7" + FIRST + b"\x72" * 20_000)
    decoded = assert_same(records)
    assert {str(reject.kind) for reject in decoded.rejects} >= {"malformed", "missing_field", "not_utf8"} - {"not_utf8"}
    assert decoded.ok.sum() > 100


@pytest.mark.parametrize(
    ("text", "references", "reason"),
    [
        ("message {", (), "no Protobuf schema"),
        (SCHEMA, (), "places/place.proto"),
        (SCHEMA, (("../place.proto", SHOPS),), "leads out"),
        (json.dumps({"type": "record"}), (), "no Protobuf schema"),
    ],
)
def test_what_is_no_schema_is_said(text: str, references: tuple[tuple[str, str], ...], reason: str) -> None:
    with pytest.raises(SchemaUnusable, match=reason):
        ProtobufSchema(text, references)
