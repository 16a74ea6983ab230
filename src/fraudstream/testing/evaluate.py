"""The meaning of expressions, one row at a time: what every other evaluator is proved equal to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from fraudstream.plan.expression import (
    Arithmetic,
    AsFloat,
    Call,
    Case,
    Comparison,
    InValues,
    IsNull,
    Literal,
    Logical,
    Node,
    Ref,
    Unary,
)
from fraudstream.schema.types import Kind

Value = bool | int | float | str | None

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS


def evaluate_plain(node: Node, row: Mapping[str, Any]) -> Any:
    """The value of an expression for one row, or None for null.

    Args:
        node: The expression.
        row: Each referenced name's value: bool, int (decimals as minor units, timestamps as epoch milliseconds), float,
            str or None.
    """
    match node:
        case Literal():
            return node.value
        case Ref():
            return row[node.name]
        case Logical():
            return _logical(node, row)
        case IsNull():
            return (evaluate_plain(node.operand, row) is None) != node.negated
        case Case():
            for condition, result in node.branches:
                if evaluate_plain(condition, row) is True:
                    return evaluate_plain(result, row)
            return evaluate_plain(node.otherwise, row)
        case Call(function="coalesce" | "least" | "greatest"):
            values = [v for argument in node.arguments if (v := evaluate_plain(argument, row)) is not None]
            choose: dict[str, Callable[[list[Any]], Any]] = {"coalesce": lambda v: v[0], "least": min, "greatest": max}
            return choose[node.function](values) if values else None
        case AsFloat() | Unary() | InValues():
            operands = [evaluate_plain(node.operand, row)]
        case Arithmetic() | Comparison():
            operands = [evaluate_plain(node.left, row), evaluate_plain(node.right, row)]
        case Call():
            operands = [evaluate_plain(argument, row) for argument in node.arguments]
    if any(operand is None for operand in operands):
        return None
    return _of_values(node, operands)


def _logical(node: Logical, row: Mapping[str, Any]) -> bool | None:
    """`and` is false where any operand is, `or` true where any is; else null where any is."""
    values = [evaluate_plain(operand, row) for operand in node.operands]
    decisive = node.operator == "or"
    if decisive in values:
        return decisive
    return None if None in values else not decisive


def _of_values(node: Node, operands: list[Any]) -> Value:
    match node:
        case AsFloat():
            return float(operands[0]) / 10.0**node.operand.type.scale
        case Unary(operator="not"):
            return operands[0] is False
        case Unary():
            return _fitting(-operands[0])
        case InValues():
            return (operands[0] in node.values) != node.negated
        case Comparison():
            left, right = operands
            if node.left.type.kind is Kind.DECIMAL or node.right.type.kind is Kind.DECIMAL:
                left, right = left * 10**node.right.type.scale, right * 10**node.left.type.scale
            holds: dict[str, bool] = {
                "=": left == right, "<>": left != right, "<": left < right,
                "<=": left <= right, ">": left > right, ">=": left >= right,
            }  # fmt: skip
            return holds[node.operator]
        case Arithmetic() | Call():
            name = node.operator if isinstance(node, Arithmetic) else node.function
            try:
                return _fitting(_OPERATIONS[name](*operands))
            except (ValueError, OverflowError, ZeroDivisionError):  # ln(0), exp(1000), 1 / 0
                return None
    raise TypeError(node)


def _fitting(value: float | int) -> float | int | None:
    """The value, or None where it is infinite, not a number, or an integer beyond int64."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if -(2**63) <= value < 2**63 else None


def _remainder(left: float | int, right: float | int) -> float | int:
    """With the sign of the dividend, as in SQL."""
    if isinstance(left, float):
        return math.fmod(left, right)
    return int(math.copysign(1, left)) * (abs(left) % abs(right))


def _rounded(value: float, digits: int) -> float:
    """Half away from zero."""
    scaled = value * 10.0**digits
    whole = float(math.trunc(scaled))
    if abs(scaled - whole) >= 0.5:
        whole += math.copysign(1.0, scaled)
    return whole / 10.0**digits


_OPERATIONS: dict[str, Callable[..., float | int]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "%": _remainder,
    "abs": abs,
    "ceil": lambda value: float(math.ceil(value)),
    "day_of_week": lambda at_ms: (at_ms // _DAY_MS + 3) % 7 + 1,  # 1970-01-01 was a Thursday
    "exp": math.exp,
    "floor": lambda value: float(math.floor(value)),
    "hour": lambda at_ms: at_ms % _DAY_MS // _HOUR_MS,
    "ln": math.log,
    "log10": math.log10,
    "power": math.pow,
    "round": _rounded,
    "sqrt": math.sqrt,
}
