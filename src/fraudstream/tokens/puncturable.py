"""A secret that can forget one value at a time, and still knows all others.

A pseudo-random function in a tree (Goldreich, Goldwasser, Micali 1986): the secret is the root, each child is a hash
of its parent, and what is wanted is a leaf. It can be punctured (Boneh and Waters 2013): who keeps the siblings along
the way to a leaf in the root's place can compute every leaf but that one, since no hash leads back up. So there are
keys by the billion without a table of them, and destroying one of them costs a few kilobytes.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection

SEED_BYTES = 32
DIGITS = [b"%x" % digit for digit in range(16)]
_NEAR = 4
"""Seeds down to this level are remembered: 16^4 of them at most."""
_SPLIT, _SEED, _PUNCTURED = b"\0", b"\1", b"\2"
_hash = hashlib.sha256
_AS_BYTES = [bytes([digit]) for digit in range(256)]


class PuncturableKey:
    """A key for each way, any of which can be forgotten.

    Args:
        depth: Levels of the tree. A way is so many hexadecimal digits.
        seeds: What is known: seeds of 32 bytes by the way to them, such that each way begins with exactly one of
            theirs. Of a whole key, the root's alone.
        punctured: The ways whose leaf is another than it once was.
    """

    def __init__(self, depth: int, seeds: dict[bytes, bytes], punctured: frozenset[bytes] = frozenset()) -> None:
        self._depth, self._seeds, self._punctured = depth, seeds, punctured
        self._near: dict[bytes, bytes] = {}

    @classmethod
    def whole(cls, depth: int, root: bytes) -> PuncturableKey:
        """The key that has forgotten nothing yet."""
        return cls(depth, {b"": root})

    def leaf(self, way: bytes) -> bytes:
        """The key of a way, 32 bytes."""
        seed, at = self._near.get(way[:_NEAR]), _NEAR
        if seed is None:
            seed, at = self._nearest(way)
            if at <= _NEAR:
                seed, at = _down(seed, way[at:_NEAR]), _NEAR
                self._near[way[:_NEAR]] = seed
        return _down(seed, way[at:])

    def is_punctured(self, way: bytes) -> bool:
        """Whether the way's leaf is another than it once was."""
        return way in self._punctured

    def without(self, ways: Collection[bytes]) -> PuncturableKey:
        """The key that has forgotten the leaves of some ways: there are new ones at random, all others are the same."""
        changed = PuncturableKey(self._depth, dict(self._seeds), self._punctured.union(ways))
        for way in ways:
            changed._puncture(way)
        return changed

    def _puncture(self, way: bytes) -> None:
        seed, at = self._nearest(way)
        del self._seeds[way[:at]]
        for depth in range(at, self._depth):
            for digit in DIGITS:
                if digit != way[depth : depth + 1]:
                    self._seeds[way[:depth] + digit] = _down(seed, digit)
            seed = _down(seed, way[depth : depth + 1])
        self._seeds[way] = secrets.token_bytes(SEED_BYTES)

    def written(self, way: bytes = b"") -> bytes:
        """All of it, for `read`: what stands at a way, behind a byte that says whether it is 16 children."""
        if way in self._seeds:
            return (_PUNCTURED if way in self._punctured else _SEED) + self._seeds[way]
        return _SPLIT + b"".join(self.written(way + digit) for digit in DIGITS)

    @classmethod
    def read(cls, depth: int, written: bytes) -> PuncturableKey:
        """What `written` gave, of a key of this depth.

        Raises:
            ValueError: It did not give this.
        """
        seeds: dict[bytes, bytes] = {}
        punctured = set()
        at = 0
        ways = [b""]
        while ways:
            way, kind = ways.pop(), written[at : at + 1]
            at += 1
            if kind == _SPLIT and len(way) < depth:
                ways += [way + digit for digit in reversed(DIGITS)]
                continue
            seeds[way] = written[at : at + SEED_BYTES]
            at += SEED_BYTES
            if kind == _PUNCTURED and len(way) == depth:
                punctured.add(way)
            elif kind != _SEED:
                raise ValueError(f"a node of no kind at byte {at}")
        if at != len(written):
            raise ValueError(f"{len(written)} bytes where {at} are a key")
        return cls(depth, seeds, frozenset(punctured))

    def _nearest(self, way: bytes) -> tuple[bytes, int]:
        """The seed that a way leads through, and at which level."""
        for depth in range(self._depth, -1, -1):
            seed = self._seeds.get(way[:depth])
            if seed is not None:
                return seed, depth
        raise AssertionError("each way begins with one that is known")


def _down(seed: bytes, digits: bytes) -> bytes:
    for digit in digits:
        seed = _hash(seed + _AS_BYTES[digit]).digest()
    return seed
