"""What may meet what in an expression: how constants get their types, and which conversions become explicit nodes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import NamedTuple

from fraudstream.plan.expression import (
    Arithmetic,
    ArithmeticOperator,
    AsFloat,
    Case,
    Comparison,
    ComparisonOperator,
    InValues,
    IsNull,
    Literal,
    Logical,
    LogicalOperator,
    Node,
    Unary,
)
from fraudstream.plan.syntax import ExpressionError
from fraudstream.schema.types import BOOLEAN, FLOAT, INTEGER, STRING, TIMESTAMP, Kind, ValueType

LEAST, MOST = -(2**63), 2**63 - 1
"""The int64 range: integers, decimals' minor units and epoch milliseconds."""

_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_FLIPPED: dict[ComparisonOperator, ComparisonOperator] = {
    "=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<=",
}  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NULL_ADVICE = "null = x is never true: write `x is null` or `x is not null`."


class Constant(NamedTuple):
    """A constant whose type is not known yet: an exact number, a text (which may be an instant), or null."""

    value: Fraction | str | None


Operand = Node | Constant


def named(kind: ValueType) -> str:
    """A type as a noun in an error: `a decimal(2)`, `an integer`."""
    return f"{'an' if str(kind)[0] in 'aeiou' else 'a'} {kind}"


def number(text: str) -> Fraction:
    """The exact value of a number as written."""
    if not _NUMBER.fullmatch(text) or math.isinf(float(text)):
        raise ExpressionError(f"{text[:40]!r} is not a number here.", "Write it like 1250, 0.5 or 1e-6; below 1e308.")
    return Fraction(text)


def settled(operand: Operand) -> Node:
    """A node as it is; a constant as what it looks like: whole numbers are integers, other numbers floats."""
    if not isinstance(operand, Constant):
        return operand
    match operand.value:
        case None:
            raise ExpressionError("null is used as a value.", _NULL_ADVICE)
        case str(text):
            return Literal(STRING, text)
        case Fraction() as value:
            literal = _literal(value, INTEGER)
            return Literal(FLOAT, float(value)) if literal is None else literal


def numeric(operand: Operand, user: str) -> Node:
    """The operand, which must be a number."""
    node = settled(operand)
    if not node.type.is_number:
        raise ExpressionError(f"{user} is given {named(node.type)}.", "It takes numbers: integer, decimal or float.")
    return node


def as_float(operand: Operand, user: str) -> Node:
    """The operand as float64."""
    if isinstance(operand, Constant) and isinstance(operand.value, Fraction):
        return Literal(FLOAT, float(operand.value))
    return _floated(numeric(operand, user))


def _floated(node: Node) -> Node:
    if isinstance(node, Literal) and node.type == INTEGER and node.value is not None:
        return Literal(FLOAT, float(node.value))
    return node if node.type == FLOAT else AsFloat(node)


def predicate(operand: Operand, user: str) -> Node:
    """The operand, which must be a boolean."""
    node = settled(operand)
    if node.type != BOOLEAN:
        raise ExpressionError(
            f"`{user}` is given {named(node.type)}.", "It takes predicates: compare it with something."
        )
    return node


def logical(operator: LogicalOperator, operands: Sequence[Operand]) -> Logical:
    """`and` or `or` of predicates; `(a and b) and c` becomes `a and b and c`."""
    terms: list[Node] = []
    for operand in operands:
        term = predicate(operand, operator)
        terms.extend(term.operands if isinstance(term, Logical) and term.operator == operator else (term,))
    return Logical(operator, tuple(terms))


def inverted(operand: Operand) -> Node:
    """`not` of a predicate."""
    node = predicate(operand, "not")
    match node:
        case IsNull():
            return IsNull(node.operand, not node.negated)
        case InValues():
            return InValues(node.operand, node.values, not node.negated)
    return Unary("not", node)


def negated(operand: Operand) -> Operand:
    """Minus the operand."""
    if isinstance(operand, Constant) and isinstance(operand.value, Fraction):
        return Constant(-operand.value)
    return Unary("-", numeric(operand, "-"))


def arithmetic(operator: ArithmeticOperator, left: Operand, right: Operand) -> Node:
    """Integers stay integers except for `/`; two timestamps have a difference; everything else is float64."""
    first, second = settled(left), settled(right)
    if first.type == second.type == TIMESTAMP and operator == "-":
        return Arithmetic("-", first, second)
    if not (first.type.is_number and second.type.is_number):
        raise ExpressionError(
            f"`{operator}` is between {named(first.type)} and {named(second.type)}.",
            "It takes two numbers; the difference of two timestamps is their distance in milliseconds.",
        )
    if first.type == second.type == INTEGER and operator != "/":
        return Arithmetic(operator, first, second)
    return Arithmetic(operator, as_float(left, operator), as_float(right, operator))


def comparison(operator: ComparisonOperator, left: Operand, right: Operand) -> Node:
    """Exact between integers, decimals and timestamps, and between those and constants; float64 beside a float."""
    if isinstance(left, Constant):
        if isinstance(right, Constant):
            left = settled(left)
        else:
            return comparison(_FLIPPED[operator], right, left)
    if isinstance(right, Constant) and isinstance(right.value, Fraction) and left.type.is_exact:
        return _against_number(operator, left, right.value)
    other = _typed(right, left.type) if isinstance(right, Constant) else right
    kinds = {left.type.kind, other.type.kind}
    if left.type.is_number and other.type.is_number:
        if Kind.FLOAT in kinds:
            return Comparison(operator, _floated(left), _floated(other))
    elif len(kinds) > 1:
        raise _unlike(f"`{operator}` compares", left.type, other.type)
    elif kinds <= {Kind.STRING, Kind.BOOLEAN} and operator not in ("=", "<>"):
        raise ExpressionError(f"`{operator}` compares {named(left.type)}.", f"A {left.type} knows only = and <>.")
    return Comparison(operator, left, other)


