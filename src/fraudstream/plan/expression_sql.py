"""Expressions as DuckDB SQL, with the same values as everywhere else.

Columns: strings are VARCHAR; integers, decimals (minor units) and timestamps (epoch milliseconds) BIGINT; floats
DOUBLE; booleans BOOLEAN. Every operand is written once, so that the text cannot explode: a check that needs a value
twice goes through a one-element list. Integer arithmetic runs in 128 bits and is cast back, null where it does not fit.
"""

from __future__ import annotations

from collections.abc import Callable

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
from fraudstream.schema.types import FLOAT, Kind, ValueType

_TYPES = {
    Kind.STRING: "VARCHAR",
    Kind.INTEGER: "BIGINT",
    Kind.DECIMAL: "BIGINT",
    Kind.TIMESTAMP: "BIGINT",
    Kind.FLOAT: "DOUBLE",
    Kind.BOOLEAN: "BOOLEAN",
}
_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_WEEK_MS = 7 * _DAY_MS


def to_sql(node: Node, name_of: Callable[[str], str]) -> str:
    """The expression as DuckDB SQL (1.3 or newer).

    Args:
        node: The expression.
        name_of: The SQL (a quoted column, say) that stands for a field's or feature's value.
    """

    def sql(each: Node) -> str:
        return to_sql(each, name_of)

    match node:
        case Literal():
            return _literal(node.type, node.value)
        case Ref():
            return name_of(node.name)
        case AsFloat():
            value = f"CAST({sql(node.operand)} AS DOUBLE)"
            return f"({value} / 1e{node.operand.type.scale})" if node.operand.type.scale else value
        case Unary(operator="not"):
            return f"(NOT {sql(node.operand)})"
        case Unary():
            return f"(-{sql(node.operand)})" if node.type == FLOAT else _fitting(f"-{_wide(sql(node.operand))}")
        case Arithmetic():
            left, right = sql(node.left), sql(node.right)
            if node.type == FLOAT:
                return _finite(f"{left} {node.operator} {right}")
            return _fitting(f"{_wide(left)} {node.operator} {_wide(right)}")
        case Comparison():
            return (
                f"({_comparable(node.left, node.right, sql)} {node.operator} {_comparable(node.right, node.left, sql)})"
            )
        case Logical():
            return "(" + f" {node.operator.upper()} ".join(sql(operand) for operand in node.operands) + ")"
        case IsNull():
            return f"({sql(node.operand)} IS {'NOT ' if node.negated else ''}NULL)"
        case InValues():
            values = ", ".join(_literal(node.operand.type, value) for value in node.values)
            return f"({sql(node.operand)} {'NOT ' if node.negated else ''}IN ({values}))"
        case Case():
            branches = " ".join(f"WHEN {sql(when)} THEN {sql(then)}" for when, then in node.branches)
            return f"(CASE {branches} ELSE {sql(node.otherwise)} END)"
        case Call():
            return _call(node, [sql(argument) for argument in node.arguments])


def _comparable(node: Node, other: Node, sql: Callable[[Node], str]) -> str:
    """An operand of a comparison, in the finer of both scales."""
    finer = other.type.scale - node.type.scale
    return f"({_wide(sql(node))} * {10**finer})" if finer > 0 else sql(node)


def _call(node: Call, arguments: list[str]) -> str:
    match node.function:
        case "abs":
            return f"abs({arguments[0]})" if node.type == FLOAT else _fitting(f"abs({_wide(arguments[0])})")
        case "ceil" | "floor":
            return f"{node.function}({arguments[0]})"
        case "coalesce" | "least" | "greatest":
            return f"{node.function}({', '.join(arguments)})"
        case "hour":
            return f"({_positive_remainder(arguments[0], _DAY_MS)} // {_HOUR_MS})"
        case "day_of_week":  # 1970-01-01 was a Thursday: three days after a Monday
            monday_ms = f"{_positive_remainder(arguments[0], _WEEK_MS)} + {3 * _DAY_MS}"
            return f"(({monday_ms}) % {_WEEK_MS} // {_DAY_MS} + 1)"
        case "round":
            digits = node.arguments[1]
            power = f"1e{digits.value}" if isinstance(digits, Literal) else f"pow(1e1, {arguments[1]})"
            return _finite(f"round({arguments[0]} * {power}) / {power}")
        case "power":
            return _finite(f"pow({arguments[0]}, {arguments[1]})")
        case "exp" | "ln" | "log10" | "sqrt":
            return _finite(f"TRY({node.function}({arguments[0]}))")


def _literal(kind: ValueType, value: bool | int | float | str | None) -> str:
    if value is None:
        return f"CAST(NULL AS {_TYPES[kind.kind]})"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if kind == FLOAT:
        return f"CAST('{value!r}' AS DOUBLE)"  # as text: a bare 0.1 would be an exact decimal
    return f"CAST({value} AS BIGINT)"


def _wide(sql: str) -> str:
    return f"CAST({sql} AS HUGEINT)"


def _fitting(sql: str) -> str:
    """A 128-bit integer as BIGINT, null where it does not fit or its divisor was zero."""
    return f"TRY(CAST(({sql}) AS BIGINT))"


def _finite(sql: str) -> str:
    """A double, null where it is infinite or not a number."""
    return f"list_filter([{sql}], lambda x: isfinite(x))[1]"


def _positive_remainder(sql: str, divisor: int) -> str:
    return f"(({sql} % {divisor} + {divisor}) % {divisor})"
