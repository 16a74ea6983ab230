"""Arrays with nulls, as pairs of values and validity: what expressions are computed with, a function an operator.

Values are an array of n, or one NumPy scalar that stands for n equal values; anything where null. Validity is an array
of booleans, or one boolean for all, or None where nothing is null.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from fraudstream.engine.column import Bools, Floats
from fraudstream.plan.expression import ComparisonOperator

Values = Any
Validity = Any

COMPARE: dict[ComparisonOperator, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "<>": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
LEAST = np.int64(-(2**63))
"""The int64 whose negation is not one."""
_HOUR_MS = np.int64(3_600_000)
_DAY_MS = np.int64(24 * 3_600_000)


def both(left: Validity, right: Validity) -> Validity:
    """Where two operands are both valid."""
    if left is None:
        return right
    return left if right is None else left & right


def finite(values: Floats, valid: Validity) -> tuple[Values, Validity]:
    """Float results, null where they are infinite or not a number."""
    return values, both(valid, np.isfinite(values))


def total(a: Values, b: Values) -> tuple[Values, Bools]:
    """The wrapped sum, and whether it fits: it does not where its sign differs from both operands'."""
    wrapped = a + b
    return wrapped, ((a ^ wrapped) & (b ^ wrapped)) >= 0


def difference(a: Values, b: Values) -> tuple[Values, Bools]:
    """The wrapped difference, and whether it fits."""
    wrapped = a - b
    return wrapped, ((a ^ b) & (a ^ wrapped)) >= 0


def product(a: Values, b: Values) -> tuple[Values, Bools]:
    """The wrapped product; where it wrapped, it is a multiple of 2^64 away from the float product."""
    wrapped = a * b
    about = a.astype(np.float64) * b.astype(np.float64)
    return wrapped, np.abs(wrapped.astype(np.float64) - about) < 2.0**62


def remainder(a: Values, b: Values) -> tuple[Values, Bools]:
    """With the sign of the dividend. Divided by -1 any integer leaves 0, also the least, whose quotient overflows."""
    usable = (b != 0) & (b != -1)
    return np.fmod(a, np.where(usable, b, np.int64(1))), b != 0


def across(name: ComparisonOperator, factor: np.int64) -> Callable[[Any, Any], Any]:
    """Compares a with b / factor exactly, by b's quotient and remainder: a * factor might not fit.

    With b = q * factor + r and 0 <= r < factor, a < b / factor is a < q or (a = q and r > 0).
    """

    def compare(a: Values, b: Values) -> Values:
        quotient = b // factor
        even = quotient * factor == b
        equal = (a == quotient) & even
        if name in ("=", "<>"):
            return equal if name == "=" else ~equal
        less = (a < quotient) | ((a == quotient) & ~even)
        return {"<": less, "<=": less | equal, ">": ~(less | equal), ">=": ~less}[name]

    return compare


def settled(values: Values, valid: Validity, neutral: bool) -> Values:
    """Booleans with null replaced by what does not decide."""
    if valid is None:
        return values
    return values | ~valid if neutral else values & valid


def chosen(first: Values, a: tuple[Values, Validity], b: tuple[Values, Validity]) -> tuple[Values, Validity]:
    """Row by row a where `first`, else b."""
    values = np.where(first, a[0], b[0])
    if a[1] is None and b[1] is None:
        return values, None
    return values, np.where(first, np.True_ if a[1] is None else a[1], np.True_ if b[1] is None else b[1])


def _absolute(values: Values, valid: Validity) -> tuple[Values, Validity]:
    """The absolute values of integers; null for the least, which has none."""
    return np.abs(values), both(valid, values != LEAST)


def _round(values: Values, digits: np.int64, valid: Validity) -> tuple[Values, Validity]:
    """Half away from zero."""
    power = 10.0 ** int(digits)
    scaled = values * power
    whole = np.trunc(scaled)
    whole = np.where(np.abs(scaled - whole) >= 0.5, whole + np.copysign(1.0, scaled), whole)
    return finite(whole / power, valid)


FUNCTIONS: dict[str, Callable[..., tuple[Values, Validity]]] = {
    "abs": lambda values, valid: (np.abs(values), valid),
    "abs of integers": _absolute,
    "ceil": lambda values, valid: (np.ceil(values), valid),
    "day_of_week": lambda at_ms, valid: ((at_ms // _DAY_MS + 3) % 7 + 1, valid),  # 1970-01-01 was a Thursday
    "exp": lambda values, valid: finite(np.exp(values), valid),
    "floor": lambda values, valid: (np.floor(values), valid),
    "hour": lambda at_ms, valid: (at_ms % _DAY_MS // _HOUR_MS, valid),
    "ln": lambda values, valid: finite(np.log(values), valid),
    "log10": lambda values, valid: finite(np.log10(values), valid),
    "power": lambda base, exponent, valid: finite(np.power(base, exponent), valid),
    "round": _round,
    "sqrt": lambda values, valid: finite(np.sqrt(values), valid),
}
