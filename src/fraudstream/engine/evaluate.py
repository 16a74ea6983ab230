"""Expressions over columns: each node becomes a function of whole arrays, made once and called for every batch."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from fraudstream.engine.column import Bools, Column, UInt64s
from fraudstream.engine.kernels.fingerprint import fingerprint
from fraudstream.engine.nullable import (
    COMPARE,
    FUNCTIONS,
    LEAST,
    Validity,
    Values,
    across,
    both,
    chosen,
    difference,
    finite,
    product,
    remainder,
    settled,
    total,
)
from fraudstream.plan.expression import (
    Arithmetic,
    AsFloat,
    Call,
    Case,
    Comparison,
    ComparisonOperator,
    InValues,
    IsNull,
    Literal,
    Logical,
    Node,
    Ref,
    Unary,
)
from fraudstream.schema.types import FLOAT, STRING, Kind, ValueType

Columns = Mapping[str, Column]
Step = Callable[[Columns], tuple[Values, Validity]]

_DTYPES: dict[Kind, npt.DTypeLike] = {
    Kind.INTEGER: np.int64,
    Kind.DECIMAL: np.int64,
    Kind.TIMESTAMP: np.int64,
    Kind.FLOAT: np.float64,
    Kind.BOOLEAN: np.bool_,
}
_FLIPPED: dict[ComparisonOperator, ComparisonOperator] = {
    "=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<=",
}  # fmt: skip
_FEW = 8
"""Up to this many constants of `in` are compared one by one; more are looked up in a sorted table."""


def evaluate(node: Node, columns: Columns, n: int) -> Column:
    """The values of an expression for n rows.

    Args:
        node: The expression.
        columns: At least the columns it references, each of the type the expression was parsed with.
        n: How many rows they have.
    """
    return compile_expression(node)(columns, n)


@lru_cache(maxsize=4_096)
def compile_expression(node: Node) -> Callable[[Columns, int], Column]:
    """The expression as a function of (columns, n). A text result is always a plain reference: that very column."""
    if isinstance(node, Ref):
        return lambda columns, n: columns[node.name]
    step = _compiled(node)

    def run(columns: Columns, n: int) -> Column:
        with np.errstate(all="ignore"):
            values, valid = step(columns)
        return Column(node.type, _spread(values, n), None if valid is None else cast(Bools, _spread(valid, n)))

    return run


@lru_cache(maxsize=4_096)
def compile_predicate(node: Node) -> Callable[[Columns, int], Bools]:
    """A boolean expression as a function of (columns, n) that gives bool[n]: True where it is true, not where null."""
    step = _compiled(node)

    def run(columns: Columns, n: int) -> Bools:
        with np.errstate(all="ignore"):
            values, valid = step(columns)
        return cast(Bools, _spread(values if valid is None else values & valid, n))

    return run


def _spread(values: Values, n: int) -> npt.NDArray[np.generic]:
    return values if np.ndim(values) else np.full(n, values)


def _compiled(node: Node) -> Step:
    match node:
        case Literal():
            dtype = np.dtype(_DTYPES[node.type.kind])
            constant = (np.array(node.value or 0, dtype)[()], None if node.value is not None else np.False_)
            return lambda columns: constant
        case Ref():
            return lambda columns: ((column := columns[node.name]).values, column.valid)
        case AsFloat():
            return _as_float(_compiled(node.operand), node.operand.type)
        case Unary():
            return _unary(node)
        case Arithmetic():
            return _floats(node) if node.type == FLOAT else _integers(node)
        case Comparison():
            return _text_comparison(node) if node.left.type == STRING else _comparison(node)
        case Logical():
            return _logical(node)
        case IsNull():
            return _is_null(node)
        case InValues():
            return _text_in(node) if node.operand.type == STRING else _in(node)
        case Case():
            return _case(node)
        case Call(function="coalesce"):
            return _coalesce(node)
        case Call(function="least" | "greatest"):
            return _extreme(node)
        case Call():
            return _call(node)


# ── numbers ─────────────────────────────────────────────────────────────────────────────────────────────────


def _as_float(operand: Step, kind: ValueType) -> Step:
    unit = np.float64(10.0**kind.scale)

    def run(columns: Columns) -> tuple[Values, Validity]:
        values, valid = operand(columns)
        floats = values.astype(np.float64)
        return (floats / unit if kind.scale else floats), valid

    return run


def _unary(node: Unary) -> Step:
    operand = _compiled(node.operand)
    is_not, is_float = node.operator == "not", node.type == FLOAT

    def run(columns: Columns) -> tuple[Values, Validity]:
        values, valid = operand(columns)
        if is_not:
            return ~values, valid
        return -values, valid if is_float else both(valid, values != LEAST)

    return run


def _floats(node: Arithmetic) -> Step:
    left, right = _compiled(node.left), _compiled(node.right)
    compute = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "%": np.fmod}[node.operator]

    def run(columns: Columns) -> tuple[Values, Validity]:
        a, a_valid = left(columns)
        b, b_valid = right(columns)
        return finite(compute(a, b), both(a_valid, b_valid))

    return run


def _integers(node: Arithmetic) -> Step:
    left, right = _compiled(node.left), _compiled(node.right)
    compute = {"+": total, "-": difference, "*": product, "%": remainder}[node.operator]

    def run(columns: Columns) -> tuple[Values, Validity]:
        a, a_valid = left(columns)
        b, b_valid = right(columns)
        values, fits = compute(a, b)
        return values, both(both(a_valid, b_valid), fits)

    return run


# ── predicates ──────────────────────────────────────────────────────────────────────────────────────────────


def _comparison(node: Comparison) -> Step:
    if node.left.type.scale > node.right.type.scale:
        node = Comparison(_FLIPPED[node.operator], node.right, node.left)
    left, right = _compiled(node.left), _compiled(node.right)
    finer = node.right.type.scale - node.left.type.scale
    compare = across(node.operator, np.int64(10**finer)) if finer else COMPARE[node.operator]

    def run(columns: Columns) -> tuple[Values, Validity]:
        a, a_valid = left(columns)
        b, b_valid = right(columns)
        return compare(a, b), both(a_valid, b_valid)

    return run


def _text(node: Node) -> Callable[[Columns], tuple[UInt64s | np.uint64, UInt64s | np.uint64, Validity]]:
    """A text operand as the two halves of its fingerprint. Texts are references or constants, nothing else."""
    if isinstance(node, Ref):

        def halves(columns: Columns) -> tuple[UInt64s, UInt64s, Validity]:
            column = columns[node.name]
            return cast(UInt64s, column.values), cast(UInt64s, column.high), column.valid

        return halves
    low, high = fingerprint(str(cast(Literal, node).value).encode())
    constant = np.uint64(low), np.uint64(high), None
    return lambda columns: constant


def _text_comparison(node: Comparison) -> Step:
    left, right = _text(node.left), _text(node.right)
    differ = node.operator == "<>"

    def run(columns: Columns) -> tuple[Values, Validity]:
        a_low, a_high, a_valid = left(columns)
        b_low, b_high, b_valid = right(columns)
        equal = (a_low == b_low) & (a_high == b_high)
        return (~equal if differ else equal), both(a_valid, b_valid)

    return run


def _in(node: InValues) -> Step:
    operand = _compiled(node.operand)
    constants = np.array(sorted(cast(tuple[float, ...], node.values)), dtype=_DTYPES[node.operand.type.kind])

    def run(columns: Columns) -> tuple[Values, Validity]:
        values, valid = operand(columns)
        if len(constants) <= _FEW:
            hit = values == constants[0]
            for constant in constants[1:]:
                hit |= values == constant
        else:
            place = np.minimum(np.searchsorted(constants, values), len(constants) - 1)
            hit = constants[place] == values
        return (~hit if node.negated else hit), valid

    return run


def _text_in(node: InValues) -> Step:
    operand = _text(node.operand)
    halves = sorted(fingerprint(str(value).encode()) for value in node.values)
    lows = np.array([low for low, _ in halves], dtype=np.uint64)
    highs = np.array([high for _, high in halves], dtype=np.uint64)
    one_by_one = len(halves) <= _FEW or len(set(lows.tolist())) < len(halves)

    def run(columns: Columns) -> tuple[Values, Validity]:
        low, high, valid = operand(columns)
        if one_by_one:
            hit = (low == lows[0]) & (high == highs[0])
            for i in range(1, len(lows)):
                hit |= (low == lows[i]) & (high == highs[i])
        else:
            place = np.minimum(np.searchsorted(lows, low), len(lows) - 1)
            hit = (lows[place] == low) & (highs[place] == high)
        return (~hit if node.negated else hit), valid

    return run


def _is_null(node: IsNull) -> Step:
    operand: Callable[[Columns], tuple[Any, ...]]
    operand = _text(node.operand) if node.operand.type == STRING else _compiled(node.operand)

    def run(columns: Columns) -> tuple[Values, Validity]:
        first, *_, valid = operand(columns)
        if valid is None:
            return np.full(np.shape(first), node.negated), None
        return (valid if node.negated else ~valid), None

    return run


def _logical(node: Logical) -> Step:
    operands = [_compiled(operand) for operand in node.operands]
    is_and = node.operator == "and"

    def run(columns: Columns) -> tuple[Values, Validity]:
        values, valid = operands[0](columns)
        for operand in operands[1:]:
            other, other_valid = operand(columns)
            known = both(valid, other_valid)
            if known is not None:  # a known false decides `and`, a known true decides `or`, whatever the other is
                decided = both(valid, ~values if is_and else values)
                other_decided = both(other_valid, ~other if is_and else other)
                known = known | decided | other_decided
                values = settled(values, valid, is_and)
                other = settled(other, other_valid, is_and)
            values, valid = (values & other if is_and else values | other), known
        return values, valid

    return run


# ── choices and functions ───────────────────────────────────────────────────────────────────────────────────


def _case(node: Case) -> Step:
    branches = [(_compiled(condition), _compiled(result)) for condition, result in node.branches]
    otherwise = _compiled(node.otherwise)

    def run(columns: Columns) -> tuple[Values, Validity]:
        values, valid = otherwise(columns)
        for condition, result in reversed(branches):
            met, met_valid = condition(columns)
            values, valid = chosen(settled(met, met_valid, False), result(columns), (values, valid))
        return values, valid

    return run


def _coalesce(node: Call) -> Step:
    arguments = [_compiled(argument) for argument in node.arguments]

    def run(columns: Columns) -> tuple[Values, Validity]:
        best = arguments[0](columns)
        for argument in arguments[1:]:
            if best[1] is None:
                break
            best = chosen(best[1], best, argument(columns))
        return best

    return run


def _extreme(node: Call) -> Step:
    arguments = [_compiled(argument) for argument in node.arguments]
    better: Callable[[Any, Any], Any] = operator.lt if node.function == "least" else operator.gt

    def run(columns: Columns) -> tuple[Values, Validity]:
        best = arguments[0](columns)
        for argument in arguments[1:]:
            other = argument(columns)
            take = better(other[0], best[0])
            if other[1] is not None:
                take = take & other[1]
            if best[1] is not None:
                take = take | ~best[1]
            best = chosen(take, other, best)
        return best

    return run


def _call(node: Call) -> Step:
    arguments = [_compiled(argument) for argument in node.arguments]
    exact = node.function == "abs" and node.type != FLOAT
    compute = FUNCTIONS["abs of integers" if exact else node.function]

    def run(columns: Columns) -> tuple[Values, Validity]:
        valid: Validity = None
        inputs = []
        for argument in arguments:
            values, own = argument(columns)
            inputs.append(values)
            valid = both(valid, own)
        return compute(*inputs, valid)

    return run
