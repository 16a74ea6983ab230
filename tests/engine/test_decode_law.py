"""The law: the scan accepts only what the reference accepts, with equal values, and both together accept the same."""

from __future__ import annotations

import json
import random
import sys
from typing import Any

import numpy as np
from decoding import EVENT, NOW_MS, now, plain, record
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudstream.engine.decode import Decoder
from fraudstream.engine.decode_reference import ReferenceDecoder
from fraudstream.engine.kernels.fingerprint import fingerprint
from fraudstream.engine.reject import Reject
from fraudstream.schema.types import Kind

DECODER = Decoder(EVENT)
REFERENCE = ReferenceDecoder(EVENT)


def assert_same(records: list[bytes | None]) -> int:
    """Decode, compare every row with the reference, and say how many rows needed it."""
    decoded = DECODER.decode(records, now(len(records)))
    rejected = {reject.row: reject for reject in decoded.rejects}
    for row, value in enumerate(records):
        expected = REFERENCE.decode(value, NOW_MS, row)
        assert decoded.ok[row] == (not isinstance(expected, Reject)), (value, expected)
        if isinstance(expected, Reject):
            assert rejected[row] == expected
            continue
        assert decoded.event_at_ms[row] == expected["at"]
        for name, column in decoded.columns.items():
            if name.endswith((".lat", ".lon")) and expected[name] is None:
                continue  # the city table may have filled it
            valid = column.valid is None or bool(column.valid[row])
            assert valid == (expected[name] is not None), (value, name)
            if not valid:
                continue
            found = plain(decoded, column, row)
            assert found == expected[name], (value, name)
            assert type(found) is type(expected[name])
            if column.type.kind is Kind.STRING:
                assert column.high is not None
                assert (int(column.values[row]), int(column.high[row])) == fingerprint(found.encode())
    return decoded.slow_rows


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=True),
    st.text(max_size=8),
    st.sampled_from(["Paris", "2026-11-22 20:00:00", "1", "57.10", "1e3", "", "\0", "\ud800", "x" * 1_025]),
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["a", "lat", "lon", "latitude", "device", "id", "é"]), inner, max_size=4),
    ),
    max_leaves=6,
)
coordinates = st.one_of(st.floats(-90, 90), st.integers(-90, 90), scalars)
places = st.one_of(
    st.sampled_from(["Paris", "PARIS", "nowhere"]),
    st.fixed_dictionaries(
        {}, optional={"lat": coordinates, "latitude": coordinates, "lng": coordinates, "lon": coordinates}
    ),
    scalars,
)
timestamps = st.one_of(
    st.datetimes().map(str),
    st.datetimes().map(lambda at: at.isoformat() + "Z"),
    st.from_regex(
        r"20[0-3][0-9]-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{0,9})?", fullmatch=True
    ),
    st.from_regex(r"2024-02-29T23:59:59(\.[0-9]{1,4})?([Zz]|[+-][0-2][0-9](:?[0-6][0-9]?)?)?", fullmatch=True),
)
members: dict[str, st.SearchStrategy[Any]] = {
    "count": st.one_of(st.integers(-(2**64), 2**64), scalars),
    "amount": st.one_of(st.decimals(-100, 100, places=3).map(float), st.floats(), st.integers(), scalars),
    "v": st.one_of(st.floats(), st.integers(), scalars),
    "online": st.one_of(st.booleans(), scalars),
    "at": st.one_of(timestamps, scalars),
    "seen_ms": st.one_of(st.integers(0, 2 * 10**13), st.floats(0, 1e13), scalars),
    "seen_s": st.one_of(st.integers(0, 2 * 10**10), st.floats(0, 1e10), scalars),
    "client": st.one_of(
        st.fixed_dictionaries(
            {}, optional={"ip": scalars, "device": st.one_of(st.fixed_dictionaries({"id": scalars}), scalars)}
        ),
        scalars,
    ),
    "place": places,
    "merchant": st.one_of(st.fixed_dictionaries({"where": places}), scalars),
    "unknown": anything,
    "other": anything,
}
changes = st.fixed_dictionaries({}, optional={"id": st.one_of(st.text(max_size=20), scalars), **members})


