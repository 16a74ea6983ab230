"""A key that forgets: the leaf of one way is gone for good, every other one is what it was."""

from __future__ import annotations

import hashlib
import random

import pytest

from fraudstream.tokens.puncturable import DEPTH, PuncturableKey

ROOT = bytes(range(32))
WHOLE = PuncturableKey.whole(ROOT)
WAY = b"0123456789"


def leaf_of(way: bytes) -> bytes:
    seed = ROOT
    for digit in way.decode():
        seed = hashlib.sha256(seed + digit.encode()).digest()
    return seed


def others(count: int) -> list[bytes]:
    """Ways that part from `WAY` at every level, and some at random."""
    source = random.Random(7)
    near = [WAY[:depth] + b"%x" % (WAY[depth] % 16 ^ 1) + b"f" * (DEPTH - depth - 1) for depth in range(DEPTH)]
    return near + [b"%010x" % source.getrandbits(40) for _ in range(count)]


def test_every_leaf_but_the_forgotten_one_is_what_it_was() -> None:
    changed = WHOLE.without([WAY])
    for way in others(500):
        assert changed.leaf(way) == WHOLE.leaf(way) == leaf_of(way)
        assert not changed.is_punctured(way)
    assert changed.leaf(WAY) != leaf_of(WAY) == WHOLE.leaf(WAY)
    assert changed.is_punctured(WAY) and not WHOLE.is_punctured(WAY)


def test_nothing_that_leads_to_the_leaf_is_kept() -> None:
    written = WHOLE.without([WAY]).written()
    assert not any(leaf_of(WAY[:depth]) in written for depth in range(DEPTH + 1))
    assert leaf_of(b"1") in written and leaf_of(WAY[:-1] + b"a") in written


def test_a_leaf_is_forgotten_again_and_many_at_once() -> None:
    once = WHOLE.without([WAY])
    twice = once.without([WAY])
    assert len({key.leaf(WAY) for key in (WHOLE, once, twice)}) == 3
    ways = others(50)
    many, one_by_one = twice.without(ways), twice
    for way in ways:
        one_by_one = one_by_one.without([way])
    assert all(many.is_punctured(way) and many.leaf(way) != leaf_of(way) for way in [WAY, *ways])
    assert many.leaf(WAY) == twice.leaf(WAY)
    for way in others(500)[len(ways) :]:
        assert many.leaf(way) == one_by_one.leaf(way) == leaf_of(way)


@pytest.mark.parametrize("forgotten", [[], [WAY], [WAY, b"0123456788", b"ffffffffff"]])
def test_what_is_written_is_read_back(forgotten: list[bytes]) -> None:
    changed = WHOLE.without(forgotten)
    back = PuncturableKey.read(changed.written())
    assert back.written() == changed.written()
    for way in [*forgotten, *others(100)]:
        assert (back.leaf(way), back.is_punctured(way)) == (changed.leaf(way), changed.is_punctured(way))


def test_what_was_not_written_so_is_refused() -> None:
    whole, changed = WHOLE.written(), WHOLE.without([WAY]).written()
    renewed_above = b"\2" + whole[1:]
    too_deep = b"".join(b"\0" + b"" for _ in range(DEPTH + 1)) + bytes(33)
    for wrong in (b"", whole[:-1], whole + b"\1", changed[:-40], b"\3" + whole[1:], renewed_above, too_deep):
        with pytest.raises(ValueError, match=r"node|bytes"):
            PuncturableKey.read(wrong)
