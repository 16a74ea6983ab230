"""Random typed expressions over random rows: every evaluator gives what the plain one gives."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from expression_engines import TYPES, plain, sql, vectorised
from hypothesis import given, settings
from hypothesis import strategies as st

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
from fraudstream.schema.types import BOOLEAN, FLOAT, INTEGER, STRING, TIMESTAMP, Kind, ValueType, decimal

LEAST, MOST = -(2**63), 2**63 - 1
INT64S = st.one_of(
    st.integers(-3, 3),
    st.integers(-10_000, 10_000),
    st.sampled_from([LEAST, LEAST + 1, -(2**53) - 1, -(2**31), 2**31, 2**32, 2**53 + 1, MOST - 1, MOST]),
    st.integers(LEAST, MOST),
)
FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, 0.1, 0.5, -0.5, 2.5, 0.49999999999999994, 1e-308, 5e-324, 1e200, -1.7e308, 2.0**53]),
    st.floats(-1e6, 1e6),
    st.floats(allow_nan=False, allow_infinity=False),
)
TEXTS = st.sampled_from(["", "DE", "de", "FR", "it's", "Zürich", "🏦", "a" * 40, "%", "null"])
VALUES = {
    Kind.INTEGER: INT64S,
    Kind.DECIMAL: INT64S,
    Kind.TIMESTAMP: INT64S,
    Kind.FLOAT: FLOATS,
    Kind.BOOLEAN: st.booleans(),
    Kind.STRING: TEXTS,
}
ROWS = st.lists(
    st.fixed_dictionaries({name: st.none() | VALUES[kind.kind] for name, kind in TYPES.items()}), min_size=1, max_size=6
)
EXACT = (INTEGER, decimal(2), decimal(4))
ORDERED = (*EXACT, TIMESTAMP, FLOAT)


def literals(kind: ValueType) -> st.SearchStrategy[Node]:
    return st.builds(Literal, st.just(kind), st.none() | VALUES[kind.kind])


def refs(kind: ValueType) -> st.SearchStrategy[Node]:
    return st.builds(Ref, st.sampled_from([name for name, each in TYPES.items() if each == kind]), st.just(kind))


@cache
def nodes(kind: ValueType, depth: int) -> st.SearchStrategy[Node]:
    """Well-typed nodes of that type whose values are the same to the last bit everywhere."""
    if kind == STRING:
        return refs(STRING)
    leaf = st.one_of(refs(kind), refs(kind), literals(kind))
    if depth == 0:
        return leaf
    same = st.deferred(lambda: nodes(kind, depth - 1))
    condition = st.deferred(lambda: nodes(BOOLEAN, depth - 1))
    choices = [
        leaf,
        st.builds(Case, st.lists(st.tuples(condition, same), min_size=1, max_size=2).map(tuple), same),
        st.builds(Call, st.just("coalesce"), st.lists(same, min_size=1, max_size=3).map(tuple)),
    ]
    if kind != BOOLEAN:
        several = st.lists(same, min_size=1, max_size=3).map(tuple)
        choices.append(st.builds(Call, st.sampled_from(["least", "greatest"]), several))
    if kind.is_number:
        choices.append(st.builds(Unary, st.just("-"), same))
        choices.append(st.builds(Call, st.just("abs"), st.tuples(same)))
    choices.extend(
        {Kind.INTEGER: integers, Kind.FLOAT: floats, Kind.BOOLEAN: booleans}.get(kind.kind, nothing)(depth - 1)
    )
    return st.one_of(choices)


def nothing(depth: int) -> list[st.SearchStrategy[Node]]:
    return []


def integers(depth: int) -> list[st.SearchStrategy[Node]]:
    integer, instant = nodes(INTEGER, depth), nodes(TIMESTAMP, depth)
    return [
        st.builds(Arithmetic, st.sampled_from(["+", "-", "*", "%"]), integer, integer),
        st.builds(Arithmetic, st.just("-"), instant, instant),
        st.builds(Call, st.sampled_from(["hour", "day_of_week"]), st.tuples(instant)),
    ]


def floats(depth: int) -> list[st.SearchStrategy[Node]]:
    number = nodes(FLOAT, depth)
    digits = st.builds(Literal, st.just(INTEGER), st.integers(0, 15))
    return [
        st.builds(Arithmetic, st.sampled_from(["+", "-", "*", "/", "%"]), number, number),
        st.builds(AsFloat, st.one_of(*(nodes(kind, depth) for kind in EXACT))),
        st.builds(Call, st.sampled_from(["floor", "ceil", "sqrt"]), st.tuples(number)),
        st.builds(Call, st.just("round"), st.tuples(number, digits)),
    ]


def booleans(depth: int) -> list[st.SearchStrategy[Node]]:
    equality, order = st.sampled_from(["=", "<>"]), st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
    text = st.one_of(refs(STRING), TEXTS.map(lambda value: Literal(STRING, value)))
    boolean = nodes(BOOLEAN, depth)
    exact = st.one_of(*(nodes(kind, depth) for kind in EXACT))
    return [
        *(st.builds(Comparison, order, nodes(kind, depth), nodes(kind, depth)) for kind in (TIMESTAMP, FLOAT)),
        st.builds(Comparison, order, exact, exact),
        st.builds(Comparison, equality, text, text),
        st.builds(Comparison, equality, boolean, boolean),
        st.builds(Logical, st.sampled_from(["and", "or"]), st.lists(boolean, min_size=2, max_size=4).map(tuple)),
        st.builds(Unary, st.just("not"), boolean),
        st.builds(IsNull, st.one_of(*(nodes(kind, depth) for kind in (BOOLEAN, STRING, FLOAT))), st.booleans()),
        *(memberships(kind, depth) for kind in (*ORDERED, STRING)),
    ]


def memberships(kind: ValueType, depth: int) -> st.SearchStrategy[Node]:
    values = st.lists(VALUES[kind.kind], min_size=1, max_size=12, unique=True).map(lambda v: tuple(sorted(v)))
    return st.builds(InValues, nodes(kind, depth), values, st.booleans())


ANY_NODE = st.one_of(*(nodes(kind, 3) for kind in (BOOLEAN, BOOLEAN, *ORDERED)))


def same_bits(left: Any, right: Any) -> bool:
    return type(left) is type(right) and left == right


@settings(max_examples=250, deadline=None)
@given(ANY_NODE, ROWS)
def test_arrays_give_what_the_plain_evaluator_gives(node: Node, rows: list[dict[str, Any]]) -> None:
    """Integers, booleans and floats made by correctly rounded operations are equal to the last bit."""
    [expected], [found] = plain([node], rows), vectorised([node], rows)
    assert all(map(same_bits, found, expected)), (found, expected)


@settings(max_examples=100, deadline=None)
@given(st.lists(ANY_NODE, min_size=1, max_size=4), ROWS)
def test_duckdb_gives_what_the_plain_evaluator_gives(several: list[Node], rows: list[dict[str, Any]]) -> None:
    """Integers, booleans and floats made by correctly rounded operations are equal to the last bit."""
    for node, expected, found in zip(several, plain(several, rows), sql(several, rows), strict=True):
        assert all(map(same_bits, found, expected)), (node, found, expected)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["ln", "log10", "exp", "power"]), nodes(FLOAT, 1), nodes(FLOAT, 0), ROWS)
def test_logarithms_and_powers_agree_closely(
    function: Any, first: Node, second: Node, rows: list[dict[str, Any]]
) -> None:
    """Where libraries may round differently, evaluators agree to 1e-12 and on what is null."""
    node = Call(function, (first, second) if function == "power" else (first,))
    [expected] = plain([node], rows)
    for [found] in (vectorised([node], rows), sql([node], rows)):
        for one, other in zip(found, expected, strict=True):
            assert (one is None) == (other is None)
            assert one is None or math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-300)


@settings(max_examples=100, deadline=None)
@given(ANY_NODE, ROWS, st.data())
def test_rows_do_not_influence_each_other(node: Node, rows: list[dict[str, Any]], data: st.DataObject) -> None:
    """Cutting a batch in two changes no value."""
    cut = data.draw(st.integers(0, len(rows)))
    [whole] = vectorised([node], rows)
    parts = [value for part in (rows[:cut], rows[cut:]) if part for value in vectorised([node], part)[0]]
    assert all(map(same_bits, parts, whole))
