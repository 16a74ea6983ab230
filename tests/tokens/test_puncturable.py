"""A key that forgets: the leaf of one way is gone for good, every other one is what it was."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudstream.tokens.puncturable import PuncturableKey

ROOT = bytes(range(32))
SHALLOW, DEEP = 3, 10
WAY = b"0123456789"


def seed_at(way: bytes) -> bytes:
    """What a key that has forgotten nothing has at a way, or leads through."""
    seed = ROOT
    for digit in way.decode():
        seed = hashlib.sha256(seed + digit.encode()).digest()
    return seed


def ways_of(depth: int) -> st.SearchStrategy[bytes]:
    """Ways that have much in common: most trouble is where two part late."""
    digits = st.sampled_from(b"0123456789abcdef") | st.sampled_from(b"01")
    return st.lists(digits, min_size=depth, max_size=depth).map(bytes)


EVERY_SHALLOW = [b"%03x" % number for number in range(16**SHALLOW)]
SEEDS = {way: seed_at(way) for way in EVERY_SHALLOW}


@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(ways_of(SHALLOW), max_size=6), max_size=5))
def test_whatever_is_forgotten_in_whatever_order_all_else_stays(rounds: list[list[bytes]]) -> None:
    """Of a small tree every leaf is looked at after each round, also through a key that was used, written and read."""
    key = PuncturableKey.whole(SHALLOW, ROOT)
    before = dict(SEEDS)
    for ways in rounds:
        key = key.without(ways)
        back = PuncturableKey.read(SHALLOW, key.written())
        now = {way: key.leaf(way) for way in EVERY_SHALLOW}
        assert now == {way: back.leaf(way) for way in EVERY_SHALLOW}
        assert {way for way in EVERY_SHALLOW if now[way] != before[way]} == set(ways)
        before, key = now, back
    forgotten = set(itertools.chain.from_iterable(rounds))
    assert {way for way in EVERY_SHALLOW if key.is_punctured(way)} == forgotten
    assert {way for way in EVERY_SHALLOW if key.leaf(way) == SEEDS[way]} == set(EVERY_SHALLOW) - forgotten


@settings(max_examples=40, deadline=None)
@given(st.lists(ways_of(DEEP), min_size=1, max_size=8), st.lists(ways_of(DEEP), max_size=20))
def test_no_seed_on_the_way_to_what_is_forgotten_is_kept(ways: list[bytes], used: list[bytes]) -> None:
    """Neither the leaf nor what leads to it, however often the key was used before it was made to forget."""
    key = PuncturableKey.whole(DEEP, ROOT)
    for way in (*ways, *used):
        assert key.leaf(way) == seed_at(way)
    for way in ways:
        key = key.without([way])
    written = key.written()
    assert not any(seed_at(way[:depth]) in written for way in ways for depth in range(DEEP + 1))
    for way in ways:
        assert key.leaf(way) != seed_at(way) and key.is_punctured(way)
    for way in set(used) - set(ways):
        assert key.leaf(way) == seed_at(way) and not key.is_punctured(way)


def test_what_is_forgotten_once_more_has_another_leaf_again() -> None:
    whole = PuncturableKey.whole(DEEP, ROOT)
    once = whole.without([WAY])
    assert len({key.leaf(WAY) for key in (whole, once, once.without([WAY]))}) == 3
    assert whole.leaf(WAY) == seed_at(WAY) and not whole.is_punctured(WAY)


def test_neighbours_cost_little_to_forget() -> None:
    near = PuncturableKey.whole(DEEP, ROOT).without([b"0000000%03x" % number for number in range(1_000)])
    assert len(near.written()) < 60 * 1_000
    assert len(PuncturableKey.whole(DEEP, ROOT).without([WAY]).written()) < 5_200


def test_what_was_not_written_so_is_refused() -> None:
    key = PuncturableKey.whole(DEEP, ROOT)
    whole, changed = key.written(), key.without([WAY]).written()
    renamed_above = b"\2" + whole[1:]
    too_deep = bytes(DEEP + 1) + bytes(33)
    for wrong in (b"", whole[:-1], whole + b"\1", changed[:-40], b"\3" + whole[1:], renamed_above, too_deep):
        with pytest.raises(ValueError, match=r"node|bytes"):
            PuncturableKey.read(DEEP, wrong)
    with pytest.raises(ValueError, match="node"):
        PuncturableKey.read(DEEP - 1, changed)