def _against_number(operator: ComparisonOperator, left: Node, value: Fraction) -> Node:
    """An integer or decimal against a constant that it may be unable to hold: 0.005 against cents, or 10^30.

    Such a constant lies between two neighbours, or beyond all values; either way another comparison is the same one.
    `x = x` is what is true unless x is null, and `x <> x` what is false.
    """
    literal = _literal(value, left.type)
    if literal is not None:
        return Comparison(operator, left, literal)
    minor = value * 10**left.type.scale
    below = math.floor(minor)
    if operator in ("=", "<>") or not LEAST <= below <= MOST:
        holds = operator == "<>" or operator in (("<", "<=") if below > 0 else (">", ">="))
        return Comparison("=" if holds else "<>", left, left)
    return Comparison("<=" if operator in ("<", "<=") else ">", left, Literal(left.type, below))


def membership(operand: Operand, values: Sequence[Operand]) -> Node:
    """`in` over constants; those its type cannot hold can never be equal and are left out."""
    node = settled(operand)
    if not values:
        raise ExpressionError("in () holds nothing.", "List at least one constant.")
    if not all(isinstance(value, Constant) for value in values):
        raise ExpressionError("in (…) holds something that is not a constant.", "List texts or numbers, or use `or`.")
    if node.type == BOOLEAN:
        raise ExpressionError("`in` is given a boolean.", "Write `x`, `not x` or `x = true`.")
    kept: set[int | float | str] = set()
    for value in values:
        if not isinstance(value, Constant):
            continue
        if value.value is None:
            raise ExpressionError("in (…) holds null.", _NULL_ADVICE)
        if isinstance(value.value, Fraction) and node.type.is_exact:
            literal = _literal(value.value, node.type)
        else:
            literal = _typed(value, node.type)
            if literal.type != node.type:
                raise _unlike("`in` compares", node.type, literal.type)
        if literal is not None and literal.value is not None:
            kept.add(literal.value)
    return InValues(node, tuple(sorted(kept, key=_order))) if kept else Comparison("<>", node, node)


def _order(value: int | float | str) -> tuple[float, str]:
    return (0.0, value) if isinstance(value, str) else (value, "")


def case(conditions: Sequence[Node], results: Sequence[Operand]) -> Case:
    """`case` with one result more than conditions: the last is `else`."""
    *branches, otherwise = unified(results, "case")
    return Case(tuple(zip(conditions, branches, strict=True)), otherwise)


def unified(operands: Sequence[Operand], user: str) -> list[Node]:
    """The operands in one type: the one they share, else float64 for numbers. Constants take the others' type."""
    nodes = [operand for operand in operands if not isinstance(operand, Constant)]
    constants = [operand for operand in operands if isinstance(operand, Constant) and operand.value is not None]
    if not nodes and not constants:
        raise ExpressionError(f"{user} is given only null.", "Give it a value.")
    kinds = list(dict.fromkeys(node.type for node in nodes)) or [INTEGER]
    if not nodes and any(isinstance(constant.value, str) for constant in constants):
        kinds = [STRING]
    target = kinds[0] if len(kinds) == 1 else FLOAT
    for kind in kinds:
        if len(kinds) > 1 and not kind.is_number:
            raise _unlike(f"{user} mixes", kinds[0], kinds[1])
    if target == STRING:
        raise ExpressionError(f"{user} is given a string.", "Text can only be compared: = <> in (…) is null.")
    numbers = [constant.value for constant in constants if isinstance(constant.value, Fraction)]
    if target.is_exact and any(_literal(value, target) is None for value in numbers):
        target = FLOAT
    return [_as(operand, target, user) for operand in operands]


def _as(operand: Operand, target: ValueType, user: str) -> Node:
    if not isinstance(operand, Constant):
        return operand if operand.type == target else _floated(operand)
    if operand.value is None:
        return Literal(target, None)
    literal = _typed(operand, target)
    if literal.type != target:
        raise _unlike(f"{user} mixes", target, literal.type)
    return literal


def _typed(constant: Constant, kind: ValueType) -> Literal:
    """The constant as a literal of that type where it can be one, else as what it looks like."""
    value = constant.value
    if isinstance(value, str) and kind == TIMESTAMP:
        return Literal(TIMESTAMP, _instant(value))
    if isinstance(value, Fraction) and kind.is_number:
        literal = Literal(FLOAT, float(value)) if kind == FLOAT else _literal(value, kind)
        if literal is not None:
            return literal
    literal_node = settled(constant)
    assert isinstance(literal_node, Literal)
    return literal_node


def _literal(value: Fraction, kind: ValueType) -> Literal | None:
    """The number as a literal of an exact type, or None where that cannot hold it."""
    minor = value * 10**kind.scale
    if minor.denominator != 1 or not LEAST <= minor.numerator <= MOST:
        return None
    return Literal(kind, minor.numerator)


def _instant(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        return (moment - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        raise ExpressionError(
            f"{text[:40]!r} is not an instant.", "Write it like '2026-11-22T20:00:00Z'; without an offset it is UTC."
        ) from None


def _unlike(verb: str, left: ValueType, right: ValueType) -> ExpressionError:
    return ExpressionError(
        f"{verb} {named(left)} and {named(right)}.",
        "Numbers go with numbers, text with text, timestamps with timestamps, booleans with booleans.",
    )
