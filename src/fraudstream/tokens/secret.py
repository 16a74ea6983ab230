"""What one token key does: keyed hashes of values, sealed bytes, and forgetting both, one value at a time."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Collection, Mapping
from typing import Any

from fraudstream.tokens.puncturable import SEED_BYTES, PuncturableKey
from fraudstream.tokens.record import RecordKey

LEAST_SECRET_BYTES = 32
HASH_BYTES = 16
_VALUE_DIGITS = 10
"""Of the way to a value's key: of 2^40 leaves hardly two values share one."""
_LOG_DIGITS, _OFFSET_DIGITS = 6, 10
"""Of the way to a record's key. Neighbours in a partition share most of theirs: forgetting all costs little more."""
_DEPTHS = {"tokens": _VALUE_DIGITS, "sealing": _LOG_DIGITS + _OFFSET_DIGITS}


class Secret:
    """The keys that are derived from one secret, each for one purpose.

    A value's hash is HMAC-SHA256 (RFC 2104), hashed once more together with a key of the value's own, and cut to 128
    bits. That key is a leaf of a tree of keys, and the HMAC's first digits are the way to it. Records are sealed
    under keys of another tree, in which the way is where a record stands.

    Attributes:
        tokens, sealing: The two trees.
        digests, logs, ways: Keys of 32 bytes.
    """

    def __init__(
        self, *, tokens: PuncturableKey, sealing: PuncturableKey, digests: bytes, logs: bytes, ways: bytes
    ) -> None:
        self.tokens, self.sealing = tokens, sealing
        self.digests, self.logs, self.ways = digests, logs, ways
        # HMAC as RFC 2104 has it: the key has gone into both hashes already, and is not hashed again for each value.
        block = ways.ljust(hashlib.sha256().block_size, b"\0")
        self._inner, self._outer = (hashlib.sha256(bytes(byte ^ pad for byte in block)) for pad in (0x36, 0x5C))

    @classmethod
    def of(cls, secret: bytes) -> Secret:
        """A secret that has forgotten nothing, of 32 bytes or more.

        Keys for each purpose come by HKDF-Expand (RFC 5869), for 32 bytes one HMAC; what is random already needs no
        extraction.
        """
        made = {
            purpose: hmac.digest(secret, f"fraudstream {purpose}\x01".encode(), "sha256")
            for purpose in ("tokens", "sealing", "digests", "logs", "ways")
        }
        trees = {name: PuncturableKey.whole(depth, made.pop(name)) for name, depth in _DEPTHS.items()}
        return cls(**trees, **made)  # type: ignore[arg-type]

    @classmethod
    def read(cls, parts: Mapping[str, Any]) -> Secret:
        """What `parts` gave.

        Raises:
            ValueError: It did not give these.
        """
        try:
            data = {name: base64.b64decode(text, validate=True) for name, text in parts.items()}
            if data.pop("check") != _check(data):  # a seed that is another makes other tokens, and nobody would notice
                raise ValueError("changed since it was written")
            trees = {name: PuncturableKey.read(depth, data.pop(name)) for name, depth in _DEPTHS.items()}
            if any(len(key) != SEED_BYTES for key in data.values()):
                raise ValueError("a key of another length")
            return cls(**trees, **data)  # type: ignore[arg-type]
        except (TypeError, KeyError) as wrong:
            raise ValueError("not the parts of a secret") from wrong

    def parts(self) -> dict[str, str]:
        """All of it in base64: what stands in a key file for a secret that has forgotten something."""
        whole = {
            "digests": self.digests,
            "logs": self.logs,
            "sealing": self.sealing.written(),
            "tokens": self.tokens.written(),
            "ways": self.ways,
        }
        return {name: base64.b64encode(data).decode() for name, data in (whole | {"check": _check(whole)}).items()}

    def hash(self, value: bytes) -> bytes:
        """A value's keyed hash, 16 bytes."""
        keyed = self._keyed(value)
        return hashlib.sha256(self.tokens.leaf(_way_to(keyed)) + keyed).digest()[:HASH_BYTES]

    def digest(self, *parts: bytes) -> bytes:
        """A keyed hash of 32 bytes that is not forgotten, for telling things apart."""
        return hmac.digest(self.digests, b"".join(parts), "sha256")

    def record_key(self, place: str) -> RecordKey:
        """The key of the record that stands at a place, `TOPIC/PARTITION/OFFSET`.

        Raises:
            ValueError: That is no place.
        """
        way = self._way_at(place)
        return RecordKey(self.sealing.leaf(way), place, is_new=self.sealing.is_punctured(way))

    def without(self, value: bytes, places: Collection[str] = ()) -> Secret:
        """The secret that has forgotten a value, and the keys of the records at some places.

        The value's hash is a new one then, and nobody can make the earlier one again.
        """
        return Secret(
            tokens=self.tokens.without([_way_to(self._keyed(value))]),
            sealing=self.sealing.without([self._way_at(place) for place in places]),
            digests=self.digests,
            logs=self.logs,
            ways=self.ways,
        )

    def _keyed(self, value: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(value)
        outer.update(inner.digest())
        return outer.digest()

    def _way_at(self, place: str) -> bytes:
        log, _, offset = place.rpartition("/")
        digits = hmac.digest(self.logs, log.encode(), "sha256").hex()[:_LOG_DIGITS]
        return f"{digits}{int(offset) % 16**_OFFSET_DIGITS:0{_OFFSET_DIGITS}x}".encode()


def _check(parts: Mapping[str, bytes]) -> bytes:
    return hashlib.sha256(b"".join(name.encode() + parts[name] for name in sorted(parts))).digest()


def _way_to(keyed: bytes) -> bytes:
    return binascii.hexlify(keyed[: _VALUE_DIGITS // 2])
