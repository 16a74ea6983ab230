"""Numbers and instants from JSON bytes, exactly, or not at all.

Each reader takes a buffer and the index of a value's first byte. It returns the index behind the value, and the value.
`UNSURE` instead of an index means that the reference decoder has to look: the value is wrong, or written in a rare way.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from fraudstream.engine.kernels.memory import (
    Address,
    bits_of_float,
    byte_at,
    float_of_bits,
    leading_zeros,
    multiply_high,
    word_at,
)

UNSURE = -1
LARGEST_DECIMAL = 10**14
"""The largest decimal, in minor units, either way of zero."""
LAST_INSTANT_MS = 9_246_182_399_999
"""The last millisecond of the year 2262, the latest instant an event can carry; the earliest is 0, in 1970."""

_QUOTE, _MINUS, _PLUS, _POINT, _COLON, _ZERO = 34, 45, 43, 46, 58, 48
_CLINGER = 22
"""Up to this power of ten both operands of one multiplication or division are exact (Clinger 1990)."""
_NO_END = 2**62
_SHORTEST_ISO = 19
_POWER_LIMIT = 64
"""Beyond 10^±64 the reference decoder converts."""

_FLOAT_POWERS = 10.0 ** np.arange(_CLINGER + 1)
POWERS = 10 ** np.arange(19, dtype=np.int64)


def _powers_of_five() -> np.ndarray:
    """uint64[129, 2]: the 128 leading bits of 5^q for q in ±64, high half first (Lemire 2021, table 2)."""
    table = np.empty((2 * _POWER_LIMIT + 1, 2), np.uint64)
    for power in range(-_POWER_LIMIT, _POWER_LIMIT + 1):
        five = 5 ** abs(power)
        if power < 0:
            bits = (five - 1).bit_length()
            leading = (1 << (bits + 127 if power >= -27 else 2 * bits + 128)) // five + 1
        else:
            leading = five << 128
        leading >>= leading.bit_length() - 128
        table[power + _POWER_LIMIT] = leading >> 64, leading & (1 << 64) - 1
    return table


_FIVES = _powers_of_five()
_NINE_BITS = np.uint64(0x1FF)
_HIDDEN = np.uint64(1 << 52)
_ONE = np.uint64(1)


@njit(cache=True, nogil=True, forceinline=True)
def _digit(buffer: Address, i: int) -> int:
    """The digit at i; anything outside 0 to 9 is no digit."""
    return byte_at(buffer, i) - _ZERO


@njit(cache=True, nogil=True, forceinline=True)
def _eight_digits(word: np.uint64) -> bool:
    high = np.uint64(0xF0F0F0F0F0F0F0F0)
    carried = (word + np.uint64(0x0606060606060606)) & high
    return (word & high) | (carried >> np.uint64(4)) == np.uint64(0x3333333333333333)


@njit(cache=True, nogil=True, forceinline=True)
def _value_of_eight(word: np.uint64) -> np.int64:
    """The number that eight ASCII digits in a little-endian word spell (Lemire, "Number parsing at a gigabyte")."""
    mask = np.uint64(0x000000FF000000FF)
    word -= np.uint64(0x3030303030303030)
    word = word * np.uint64(10) + (word >> np.uint64(8))
    first = (word & mask) * np.uint64(0x000F424000000064)
    second = ((word >> np.uint64(16)) & mask) * np.uint64(0x0000271000000001)
    return np.int64((first + second) >> np.uint64(32))


@njit(cache=True, nogil=True, forceinline=True)
def _read_digits(buffer: Address, i: int, value: int) -> tuple[int, int]:
    """Append the digits from i on to a number; it wraps around behind 18 digits, which callers count."""
    word = word_at(buffer, i)
    if _eight_digits(word):
        value = value * 100_000_000 + _value_of_eight(word)
        i += 8
    digit = _digit(buffer, i)
    while 0 <= digit <= 9:
        value = value * 10 + digit
        i += 1
        digit = _digit(buffer, i)
    return i, value


@njit(cache=True, nogil=True)
def read_integer(buffer: Address, i: int) -> tuple[int, int]:
    """An int64 of at most 18 digits."""
    negative = byte_at(buffer, i) == _MINUS
    first = i + negative
    i, value = _read_digits(buffer, first, 0)
    digits = i - first
    after = byte_at(buffer, i)
    if digits == 0 or digits > 18 or (digits > 1 and byte_at(buffer, first) == _ZERO):
        return UNSURE, 0
    if after == _POINT or after | 32 == 101:
        return UNSURE, 0
    return i, -value if negative else value


@njit(cache=True, nogil=True)
def read_decimal(buffer: Address, i: int, scale: int) -> tuple[int, int]:
    """A decimal in minor units of 10^-scale: a plain JSON number, or a string holding one."""
    quoted = byte_at(buffer, i) == _QUOTE
    i += quoted
    negative = byte_at(buffer, i) == _MINUS
    first = i + negative
    i, value = _read_digits(buffer, first, 0)
    digits = i - first
    if digits == 0 or (digits > 1 and byte_at(buffer, first) == _ZERO):
        return UNSURE, 0
    missing = scale
    if byte_at(buffer, i) == _POINT:
        point = i
        i, value = _read_digits(buffer, i + 1, value)
        if i == point + 1:
            return UNSURE, 0
        digits += i - point - 1
        missing -= i - point - 1
    if digits > 18 or missing > 14 or byte_at(buffer, i) | 32 == 101:
        return UNSURE, 0
    while missing < 0:
        if value % 10 != 0:
            return UNSURE, 0
        value //= 10
        missing += 1
    power = POWERS[missing]
    if value > LARGEST_DECIMAL // power:
        return UNSURE, 0
    if quoted:
        if byte_at(buffer, i) != _QUOTE:
            return UNSURE, 0
        i += 1
    return i, -value * power if negative else value * power


@njit(cache=True, nogil=True)
def _rounded(mantissa: np.uint64, power: int) -> float:
    """The float64 nearest to mantissa · 10^power; NaN where that cannot be told (Eisel and Lemire's algorithm).

    Source: D. Lemire, "Number Parsing at a Gigabyte per Second", Software: Practice and Experience 51(8), 2021.
    """
    shift = leading_zeros(mantissa)
    normal = mantissa << np.uint64(shift)
    row = power + _POWER_LIMIT
    high, low = multiply_high(normal, _FIVES[row, 0]), normal * _FIVES[row, 0]
    if high & _NINE_BITS == _NINE_BITS:
        finer = multiply_high(normal, _FIVES[row, 1])
        low += finer
        if finer > low:
            high += _ONE
    if low == np.uint64(0xFFFFFFFFFFFFFFFF) and (power < -27 or power > 55):
        return np.nan
    upper = np.int64(high >> np.uint64(63))
    cut = np.uint64(upper + 9)
    bits = high >> cut
    exponent = ((217706 * power) >> 16) + 63 + upper - shift + 1023
    halfway = low <= _ONE and -4 <= power <= 23
    if halfway and bits & np.uint64(3) == _ONE and bits << cut == high:
        bits &= ~_ONE
    bits = (bits + (bits & _ONE)) >> _ONE
    if bits >= _HIDDEN << _ONE:
        bits = _HIDDEN
        exponent += 1
    return float_of_bits((bits & ~_HIDDEN) | (np.uint64(exponent) << np.uint64(52)))


@njit(cache=True, nogil=True, forceinline=True)
def _read_exponent(buffer: Address, i: int) -> tuple[int, int]:
    """The exponent behind an e."""
    sign = byte_at(buffer, i)
    i += sign in (_MINUS, _PLUS)
    first = i
    i, exponent = _read_digits(buffer, first, 0)
    if i == first or i - first > 4:
        return UNSURE, 0
    return i, -exponent if sign == _MINUS else exponent


@njit(cache=True, nogil=True)
def read_float(buffer: Address, i: int) -> tuple[int, float]:
    """A float64, correctly rounded, of a number with at most 19 digits."""
    negative = byte_at(buffer, i) == _MINUS
    first = i + negative
    i, value = _read_digits(buffer, first, 0)
    digits = i - first
    if digits == 0 or (digits > 1 and byte_at(buffer, first) == _ZERO):
        return UNSURE, 0.0
    power = 0
    if byte_at(buffer, i) == _POINT:
        point = i
        i, value = _read_digits(buffer, i + 1, value)
        power = point + 1 - i
        digits -= power
        if power == 0:
            return UNSURE, 0.0
    if byte_at(buffer, i) | 32 == 101:
        i, exponent = _read_exponent(buffer, i + 1)
        power += exponent
    # A leading zero before the point is no significant digit, so 19 behind it still fit 64 bits.
    if i == UNSURE or digits - (byte_at(buffer, first) == _ZERO) > 19:
        return UNSURE, 0.0
    mantissa = np.uint64(value)
    if mantissa == np.uint64(0):
        return i, 0.0
    if mantissa <= _HIDDEN << _ONE and -_CLINGER <= power <= _CLINGER:
        number = np.float64(value)
        number = number * _FLOAT_POWERS[power] if power >= 0 else number / _FLOAT_POWERS[-power]
    elif -_POWER_LIMIT <= power <= _POWER_LIMIT:
        number = _rounded(mantissa, power)
        if number != number:
            return UNSURE, 0.0
    else:
        return UNSURE, 0.0
    return i, -number if negative else number


@njit(cache=True, nogil=True, forceinline=True)
def float_bits(number: float) -> int:
    """A float64 as the int64 of its bits, the form in which a column of numbers holds it until it is read."""
    return bits_of_float(number)


@njit(cache=True, nogil=True)
def read_epoch(buffer: Address, i: int, unit_digits: int) -> tuple[int, int]:
    """Epoch ms from a number of seconds (unit_digits = 3) or milliseconds (0); what is finer than 1 ms is dropped."""
    first = i
    i, value = _read_digits(buffer, first, 0)
    digits = i - first
    if digits == 0 or digits > 15 or (digits > 1 and byte_at(buffer, first) == _ZERO):
        return UNSURE, 0
    point = i
    if byte_at(buffer, i) == _POINT:
        i, _ = _read_digits(buffer, i + 1, 0)
        if i == point + 1:
            return UNSURE, 0
    for place in range(unit_digits):
        value *= 10
        if point + 1 + place < i:
            value += _digit(buffer, point + 1 + place)
    if value > LAST_INSTANT_MS or byte_at(buffer, i) | 32 == 101:
        return UNSURE, 0
    return i, value


@njit(cache=True, nogil=True, forceinline=True)
def _two_digits(buffer: Address, i: int) -> int:
    """A number of two digits; far below zero where they are none."""
    tens, ones = _digit(buffer, i), _digit(buffer, i + 1)
    return tens * 10 + ones if 0 <= tens <= 9 and 0 <= ones <= 9 else -1_000_000


@njit(cache=True, nogil=True, forceinline=True)
def _days_of(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01; UNSURE where the date does not exist or is before 1969 (Hinnant, days_from_civil)."""
    if year < 1969 or month < 1 or month > 12 or day < 1 or day > 31:
        return UNSURE
    if day > 28:
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        longest = 28 + leap if month == 2 else 30 + ((month + month // 8) & 1)
        if day > longest:
            return UNSURE
    shifted = year - (month <= 2)
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return shifted * 365 + shifted // 4 - shifted // 100 + shifted // 400 + of_year - 719_468


@njit(cache=True, nogil=True, forceinline=True)
def _read_offset(buffer: Address, i: int, end: int) -> tuple[int, int]:
    """Minutes east of UTC at the end of a timestamp: nothing, Z, +hh, +hhmm or +hh:mm."""
    sign = byte_at(buffer, i)
    if i >= end or (sign | 32 != 122 and sign not in (_PLUS, _MINUS)):
        return i, 0
    if sign | 32 == 122:
        return i + 1, 0
    minutes = 60 * _two_digits(buffer, i + 1)
    i += 3
    if byte_at(buffer, i) != _QUOTE and i < end:
        i += byte_at(buffer, i) == _COLON
        past_hour = _two_digits(buffer, i)
        minutes += past_hour
        i += 2
        if past_hour > 59:
            return UNSURE, 0
    if minutes < 0 or minutes >= 1440:
        return UNSURE, 0
    return i, -minutes if sign == _MINUS else minutes


@njit(cache=True, nogil=True)
def _iso_instant(buffer: Address, i: int, end: int) -> tuple[int, int]:
    """Epoch ms of a text such as 2026-11-22T20:00:00.123Z that ends at a quote, or at `end`."""
    if byte_at(buffer, i + 4) != _MINUS or byte_at(buffer, i + 7) != _MINUS:
        return UNSURE, 0
    between = byte_at(buffer, i + 10)
    if (
        (between | 32 != 116 and between != 32)
        or byte_at(buffer, i + 13) != _COLON
        or byte_at(buffer, i + 16) != _COLON
    ):
        return UNSURE, 0
    year = 100 * _two_digits(buffer, i) + _two_digits(buffer, i + 2)
    days = _days_of(year, _two_digits(buffer, i + 5), _two_digits(buffer, i + 8))
    hour, minute, second = _two_digits(buffer, i + 11), _two_digits(buffer, i + 14), _two_digits(buffer, i + 17)
    if days == UNSURE or hour > 23 or minute > 59 or second > 59 or hour + minute + second < 0:
        return UNSURE, 0
    milliseconds = 0
    i += 19
    if byte_at(buffer, i) == _POINT and i < end:
        point = i
        i, _ = _read_digits(buffer, i + 1, 0)
        i = min(i, end)
        if i == point + 1:
            return UNSURE, 0
        for place in range(1, 4):
            milliseconds = milliseconds * 10 + (_digit(buffer, point + place) if point + place < i else 0)
    i, offset = _read_offset(buffer, i, end)
    instant = ((days * 24 + hour) * 60 + minute - offset) * 60_000 + second * 1_000 + milliseconds
    if i == UNSURE or instant < 0 or instant > LAST_INSTANT_MS:
        return UNSURE, 0
    return i, instant


@njit(cache=True, nogil=True)
def read_iso(buffer: Address, i: int) -> tuple[int, int]:
    """Epoch ms of a JSON string such as "2026-11-22T20:00:00.123Z"; i is the index of its first quote."""
    if byte_at(buffer, i) != _QUOTE:
        return UNSURE, 0
    i, instant = _iso_instant(buffer, i + 1, _NO_END)
    if i == UNSURE or byte_at(buffer, i) != _QUOTE:
        return UNSURE, 0
    return i + 1, instant


@njit(cache=True, nogil=True)
def read_iso_text(buffer: Address, i: int, end: int) -> tuple[int, int]:
    """Epoch ms of the text from i to end."""
    if end - i < _SHORTEST_ISO:
        return UNSURE, 0
    i, instant = _iso_instant(buffer, i, end)
    return (i, instant) if i == end else (UNSURE, 0)


@njit(cache=True, nogil=True)
def read_decimal_text(buffer: Address, i: int, end: int, scale: int) -> tuple[int, int]:
    """The plain number that the text from i to end spells, in minor units of 10^-scale."""
    negative = i < end and byte_at(buffer, i) == _MINUS
    first = i + negative
    value, missing, point = 0, scale, -1
    if end - first < 1 or end - first > 18:
        return UNSURE, 0
    for place in range(first, end):
        digit = _digit(buffer, place)
        if 0 <= digit <= 9:
            value = value * 10 + digit
            missing -= point >= 0
        elif byte_at(buffer, place) == _POINT and point < 0 and first < place < end - 1:
            point = place
        else:
            return UNSURE, 0
    if byte_at(buffer, first) == _ZERO and (point if point >= 0 else end) > first + 1:
        return UNSURE, 0
    while missing < 0:
        if value % 10 != 0:
            return UNSURE, 0
        value //= 10
        missing += 1
    if value > LARGEST_DECIMAL // POWERS[missing]:
        return UNSURE, 0
    value *= POWERS[missing]
    return end, -value if negative else value
