"""A seeded source of records for decoders: valid ones of every shape, with wrong values, and broken bytes."""

from __future__ import annotations

import functools
import random

from .poison import corpus

_NUMBERS = (
    "0", "-0", "-0.0", "5", "-5", "5.0", "57.16", "85.64999999999999", "0.1", "1e3", "1E-3", "1e400", "-1e400",
    "1e999999999",
    "1e-999999999", "9007199254740993", "9223372036854775807", "-9223372036854775808", "9223372036854775808",
    "99999999999999", "1000000000000.00", "100000000000001", "0.001", "1.10000", "123456789012345678",
    "1234567890123456789", "12345678901234567890", "2.2250738585072011e-308", "1795377600000", "1795377600.25",
    "9246182399999", "9246182400000", "90", "-90.000001", "180", "180.5", "0.12345678901234567890",
)  # fmt: skip
_NOT_NUMBERS = ("01", "+1", ".5", "5.", "1e", "1e+", "-", "NaN", "Infinity", "-Infinity", "0x1", "1_0", "--1")
_TEXTS = (
    '""', '"t1"', '"Paris"', '"PARIS"', '"é"', '"\\u00e9"', '"\\ud83d\\ude00"', '"\\ud800"', '"\\u0000"', '"\\n"',
    '"\\/"', '"57.16"', '"-0.5"', '"1e3"', '"05"', '"2026-11-22T20:00:00Z"', '"2026-11-22 20:00:00.123456+02:00"',
    '"2024-02-29T23:59:59.9-0130"', '"2023-02-29T00:00:00"', '"1970-01-01T00:00:00Z"', '"1969-12-31T23:59:59Z"',
    '"2262-12-31T23:59:59.999Z"', '"2026-11-22T24:00:00Z"', '"2026-11-22T20:00:60Z"', '"2026-11-22T20:00:00+2400"',
    '"' + "x" * 1_024 + '"', '"' + "x" * 1_025 + '"', '"' + "é" * 512 + '"', '"' + "\\u00e9" * 300 + '"',
)  # fmt: skip
_OTHERS = (
    "null", "true", "false", "{}", "[]", "[1]", '{"a": 1}', '{"b": 2}', '{"b": {"c": {"d": 3}}}', "nul", "True", "",
    '{"lat": 1, "lon": 2}', '{"latitude": 91, "lng": 2.5}', '{"lat": 1}', '{"lat": null, "lon": 1e1}',
    '{"ip": "x", "device": {"id": "y"}}', '{"ip": 1}', '{"where": "Oslo"}', '{"where": {"lat": -0.0, "lon": 0}}',
    '{"device": {"id": null}}', '{"a": {"a": [{}]}, "b": [[], {}]}', '{"ü": true}',
)  # fmt: skip
_MEMBERS = {
    "id": '"t1"', "at": '"2026-11-22T20:00:00.123Z"', "count": "5", "amount": "57.16", "v": "-0.25", "online": "true",
    "seen_ms": "1795377600000", "seen_s": "1795377600.5", "client": '{"ip": "10.0.0.1", "device": {"id": "d"}}',
    "place": '"Paris"', "merchant": '{"where": {"lat": 1, "lon": -2.5}}', "where": '"Oslo"',
    "a": '{"b": 7}', "é": '{"ü": false}', "other": '[1, {"a": [true, null]}]',
}  # fmt: skip
"""The members of good records of `poison.EVERY_TYPE` and `poison.ODD`, as JSON."""
_KEYS = (*_MEMBERS, "x", "", "id ", "iD", "\\u0069d", "amoun", "amounts", "\\\\", "longer than sixteen bytes", "a.b")
_TOKENS = (
    *(bytes([byte]) for byte in b'"\\{}[],:0919e.-+ \n\t\0\x1f\x7f\x80\xc3\xe9\xff'), b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80", b"\xef\xbb\xbf", b"\\u00e9", b"\\ud800", b"\\", b'\\"', b"null", b"true", b"NaN", b'"id":',
    b'{"a":1},', b"[[[[", b"]]]]", b"00000000", b"99999999", b"        ",
)  # fmt: skip
_FITTING = {
    "id": _TEXTS, "at": _TEXTS, "count": _NUMBERS, "amount": _NUMBERS, "v": _NUMBERS, "online": ("true", "false"),
    "seen_ms": _NUMBERS, "seen_s": _NUMBERS, "client": _OTHERS, "place": (*_TEXTS, *_OTHERS), "merchant": _OTHERS,
    "where": (*_TEXTS, *_OTHERS),
}  # fmt: skip
"""Values that are at least of the right kind, by member."""
_SPACES = ("", " ", "", "\n ", "\t", "", "", "     \r\n")


