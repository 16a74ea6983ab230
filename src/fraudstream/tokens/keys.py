"""Token keys: what stands for the values of sensitive fields, and what seals the records that cannot be read.

A token is the keyed hash of a value (HMAC-SHA256, RFC 2104, cut to 128 bits). Equal values have equal tokens, so
histories, lists and joins go by tokens as they would by values, and without the key nobody finds the value by trying
all card numbers. Bytes that must come back are sealed by AES-256-GCM. Both keys are derived from one secret by HKDF's
expansion (RFC 5869).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import os
import re
import secrets
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from fraudstream.errors import SettingError

LEAST_SECRET_BYTES = 32
PREFIX = "tok_"
LONGEST_TOKEN = 47
"""Bytes: the prefix, a key id of 16, and 26 characters that are 128 bits."""
_TOKEN_BYTES, _NONCE_BYTES = 16, 12
_KEY_ID = re.compile(r"[a-z0-9]{1,16}")
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [first + second for first in _LETTERS for second in _LETTERS]
_TOKEN = re.compile(r"tok_([a-z0-9]{1,16})_[a-z2-7]{26}")
_TOKEN_BYTES_IN = re.compile(rb"\btok_([a-z0-9]{1,16})_[a-z2-7]{26}\b")
_HEADER = """\
# What tokens of sensitive fields are made with: see docs/sensitive-data.md.
# Keep it secret, keep a copy, and give every process of a pipeline the same one (the setting token_keys_file).
"""


class _Derived(NamedTuple):
    """What is derived from one secret: keys of 32 bytes, that of tokens hashed as HMAC begins, inside and outside."""

    tokens: tuple[Any, Any]
    sealing: bytes
    nonces: bytes
    digests: bytes


class TokenKeys:
    """The keys of a key file; it never shows a secret.

    Args:
        active: The id of the key that new tokens are made with.
        held: The secrets by key id, of 32 bytes at least; those besides the active one are for looking back.
    """

    def __init__(self, active: str, held: dict[str, bytes]) -> None:
        self.active = active
        self._derived = {key_id: _derived(secret) for key_id, secret in held.items()}
        self._current = self._derived[active]

    def __repr__(self) -> str:
        return f"TokenKeys(active={self.active!r}, held={self.held})"

    def __reduce__(self) -> str:
        raise TypeError("secrets are not written anywhere")

    @property
    def held(self) -> list[str]:
        """The ids of all keys, the active one first."""
        return [self.active, *sorted(self._derived.keys() - {self.active})]

    @property
    def identity(self) -> str:
        """What tells the active key from any other, also from another of the same id; it says nothing of the secret."""
        return f"{self.active}:{hmac.digest(self._current.digests, b'identity', 'sha256').hex()[:16]}"

    def token(self, value: bytes, key_id: str | None = None) -> str:
        """The token of a value's UTF-8 text, under the active key unless said."""
        key_id = key_id or self.active
        # HMAC as RFC 2104 has it: the key has gone into both hashes already, and is not hashed again for each value.
        inner, outer = (prepared.copy() for prepared in self._derived[key_id].tokens)
        inner.update(value)
        outer.update(inner.digest())
        return f"{PREFIX}{key_id}_{_base32(outer.digest()[:_TOKEN_BYTES])}"

    def stands_for(self, value: str) -> str:
        """What stands for a value everywhere behind the decoder: its token, or itself if it is one under a key held.

        So it does not matter whether an event comes from where it was made or from where its tokens are kept.
        """
        return value if self.is_token(value) else self.token(value.encode())

    def is_token(self, text: str) -> bool:
        """Whether a text is a token under a key that is held."""
        found = _TOKEN.fullmatch(text) if text.startswith(PREFIX) else None
        return found is not None and found[1] in self._derived

    def used_in(self, record: bytes) -> TokenKeys:
        """The same keys, of which the one is active that the first token in a record was made with."""
        found = next((each[1].decode() for each in _TOKEN_BYTES_IN.finditer(record)), self.active)
        if found == self.active or found not in self._derived:
            return self
        other = TokenKeys.__new__(TokenKeys)
        other.active, other._derived, other._current = found, self._derived, self._derived[found]
        return other

    def digest(self, value: bytes, key_id: str | None = None) -> str:
        """The keyed hash of a record, 64 hex digits: it tells records apart, and is not a token.

        Raises:
            SettingError: The key, the active one unless said, is not held.
        """
        return hmac.digest(self._of(key_id or self.active).digests, b"record " + value, "sha256").hex()

    def _of(self, key_id: str) -> _Derived:
        derived = self._derived.get(key_id)
        if derived is None:
            raise SettingError(
                f"The token key {key_id!r} is not held; held are {', '.join(self.held)}.",
                "Give a key file that has it (`token_keys_file`). Without the key nobody can read what it sealed.",
            )
        return derived

    def seal(self, plain: bytes, about: str) -> str:
        """Bytes that only `unseal` gives back, as base64; sealed again they are the same text.

        Args:
            plain: What is sealed.
            about: Where it belongs; it is not readable anywhere else.
        """
        bound = about.encode()
        # A nonce made from what is sealed (as RFC 5297 does) comes again only with the same bytes in the same place.
        nonce = hmac.digest(self._current.nonces, _framed(bound) + plain, "sha256")[:_NONCE_BYTES]
        sealed: bytes = _cipher(self._current.sealing).encrypt(nonce, plain, bound)
        return base64.b64encode(nonce + sealed).decode()

    def unseal(self, sealed: str, key_id: str, about: str) -> bytes:
        """What `seal` was given.

        Raises:
            SettingError: The key it was sealed with is not held, or it was not sealed by it for that place.
        """
        from cryptography.exceptions import InvalidTag

        derived = self._of(key_id)
        try:
            data = base64.b64decode(sealed, validate=True)
            opened: bytes = _cipher(derived.sealing).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], about.encode())
            return opened
        except (InvalidTag, ValueError):  # binascii.Error is one, and so is a nonce too short
            raise SettingError(
                f"What was sealed for {about} is not readable with the token key {key_id!r}.",
                "It was changed, moved from another place, or sealed with another key of the same name.",
            ) from None