@given(st.lists(st.tuples(changes, st.booleans(), st.sampled_from([None, 2])), min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_events_with_members_of_any_type_decode_as_the_reference_says(
    cases: list[tuple[dict[str, Any], bool, int | None]],
) -> None:
    records = []
    for change, ascii_only, indent in cases:
        merged = {**json.loads(record()), **change}
        text = json.dumps(merged, ensure_ascii=ascii_only, indent=indent)
        records.append(text.encode("utf-8", "surrogatepass"))
    assert_same(records)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=120, deadline=None)
def test_mutated_bytes_decode_as_the_reference_says(seed: int) -> None:
    """Bytes inserted, deleted, replaced, cut and doubled; neighbours in one buffer must not leak into each other."""
    source = random.Random(seed)
    full = record(
        v=-0.25, online=True, seen_ms=5, seen_s=1.5, client={"ip": "é", "device": {"id": "d\n"}}, place="Paris",
        merchant={"where": {"lat": 1, "lon": -2.5}}, other=[1, {"a": [True, None]}],
    )  # fmt: skip
    tokens = [
        *(bytes([byte]) for byte in b'"\\{}[],:09e.- \n\0\xc3\xe9'),
        b"\xed\xa0\x80",
        b"\\u00e9",
        b"\\ud800",
        b"1E5",
    ]
    tokens += [b"null", b"true", b"NaN", b'"id":', b'{"a":1},']
    records = []
    for _ in range(12):
        mutant = bytearray(full)
        for _ in range(source.randrange(4)):
            at = source.randrange(len(mutant) + 1)
            cut = source.choice([0, 0, 1, 1, 2, source.randrange(10)])
            mutant[at : at + cut] = source.choice(tokens) if source.random() < 0.8 else b""
        records.append(bytes(mutant[: source.choice([len(mutant)] * 5 + [source.randrange(len(mutant) + 1)])]))
    assert_same(records)


def test_the_scan_needs_no_help_with_usual_events() -> None:
    """Escapes, white space, other orders, unknown members and floats of 17 digits are usual."""
    source = random.Random(1)
    records: list[bytes | None] = []
    for row in range(300):
        pairs = list(
            json.loads(
                record(
                    id=f"t{row}", v=source.gauss(0, 1), online=bool(row % 2), amount=str(row / 4),
                    client={"ip": "a\"\u00e9\n"},
                    place={"latitude": 48.85, "lng": 2.35}, extra=[{"a": "\\"}, 1e-5], seen_s=1795377600.25,
                )
            ).items()
        )  # fmt: skip
        source.shuffle(pairs)
        records.append(json.dumps(dict(pairs), indent=source.choice([None, 1])).encode())
    assert assert_same(records) == 0


@given(
    st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["{!r}", "{:.17g}", "{:.19g}", "{:.25f}", "{:e}"])
)
@settings(max_examples=500, deadline=None)
def test_floats_are_rounded_correctly(number: float, form: str) -> None:
    assert_same([record(v=0.5).replace(b"0.5", form.format(number).encode())])


def test_floats_near_the_middle_between_two_are_rounded_correctly() -> None:
    """The hard cases: a double plus half a unit in its last place, and its neighbours, in up to 19 digits."""
    source = random.Random(7)
    literals = [repr(sys.float_info.max), "5e-324", "9007199254740993", "9007199254740993e1", "8.5e-5", "0.1e-10"]
    for _ in range(1_500):
        whole = source.randrange(2**53, 2**54) * 2 + 1
        shift = source.randrange(-12, 8)
        middle = whole * 2**shift if shift >= 0 else whole / 2**-shift
        literals.append(f"{int(middle)}"[:19])
        literals.append(f"{whole}e{source.randrange(-40, 40)}")
    records = [record(v=0.5).replace(b"0.5", literal.encode()) for literal in literals]
    decoded = DECODER.decode(list(records), now(len(records)))
    expected = np.array([float(literal) for literal in literals])
    assert decoded.ok.all()
    assert np.array_equal(decoded.columns["v"].values, expected)
    assert decoded.slow_rows < len(records) / 20
