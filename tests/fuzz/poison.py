"""The poison corpus: records that no scorer may choke on, each with its class of dead letter, or None if it is good.

Every class of bad input that a topic of transactions has been seen to carry, and those an attacker would think of.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from fraudstream.engine.reject import RejectClass
from fraudstream.schema.event import Event, Field, FieldType, TimeFormat
from fraudstream.tokens.held import use_keys
from fraudstream.tokens.keys import TokenKeys
from fraudstream.tokens.secret import Secret

NOW_MS = 1_795_377_600_000
SECRET = Secret.of(b"a secret that is none, for tests")
use_keys(lambda: TokenKeys("test", {"test": SECRET}))  # one of the fields is sensitive

EVERY_TYPE = Event(
    fields=(
        Field(name="id", type=FieldType.STRING),
        Field(name="at", type=FieldType.TIMESTAMP),
        Field(name="count", type=FieldType.INTEGER),
        Field(name="amount", type=FieldType.DECIMAL),
        Field(name="v", type=FieldType.FLOAT, required=False),
        Field(name="online", type=FieldType.BOOLEAN, required=False),
        Field(name="seen_ms", type=FieldType.TIMESTAMP, format=TimeFormat.EPOCH_MS, required=False),
        Field(name="seen_s", type=FieldType.TIMESTAMP, format=TimeFormat.EPOCH_S, required=False),
        Field(name="device", type=FieldType.STRING, path="client.device.id", required=False, sensitive=True),
        Field(name="address", type=FieldType.STRING, path="client.ip", required=False),
        Field(name="place", type=FieldType.LOCATION, required=False),
        Field(name="shop", type=FieldType.LOCATION, path="merchant.where", required=False),
        Field(name="fine", type=FieldType.DECIMAL, path="amount", scale=4),
    ),
    id="id",
    time="at",
    amount="amount",
)
"""A field of every type, nested paths, and two fields at one path."""

ODD = Event(
    fields=(
        Field(name="where", type=FieldType.LOCATION),
        Field(name="whole", type=FieldType.STRING, path="a", required=False),
        Field(name="part", type=FieldType.INTEGER, path="a.b", required=False),
        Field(name="deep", type=FieldType.DECIMAL, path="a.b.c.d", scale=0, required=False),
        Field(name="é", type=FieldType.BOOLEAN, path="é.ü", required=False),
    ),
    max_bytes=700,
)
"""No id and no time of its own, a required place, and paths that are both a value and an object."""


class Poison(NamedTuple):
    """One record of the corpus.

    Attributes:
        name: What is wrong with it.
        record: Its bytes; None is a tombstone.
        kind: The class of its dead letter, or None: it decodes.
    """

    name: str
    record: bytes | None
    kind: RejectClass | None


def good(**changes: Any) -> bytes:
    """A good record of `EVERY_TYPE` with members changed, or left out where the change is `...`."""
    members: dict[str, Any] = {
        "id": "t1", "at": "2026-11-22T20:00:00.123Z", "count": 5, "amount": 57.16, "v": -0.25, "online": True,
        "seen_ms": 5, "seen_s": 1.5, "client": {"ip": "é", "device": {"id": "d\n"}}, "place": "Paris",
        "merchant": {"where": {"lat": 1, "lon": -2.5}}, "other": [1, {"a": [True, None]}],
    }  # fmt: skip
    return json.dumps({key: value for key, value in {**members, **changes}.items() if value is not ...}).encode()


GOOD = good()


def corpus() -> list[Poison]:
    """The whole corpus, about 70 records."""
    return [*_not_a_record(), *_wrong_values(), *_hostile_json(), *_at_the_limits()]


def _with(members: bytes) -> bytes:
    """A good record with raw members behind its own."""
    return GOOD[:-1] + b", " + members + b"}"


def _number(literal: bytes, of: bytes = b"57.16") -> bytes:
    return GOOD.replace(of, literal)


def _not_a_record() -> Iterator[Poison]:
    reject = RejectClass
    yield Poison("tombstone", None, reject.EMPTY)
    yield Poison("empty", b"", reject.EMPTY)
    for cut in (1, 17, len(GOOD) // 2, len(GOOD) - 1):
        yield Poison(f"truncated at {cut}", GOOD[:cut], reject.NOT_JSON)
    yield Poison("top-level list", b"[" + GOOD + b"]", reject.NOT_OBJECT)
    yield Poison("top-level number", b"7", reject.NOT_OBJECT)
    yield Poison("top-level text", b'"text"', reject.NOT_OBJECT)
    yield Poison("top-level null", b"null", reject.NOT_OBJECT)
    yield Poison("white space", b" \r\n\t", reject.NOT_JSON)
    yield Poison("two values", GOOD + GOOD, reject.NOT_JSON)
    yield Poison("XML", b"<event/>", reject.NOT_JSON)
    yield Poison("CSV", b"t1,2026-11-22T20:00:00Z,5,57.16", reject.NOT_JSON)
    yield Poison("unknown schema id", b"\x00\x00\x00\x00\x2a" + b"\x04t1\x02", reject.NOT_JSON)
    yield Poison("unknown schema id before JSON", b"\x00\x00\x01\x86\xa0" + GOOD, reject.NOT_UTF8)
    yield Poison("gzip", b"\x1f\x8b\x08\x00" + bytes(20), reject.NOT_UTF8)
    yield Poison("1 MB", good(pad="x" * 1_000_000), reject.TOO_LARGE)
    yield Poison("1 MB of brackets", b"[" * 1_000_000, reject.TOO_LARGE)


def _wrong_values() -> Iterator[Poison]:
    reject = RejectClass
    for name, value in (("text", "57.16 EUR"), ("object", {}), ("list", [57.16]), ("bool as number", True)):
        yield Poison(f"amount is {name}", good(amount=value), reject.WRONG_TYPE)
    yield Poison("count is a bool", good(count=False), reject.WRONG_TYPE)
    yield Poison("count is text", good(count="5"), reject.WRONG_TYPE)
    yield Poison("count is 5.0", good(count=5.0), reject.WRONG_TYPE)
    yield Poison("online is 1", good(online=1), reject.WRONG_TYPE)
    yield Poison("id is a number", good(id=5), reject.WRONG_TYPE)
    yield Poison("client is text", good(client="phone"), reject.WRONG_TYPE)
    yield Poison("missing id", good(id=...), reject.MISSING_FIELD)
    yield Poison("null id", good(id=None), reject.MISSING_FIELD)
    yield Poison("missing time", good(at=...), reject.MISSING_FIELD)
    for literal in (b"NaN", b"Infinity", b"-Infinity", b"+1", b"01", b".5", b"5.", b"1e", b"0x10", b"1_000"):
        yield Poison(f"amount is {literal.decode()}", _number(literal), reject.NOT_JSON)
    yield Poison("1e400 as an amount", _number(b"1e400"), reject.OUT_OF_RANGE)
    yield Poison("1e400 as a float", _number(b"1e400", b"-0.25"), reject.OUT_OF_RANGE)
    yield Poison("1e999999999", _number(b"1e999999999"), reject.OUT_OF_RANGE)
    yield Poison("an exponent of 30 digits", _number(b"1e" + b"9" * 30), reject.OUT_OF_RANGE)
    yield Poison("30-digit amount", _number(b"9" * 30), reject.OUT_OF_RANGE)
    yield Poison("30-digit integer", GOOD.replace(b'"count": 5', b'"count": ' + b"9" * 30), reject.OUT_OF_RANGE)
    many = b"9" * 60_000
    yield Poison("60,000-digit amount", _number(many), reject.OUT_OF_RANGE)
    yield Poison("60,000-digit amount in quotes", _number(b'"' + many + b'"'), reject.OUT_OF_RANGE)
    yield Poison("60,000-digit float", _number(many, b"-0.25"), reject.OUT_OF_RANGE)
    yield Poison("60,000-digit integer", GOOD.replace(b'"count": 5', b'"count": ' + many), reject.OUT_OF_RANGE)
    yield Poison("60,000-digit time", GOOD.replace(b'"seen_ms": 5', b'"seen_ms": ' + many), reject.OUT_OF_RANGE)
    yield Poison("7,000 keys in one object, two alike", _many_keys(), reject.DUPLICATE_KEY)
    yield Poison("NUL in a text", good(id="t\0"), reject.OUT_OF_RANGE)
    yield Poison("a text of 1,025 bytes", good(id="x" * 1_025), reject.OUT_OF_RANGE)
    yield Poison("a time that is no time", good(at="yesterday"), reject.BAD_TIME)
    yield Poison("30 February", good(at="2026-02-30T00:00:00Z"), reject.BAD_TIME)
    yield Poison("year 1969", good(at="1969-12-31T23:59:59.999Z"), reject.OUT_OF_RANGE)
    yield Poison("year 2262", good(at="2262-04-11T00:00:00Z"), reject.FUTURE_TIME)
    yield Poison("year 2263", good(at="2263-01-01T00:00:00Z"), reject.OUT_OF_RANGE)
    yield Poison("in two days", good(at="2026-11-25T20:00:01Z"), reject.FUTURE_TIME)


def _many_keys() -> bytes:
    """As many members as fit, of which the last repeats one in the middle: finding it must not take squared time."""
    members = b",".join(b'"%x":1' % key for key in range(7_000))
    return GOOD[:-1] + b"," + members + b',"%x":1}' % 3_500


def _hostile_json() -> Iterator[Poison]:
    reject = RejectClass
    yield Poison("duplicate key", _with(b'"amount": 1'), reject.DUPLICATE_KEY)
    yield Poison("duplicate key, escaped", _with(b'"\\u0061mount": 1'), reject.DUPLICATE_KEY)
    yield Poison("duplicate key far down", _with(b'"x": [{"y": {"z": 1, "z": 1}}]'), reject.DUPLICATE_KEY)
    yield Poison("duplicate key, then cut off", _with(b'"amount": 1')[:-1], reject.NOT_JSON)
    yield Poison("duplicate key in a member, then NaN", _with(b'"x": {"y": 1, "y": 2}, "z": NaN'), reject.NOT_JSON)
    yield Poison("duplicate key and a lone surrogate", _with(b'"id": "\\ud800"'), reject.NOT_UTF8)
    yield Poison("lone surrogate in what a duplicate key hides", _with(b'"x": "\\ud800", "x": 1'), reject.NOT_UTF8)
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"1}")):
        deep = opening * 65 + closing * 65
        yield Poison(f"65 levels of {opening.decode()}", _with(b'"x": ' + deep), reject.TOO_DEEP)
    # 100,000 levels are more bytes than an event may have by default; 30,000 of them are not.
    yield Poison("depth 100,000", b"[" * 100_000 + b"]" * 100_000, reject.TOO_LARGE)
    yield Poison("depth 30,000", b"[" * 30_000 + b"]" * 30_000, reject.TOO_DEEP)
    yield Poison("depth 30,000, open", _with(b'"x": ' + b"[" * 30_000), reject.TOO_DEEP)
    for name, text in (("lone byte", b"\xff"), ("cut character", b"\xc3"), ("overlong", b"\xc0\xaf"),
                       ("surrogate", b"\xed\xa0\x80"), ("beyond Unicode", b"\xf4\x90\x80\x80")):  # fmt: skip
        yield Poison(f"invalid UTF-8: {name}", GOOD.replace(b"t1", b"t" + text), reject.NOT_UTF8)
    yield Poison("lone surrogate escape", GOOD.replace(b"t1", b"\\ud800"), reject.NOT_UTF8)
    yield Poison("lone surrogate in a key", _with(b'"\\udfff": 1'), reject.NOT_UTF8)
    yield Poison("raw NUL", GOOD.replace(b"t1", b"t\x00"), reject.NOT_JSON)
    yield Poison("raw line break in a text", GOOD.replace(b"t1", b"t\n1"), reject.NOT_JSON)
    yield Poison("BOM", b"\xef\xbb\xbf" + GOOD, reject.NOT_JSON)
    yield Poison("UTF-16", GOOD.decode().encode("utf-16"), reject.NOT_UTF8)
    yield Poison("comment", _with(b'/* x */ "x": 1'), reject.NOT_JSON)
    yield Poison("trailing comma", GOOD[:-1] + b",}", reject.NOT_JSON)
    yield Poison("single quotes", GOOD.replace(b'"', b"'"), reject.NOT_JSON)
    yield Poison("bad escape", GOOD.replace(b"t1", b"\\x41"), reject.NOT_JSON)
    yield Poison("600 unknown keys", _with(b", ".join(b'"k%d": 0' % key for key in range(600))), None)
    again = b", ".join(b'"k%d": 0' % (key % 599) for key in range(600))
    yield Poison("600 unknown keys, one twice", _with(again), reject.DUPLICATE_KEY)


def _at_the_limits() -> Iterator[Poison]:
    yield Poison("good", GOOD, None)
    yield Poison("all escapes", _with(b'"x": "\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00"'), None)
    yield Poison("64 levels", _with(b'"x": ' + b"[" * 63 + b"]" * 63), None)
    yield Poison("year 1970", good(at="1970-01-01T00:00:00Z"), None)
    yield Poison("a text of 1,024 bytes", good(id="x" * 1_024), None)
    yield Poison("seconds of 60,001 digits", GOOD.replace(b'"seen_s": 1.5', b'"seen_s": 1.' + b"5" * 60_000), None)
    yield Poison("milliseconds of 60,000 digits", GOOD.replace(b"00.123Z", b"00." + b"1" * 60_000 + b"Z"), None)
    yield Poison("a decimal of 60,000 zeros", _number(b"57." + b"0" * 60_000), None)
    yield Poison("emoji", good(id="\U0001f600"), None)
    yield Poison("largest amount", _number(b"1000000000000.00").replace(b'"fine"', b'"x"'), RejectClass.OUT_OF_RANGE)
    yield Poison("65,536 bytes", GOOD + b" " * (65_536 - len(GOOD)), None)
    yield Poison("65,537 bytes", GOOD + b" " * (65_537 - len(GOOD)), RejectClass.TOO_LARGE)
    yield Poison("1e400 where nobody looks", _with(b'"x": 1e400'), None)
    yield Poison("least int64", GOOD.replace(b'"count": 5', b'"count": -9223372036854775808'), None)
    yield Poison("beyond int64", GOOD.replace(b'"count": 5', b'"count": 9223372036854775808'), RejectClass.OUT_OF_RANGE)
