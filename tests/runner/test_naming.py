"""Whether a record names a person is found in any format."""

from __future__ import annotations

import io
import json
import struct

import pytest
from fastavro import schemaless_writer
from hypothesis import given
from hypothesis import strategies as st

from fraudstream.runner.naming import as_in_records, names

FIELDS = [{"name": "before", "type": "long"}, {"name": "account", "type": "long"}]


def avro(account: int) -> bytes:
    written = io.BytesIO()
    schemaless_writer(written, {"type": "record", "name": "r", "fields": FIELDS}, {"before": 5, "account": account})
    return written.getvalue()


def protobuf(account: int) -> bytes:
    """Field 1 as int64: seven bits a byte, the lowest first."""
    bits = account % 2**64
    groups = [bits >> shift & 127 for shift in range(0, max(1, bits.bit_length()), 7)]
    return b"\x08" + bytes([*(group | 128 for group in groups[:-1]), groups[-1]])


@pytest.mark.parametrize(
    "subject", ["customer-4711", 'Jos\u00e9 "77%"', "a\\u00e9b\\", "\U0001f600 and \U0001f601", "a/b\u00e9"]
)
def test_a_text_is_found_however_json_writes_it(subject: str) -> None:
    searched = as_in_records(subject, [])
    escaped = "".join(f"\\u{unit:04X}" for (unit,) in struct.iter_unpack(">H", subject.encode("utf-16-be")))
    for written in (json.dumps(subject), json.dumps(subject, ensure_ascii=False), escaped, f"\\u0061{escaped}"):
        assert names(b'{"a":"' + written.encode(), searched)
    assert names(json.dumps(subject).replace("/", "\\/").encode(), searched)
    assert names(b"\xff\xfe" + subject.encode() + b"\x00\\u", searched)
    assert not names(b'{"a":"somebody else, \\u00e9"}', searched)


def test_a_token_is_found_too() -> None:
    assert names(b'{"card":"tok_k1_abc"}', as_in_records("4111111111111111", ["tok_k1_abc"]))


@given(st.integers(2**27, 2**63 - 1) | st.integers(-(2**63), -(2**27)))
def test_a_number_is_found_as_avro_and_protobuf_write_it(number: int) -> None:
    searched = as_in_records(str(number), [])
    for written in (avro(number), protobuf(number), struct.pack("<q", number), str(number).encode()):
        assert names(written, searched)


def test_another_card_is_not_found_for_this_one() -> None:
    searched, another = as_in_records("4111111111111111", []), 4111111111111129
    for written in (avro(another), protobuf(another), struct.pack("<q", another), str(another).encode()):
        assert not names(written, searched)


def test_of_a_small_number_only_the_digits_are_looked_for() -> None:
    """Its bytes are in records of everybody."""
    searched = as_in_records("4711", [])
    assert names(b'{"customer":4711}', searched)
    assert not any(names(written, searched) for written in (avro(4711), protobuf(4711), struct.pack("<q", 4711)))