def read_keys(path: Path, origin: str) -> TokenKeys:
    """The keys in a key file.

    Args:
        path: A TOML file: `active = "ID"`, and under `[keys]` secrets of 32 bytes or more, base64, by id.
        origin: Who named the file, as a phrase.

    Raises:
        SettingError: It cannot be read, or is no key file; no secret is shown.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as failed:
        reason = failed.strerror if isinstance(failed, OSError) else "it is not UTF-8"
        raise _wrong(path, origin, f"cannot be read: {reason}") from None
    except tomllib.TOMLDecodeError:
        raise _wrong(path, origin, "is not TOML") from None  # the parser's message might quote a secret
    active, keys = document.get("active"), document.get("keys")
    if not isinstance(active, str) or not isinstance(keys, dict) or active not in keys:
        raise _wrong(path, origin, "names no active key that is among its keys")
    return TokenKeys(active, {key_id: _secret(path, origin, key_id, text) for key_id, text in keys.items()})


def make_keys(path: Path) -> bool:
    """Makes a key file with one new key, readable by its owner only; returns whether there was none before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return _written(path, _document(_new_key_id(), {}), replace=False)


def add_key(path: Path) -> str:
    """Adds a new key to a key file that can be read, as the active one; returns its id."""
    written = dict(tomllib.loads(path.read_text(encoding="utf-8"))["keys"])
    key_id = _new_key_id()
    _written(path, _document(key_id, written), replace=True)
    return key_id


def _new_key_id() -> str:
    """An id that no other key has: two machines that each make a key file do not make the same."""
    return "k" + secrets.token_hex(4)


def _document(active: str, keys: dict[str, str]) -> str:
    made = base64.b64encode(secrets.token_bytes(LEAST_SECRET_BYTES)).decode()
    lines = [f'{key_id} = "{secret}"' for key_id, secret in {**keys, active: made}.items()]
    return "\n".join([f'{_HEADER}active = "{active}"\n', "[keys]", *lines]) + "\n"


def _written(path: Path, text: str, *, replace: bool) -> bool:
    """Puts a file in its place whole; returns whether it was, which it is not where there is one already."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
        else:
            os.link(draft, path)  # fails where another process was quicker
    except FileExistsError:
        return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
    return True


def _secret(path: Path, origin: str, key_id: str, text: Any) -> bytes:
    if not _KEY_ID.fullmatch(key_id):
        raise _wrong(path, origin, f"has a key id {key_id[:20]!r}; use 1 to 16 small letters and digits")
    try:
        secret = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) < LEAST_SECRET_BYTES:
        raise _wrong(path, origin, f"has a secret {key_id!r} that is not base64 of {LEAST_SECRET_BYTES} bytes or more")
    return secret


def _wrong(path: Path, origin: str, found: str) -> SettingError:
    return SettingError(
        f"The file of token keys {path} (from {origin}) {found}.",
        'Write `active = "k1"` and, under `[keys]`, k1 = "…": `openssl rand -base64 32` makes a secret.',
    )


def _derived(secret: bytes) -> _Derived:
    """Keys for each purpose by HKDF-Expand, for 32 bytes one HMAC; what is random already needs no extraction."""
    purposes = (b"tokens", b"sealing", b"nonces", b"digests")
    tokens, *others = (hmac.digest(secret, b"fraudstream " + purpose + b"\x01", "sha256") for purpose in purposes)
    block = tokens.ljust(hashlib.sha256().block_size, b"\0")
    inner, outer = (hashlib.sha256(bytes(byte ^ pad for byte in block)) for pad in (0x36, 0x5C))
    return _Derived((inner, outer), *others)


def _base32(data: bytes) -> str:
    """16 bytes in base32 without padding, in small letters: five bits a character, ten at a time."""
    bits = int.from_bytes(data, "big") << 2
    return "".join([_PAIRS[bits >> shift & 1023] for shift in range(120, -1, -10)])


def _framed(part: bytes) -> bytes:
    return len(part).to_bytes(8, "big") + part


def _cipher(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)
