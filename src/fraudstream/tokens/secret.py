"""What one token key does: keyed hashes of values, sealed bytes, and forgetting both, one value at a time."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Collection, Mapping
from typing import Any

from fraudstream.tokens.puncturable import DEPTH, SEED_BYTES, PuncturableKey

LEAST_SECRET_BYTES = 32
HASH_BYTES, NONCE_BYTES = 16, 12
_WAY_BYTES = DEPTH // 2


class Secret:
    """The keys that are derived from one secret, each for one purpose.

    A value's hash is HMAC-SHA256 (RFC 2104), hashed once more together with a key of the value's own, and cut to 128
    bits. That key is a leaf of a tree of keys, and the HMAC's first digits are the way to it. Bytes are sealed by
    AES-256-GCM, under keys of another tree.

    Attributes:
        tokens, sealing: The two trees.
        digests, nonces, ways: Keys of 32 bytes.
    """

    def __init__(
        self, *, tokens: PuncturableKey, sealing: PuncturableKey, digests: bytes, nonces: bytes, ways: bytes
    ) -> None:
        self.tokens, self.sealing = tokens, sealing
        self.digests, self.nonces, self.ways = digests, nonces, ways
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
            for purpose in ("tokens", "sealing", "digests", "nonces", "ways")
        }
        trees = {name: PuncturableKey.whole(made.pop(name)) for name in ("tokens", "sealing")}
        return cls(**trees, **made)  # type: ignore[arg-type]

    @classmethod
    def read(cls, parts: Mapping[str, Any]) -> Secret:
        """What `parts` gave.

        Raises:
            ValueError: It did not give these.
        """
        try:
            data = {name: base64.b64decode(text, validate=True) for name, text in parts.items()}
            trees = {name: PuncturableKey.read(data.pop(name)) for name in ("tokens", "sealing")}
            if any(len(key) != SEED_BYTES for key in data.values()):
                raise ValueError("a key of another length")
            return cls(**trees, **data)  # type: ignore[arg-type]
        except (TypeError, KeyError) as wrong:
            raise ValueError("not the parts of a secret") from wrong

    def parts(self) -> dict[str, str]:
        """All of it in base64: what stands in a key file for a secret that has forgotten something."""
        whole = {
            "digests": self.digests,
            "nonces": self.nonces,
            "sealing": self.sealing.written(),
            "tokens": self.tokens.written(),
            "ways": self.ways,
        }
        return {name: base64.b64encode(data).decode() for name, data in whole.items()}

    def hash(self, value: bytes) -> bytes:
        """A value's keyed hash, 16 bytes."""
        keyed = self._keyed(value)
        return hashlib.sha256(self.tokens.leaf(_way_of(keyed)) + keyed).digest()[:HASH_BYTES]

    def digest(self, *parts: bytes) -> bytes:
        """A keyed hash of 32 bytes that is not forgotten, for telling things apart."""
        return hmac.digest(self.digests, b"".join(parts), "sha256")

    def seal(self, plain: bytes, bound: bytes) -> bytes:
        """Bytes that only `unseal` gives back, and only for the place they are bound to; the same each time."""
        # A nonce made from what is sealed (as RFC 5297 does) comes again only with the same bytes in the same place.
        nonce = hmac.digest(self.nonces, len(bound).to_bytes(8, "big") + bound + plain, "sha256")[:NONCE_BYTES]
        sealed: bytes = _cipher(self.sealing.leaf(_way_of(nonce))).encrypt(nonce, plain, bound)
        return nonce + sealed

    def unseal(self, sealed: bytes, bound: bytes) -> bytes | None:
        """What `seal` was given; None if it was forgotten since.

        Raises:
            ValueError: It was not sealed by this secret for this place.
        """
        from cryptography.exceptions import InvalidTag

        nonce, way = sealed[:NONCE_BYTES], _way_of(sealed)
        if len(nonce) < NONCE_BYTES:
            raise ValueError("too short")
        try:
            opened: bytes = _cipher(self.sealing.leaf(way)).decrypt(nonce, sealed[NONCE_BYTES:], bound)
            return opened
        except InvalidTag:
            if self.sealing.is_punctured(way):
                return None
            raise ValueError("sealed otherwise") from None

    def without(self, value: bytes, sealed: Collection[bytes] = ()) -> Secret:
        """The secret that has forgotten a value, and how to open some of what it sealed.

        The value's hash is a new one then, and nobody can make the earlier one again.
        """
        return Secret(
            tokens=self.tokens.without([_way_of(self._keyed(value))]),
            sealing=self.sealing.without([_way_of(each) for each in sealed]),
            digests=self.digests,
            nonces=self.nonces,
            ways=self.ways,
        )

    def _keyed(self, value: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(value)
        outer.update(inner.digest())
        return outer.digest()


def _way_of(data: bytes) -> bytes:
    return binascii.hexlify(data[:_WAY_BYTES])


def _cipher(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)
