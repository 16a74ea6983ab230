"""The key of one record: what it is sealed with as a dead letter, and told apart by."""

from __future__ import annotations

import base64
import hmac

from fraudstream.errors import SettingError

_NONCE_BYTES = 12


class RecordKey:
    """Seals the parts of the record at one place.

    All that is written of the record comes from this key, nonces and hash, too: one that is made otherwise would tell
    whoever guesses the record, after the key is forgotten.

    Args:
        key: 32 bytes, of this place alone.
        place: Where the record stands, as `TOPIC/PARTITION/OFFSET`.
        is_new: Whether an earlier key of this place was forgotten.
    """

    def __init__(self, key: bytes, place: str, *, is_new: bool) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._key, self._place, self._is_new = key, place, is_new
        self._cipher = AESGCM(hmac.digest(key, b"cipher", "sha256"))

    def hash(self, record: bytes) -> str:
        """The keyed hash of the record, 64 hex digits."""
        return hmac.digest(self._key, b"record " + record, "sha256").hex()

    def seal(self, part: str, plain: bytes) -> str:
        """Bytes that only `unseal` gives back, as base64; sealed again they are the same text.

        Args:
            part: What of the record this is. It is not readable as another, or elsewhere.
            plain: What is sealed.
        """
        bound = self._bound(part)
        # A nonce made from what is sealed (as RFC 5297 does) comes again only with the same bytes in the same place.
        told = b"nonce " + len(bound).to_bytes(8, "big") + bound + plain
        nonce = hmac.digest(self._key, told, "sha256")[:_NONCE_BYTES]
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, plain, bound)).decode()

    def unseal(self, part: str, sealed: str) -> bytes | None:
        """What `seal` was given; None if it was sealed with a key that is forgotten.

        Raises:
            SettingError: It was not sealed by this key as this part.
        """
        from cryptography.exceptions import InvalidTag

        try:
            data = base64.b64decode(sealed, validate=True)
            return self._cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], self._bound(part))
        except (ValueError, InvalidTag):  # binascii.Error is a ValueError
            if self._is_new:
                return None
            raise SettingError(
                f"The {part} sealed for {self._place} is not readable with the token key of that name.",
                "It was changed, moved from another place, or sealed with another key of the same name.",
            ) from None

    def _bound(self, part: str) -> bytes:
        return f"{self._place}/{part}".encode()
