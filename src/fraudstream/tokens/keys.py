"""Token keys: what stands for the values of sensitive fields, and what seals the records that cannot be read.

A token is the keyed hash of a value, with the key's id. Equal values have equal tokens, so histories, lists and joins
go by tokens as they would by values, and without the key nobody finds the value by trying all card numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from fraudstream.errors import SettingError
from fraudstream.tokens.record import RecordKey
from fraudstream.tokens.secret import Secret

PREFIX = "tok_"
LONGEST_TOKEN = 47
"""Bytes: the prefix, a key id of 16, and 26 characters that are 128 bits."""
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [first + second for first in _LETTERS for second in _LETTERS]
_TOKEN = re.compile(r"tok_([a-z0-9]{1,16})_[a-z2-7]{26}")
_TOKEN_BYTES_IN = re.compile(rb"\btok_([a-z0-9]{1,16})_[a-z2-7]{26}\b")


class TokenKeys:
    """The keys of a key file; it never shows a secret.

    Args:
        active: The id of the key that new tokens are made with.
        held: The secrets by key id; those besides the active one are for looking back.
    """

    def __init__(self, active: str, held: Mapping[str, Secret]) -> None:
        self.active, self._held = active, held
        self._current = held[active]

    def __repr__(self) -> str:
        return f"TokenKeys(active={self.active!r}, held={self.held})"

    def __reduce__(self) -> str:
        raise TypeError("secrets are not written anywhere")

    @property
    def held(self) -> list[str]:
        """The ids of all keys, the active one first."""
        return [self.active, *sorted(self._held.keys() - {self.active})]

    @property
    def identity(self) -> str:
        """What tells the active key from any other, also from another of the same id; it says nothing of the secret.

        A key that has forgotten values is still the same.
        """
        return f"{self.active}:{self._current.digest(b'identity').hex()[:16]}"

    def token(self, value: bytes, key_id: str | None = None) -> str:
        """The token of a value's UTF-8 text, under the active key unless said."""
        key_id = key_id or self.active
        return f"{PREFIX}{key_id}_{_base32(self._held[key_id].hash(value))}"

    def stands_for(self, value: str) -> str:
        """What stands for a value everywhere behind the decoder: its token, or itself if it is one under a key held.

        So it does not matter whether an event comes from where it was made or from where its tokens are kept.
        """
        return value if self.is_token(value) else self.token(value.encode())

    def is_token(self, text: str) -> bool:
        """Whether a text is a token under a key that is held."""
        return text.startswith(PREFIX) and key_of(text) in self._held

    def secret(self, key_id: str) -> Secret:
        """The secret of a key.

        Raises:
            SettingError: The key is not held.
        """
        secret = self._held.get(key_id)
        if secret is None:
            raise SettingError(
                f"The token key {key_id!r} is not held; held are {', '.join(self.held)}.",
                "Give a key file that has it (`token_keys_file`). Without the key nobody can read what it sealed.",
            )
        return secret

    def used_in(self, record: bytes) -> TokenKeys:
        """The same keys, of which the one is active that the first token in a record was made with."""
        found = next((each[1].decode() for each in _TOKEN_BYTES_IN.finditer(record)), self.active)
        return TokenKeys(found, self._held) if found in self._held else self

    def digest(self, value: bytes) -> str:
        """The active key's hash of a value, 64 hex digits: it tells values apart, is no token, and is not forgotten."""
        return self._current.digest(b"record ", value).hex()

    def record_key(self, place: str, key_id: str | None = None) -> RecordKey:
        """The key of the record that stands at a place, `TOPIC/PARTITION/OFFSET`.

        Raises:
            SettingError: The key it comes from, the active one unless said, is not held.
            ValueError: That is no place.
        """
        return self.secret(key_id or self.active).record_key(place)


def key_of(value: object) -> str | None:
    """The id of the key that a token was made with; None for what is no token."""
    found = _TOKEN.fullmatch(value) if isinstance(value, str) else None
    return None if found is None else found[1]


def _base32(data: bytes) -> str:
    """16 bytes in base32 without padding, in small letters: five bits a character, ten at a time."""
    bits = int.from_bytes(data, "big") << 2
    return "".join([_PAIRS[bits >> shift & 1023] for shift in range(120, -1, -10)])
