"""Whether a record of any format names a person, also one that nobody can read."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence

_ESCAPED = re.compile(rb"(?:\\u[0-9a-fA-F]{4})+")
_INTEGER = re.compile(r"-?[0-9]{1,20}")
_LEAST_BYTES = 4
"""Three bytes or fewer are found in many a record that has nothing to do with the number."""


def as_in_records(subject: str, tokens: Sequence[str]) -> set[bytes]:
    """How a subject and its tokens may be written in a record: as texts, and as numbers in Avro and Protobuf."""
    # JSON writes some characters with a backslash; those it writes as numbers, `names` reads.
    texts = {each for text in (subject, *tokens) for each in (text, json.dumps(text, ensure_ascii=False)[1:-1])}
    return {each.encode() for each in texts} | _as_numbers(subject)


def names(record: bytes, searched: Collection[bytes]) -> bool:
    """Whether what `as_in_records` gave stands in a record."""
    plain = _ESCAPED.sub(_unescaped, record.replace(b"\\/", b"/")) if b"\\" in record else record
    return any(each in record or each in plain for each in searched)


def _as_numbers(text: str) -> set[bytes]:
    """An integer as a varint, in zigzag and of fixed length; nothing of one so small that its bytes are everywhere."""
    if not _INTEGER.fullmatch(text) or not -(2**63) <= (number := int(text)) < 2**64:
        return set()
    bits = number % 2**64
    written = {_varint(bits), _varint((number << 1 ^ number >> 63) % 2**64), bits.to_bytes(8, "little")}
    return {each for each in written if any(each[_LEAST_BYTES - 1 :])}


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes([*written, number])


def _unescaped(run: re.Match[bytes]) -> bytes:
    return bytes.fromhex(run[0].replace(b"\\u", b"").decode()).decode("utf-16-be", "replace").encode()