@functools.cache
def _small_poison() -> tuple[bytes, ...]:
    return tuple(each.record for each in corpus() if each.record is not None and len(each.record) < 3_000)


class Mutator:
    """Makes records, the same ones for the same seed.

    Args:
        seed: Any number.
        found: Further records to mutate, such as those that coverage-guided fuzzing kept.
    """

    def __init__(self, seed: int, found: list[bytes] | None = None) -> None:
        self._source = random.Random(seed)
        self._bases: list[bytes] = [*_small_poison(), *(found or [])]

    def records(self, count: int) -> list[bytes | None]:
        """So many records: half of them JSON objects with members of any value, half broken bytes."""
        draw = self._source.random
        return [self._structured() if draw() < 0.5 else self._broken() for _ in range(count)]

    def _structured(self) -> bytes:
        """An object with the usual members, a few of them changed, doubled, dropped, renamed or out of order."""
        source = self._source
        members = [[key, value] for key, value in _MEMBERS.items()]
        for _ in range(source.choice((0, 1, 1, 1, 2, 3))):
            place = source.randrange(len(members))
            action = source.random()
            if action < 0.4:
                fitting = _FITTING.get(members[place][0], ("0", "null", "{}"))
                members[place][1] = self._random_number() if fitting is _NUMBERS else source.choice(fitting)
            elif action < 0.7:
                members[place][1] = self._value()
            elif action < 0.8:
                members[place][0] = source.choice(_KEYS)
            elif action < 0.9:
                del members[place]
            elif action < 0.93:
                members.append([members[place][0], self._value()])
            else:
                members.append([source.choice(_KEYS), self._value()])
        if source.random() < 0.3:
            source.shuffle(members)
        colon, comma = ":" + source.choice(_SPACES), "," + source.choice(_SPACES)
        text = "{" + comma.join([f'"{key}"{colon}{value}' for key, value in members]) + "}"
        return text.encode()

    def _value(self) -> str:
        source = self._source
        chance = source.random()
        if chance < 0.3:
            return source.choice(_NUMBERS)
        if chance < 0.45:
            return self._random_number()
        if chance < 0.75:
            return source.choice(_TEXTS)
        if chance < 0.95:
            return source.choice(_OTHERS)
        return source.choice(_NOT_NUMBERS)

    def _random_number(self) -> str:
        source = self._source
        kind = source.randrange(4)
        if kind == 0:
            return repr(source.gauss(0, 1) * 10.0 ** source.randrange(-20, 20))
        if kind == 1:
            return f"{source.randrange(-(10**6), 10**6) / 100}"
        digits = str(source.getrandbits(source.randrange(1, 80)))
        if kind == 2:
            return digits
        point = source.randrange(len(digits))
        exponent = f"e{source.randrange(-30, 30)}" if source.random() < 0.5 else ""
        return f"{digits[:point] or '0'}.{digits[point:]}{exponent}"

    def _broken(self) -> bytes | None:
        """A record of the corpus, or a structured one, with bytes put in, left out, doubled, swapped or cut off."""
        source = self._source
        mutant = bytearray(source.choice(self._bases) if source.random() < 0.6 else self._structured())
        for _ in range(source.choice((0, 1, 1, 1, 2, 3, 8))):
            size = len(mutant)
            place = source.randrange(size + 1)
            action = source.random()
            if action < 0.5:
                mutant[place : place + source.choice((0, 0, 1, 1, 2, 9))] = source.choice(_TOKENS)
            elif action < 0.65:
                del mutant[place : place + source.choice((1, 1, 2, 8, 40))]
            elif action < 0.8 and place < size:
                mutant[place] ^= 1 << source.randrange(8)
            elif action < 0.9:
                other = source.randrange(size + 1)
                mutant[place:place] = mutant[other : other + source.randrange(1, 24)]
            else:
                del mutant[place:]
        return bytes(mutant)
