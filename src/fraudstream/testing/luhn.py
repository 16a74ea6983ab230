"""Looks for card numbers in bytes: in what is left behind after a run, there should be none."""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Iterator
from pathlib import Path

# Digits, with single spaces or dashes between them; not those behind a point, which are a fraction's, and not a part of
# a longer word, such as a hash in hexadecimal.
_DIGITS = re.compile(rb"(?<![0-9A-Za-z.])[0-9]+(?:[ -][0-9]+)*(?![0-9A-Za-z])")
_OF_A_SCHEME = re.compile(r"(?:[3-6]|2[2-7])[0-9]{12,18}")
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"PAR1": "parquet"}


def passes_luhn(digits: str) -> bool:
    """Whether the last digit of a number is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def card_numbers(data: bytes) -> set[str]:
    """What may be card numbers in some bytes, as digits alone: of a scheme, 13 to 19 digits, with their check digit."""
    found = set()
    for match in _DIGITS.finditer(data):
        groups = re.split("[ -]", match[0].decode()) if len(match[0]) > 12 else []
        parts = (
            "".join(groups[first:last]) for first in range(len(groups)) for last in range(first + 1, len(groups) + 1)
        )
        found |= {digits for digits in parts if _OF_A_SCHEME.fullmatch(digits) and passes_luhn(digits)}
    return found


def spellings(text: str) -> set[bytes]:
    """How a text may stand in bytes: as it is, in hexadecimal, and within base64 wherever it begins there."""
    raw = text.encode()
    found = {raw, raw.hex().encode(), raw.hex().upper().encode()}
    for before in range(3):
        # The characters at the ends also depend on the neighbours.
        encoded = base64.b64encode(bytes(before) + raw)
        found.add(encoded[(8 * before + 5) // 6 : (8 * (before + len(raw))) // 6])
    return found


def contents_of(path: Path) -> Iterator[bytes]:
    """A file's bytes, and where they are compressed what they hold.

    Raises:
        ValueError: They are compressed in a way that is not understood.
    """
    data = path.read_bytes()
    yield data
    kind = next((kind for magic, kind in _COMPRESSED.items() if data.startswith(magic)), None)
    if kind == "gzip":
        yield gzip.decompress(data)
    elif kind == "parquet":
        import polars as pl

        yield pl.read_parquet(path).write_ndjson().encode()
    elif kind is not None:
        raise ValueError(f"{path} is compressed by {kind}: what is in it cannot be searched")
