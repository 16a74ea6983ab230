"""Fingerprints: compiled and plain agree, follow the published hash, and tell keys apart."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudstream.engine.kernels.fingerprint import (
    combine,
    fingerprint,
    fingerprint_integer,
    fingerprint_integers,
    fingerprints,
    murmur3,
)


def test_it_is_murmur3_x64_128() -> None:
    """The vector is the one in the documentation of the mmh3 package."""
    assert murmur3(b"foo", 0) == (-2129773440516405919 % 2**64, 9128664383759220103)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=70), min_size=1))
def test_the_compiled_fingerprint_is_the_plain_one(texts: list[bytes]) -> None:
    low, high = fingerprints(texts)
    assert list(zip(low.tolist(), high.tolist(), strict=True)) == [fingerprint(text) for text in texts]


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_the_compiled_fingerprint_of_integers_is_the_plain_one(values: list[int]) -> None:
    low, high = fingerprint_integers(np.array(values, np.int64))
    assert list(zip(low.tolist(), high.tolist(), strict=True)) == [fingerprint_integer(value) for value in values]
    assert len(set(low.tolist())) == len(set(values))


def test_a_compound_key_depends_on_the_order_of_its_parts() -> None:
    one, other = fingerprints([b"a", b"b"]), fingerprints([b"b", b"a"])
    forward, backward = combine([one[0], other[0]], [one[1], other[1]]), combine([other[0], one[0]], [other[1], one[1]])
    assert forward[0][0] != backward[0][0]
    assert forward[0][0] == backward[0][1]
    parts = b"".join(int(half).to_bytes(8, "little") for half in (one[0][0], one[1][0], other[0][0], other[1][0]))
    assert (int(forward[0][0]), int(forward[1][0])) == fingerprint(parts)
