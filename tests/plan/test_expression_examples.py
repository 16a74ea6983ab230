"""What expressions mean, example by example, on every evaluator."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import msgspec
import pytest
from expression_engines import TYPES, columns_of, plain, sql, vectorised

from fraudstream.engine.evaluate import evaluate
from fraudstream.plan.expression import Node, canonical, references
from fraudstream.plan.parse import ExpressionError, parse
from fraudstream.schema.types import BOOLEAN, FLOAT, INTEGER, TIMESTAMP, decimal

LEAST, MOST = -(2**63), 2**63 - 1
EXAMPLES = [
    # comparisons are exact: decimals are minor units
    ("amount > 0.005", {"amount": 0}, False),
    ("amount > 0.005", {"amount": 1}, True),
    ("amount >= 0.005", {"amount": 0}, False),
    ("amount < 0.005", {"amount": 0}, True),
    ("amount <= 0.005", {"amount": 1}, False),
    ("amount = 0.005", {"amount": 0}, False),
    ("amount <> 0.005", {"amount": 0}, True),
    ("amount = 0.005", {}, None),
    ("amount <> 0.005", {}, None),
    ("amount < -0.005", {"amount": -1}, True),
    ("amount < -0.005", {"amount": 0}, False),
    ("amount > -0.005", {"amount": 0}, True),
    ("-0.005 < amount", {"amount": 0}, True),
    ("amount > 0.7000000000000000000000001", {"amount": 70}, False),
    ("amount > 0.6999999999999999999999999", {"amount": 70}, True),
    ("amount < 1e30", {"amount": MOST}, True),
    ("amount >= 1e30", {"amount": MOST}, False),
    ("amount > -1e30", {"amount": LEAST}, True),
    ("amount = 99999999999999999999", {"amount": MOST}, False),
    ("amount <> 99999999999999999999", {"amount": MOST}, True),
    ("amount <> 99999999999999999999", {}, None),
    ("count > 2.5", {"count": 3}, True),
    ("count > 2.5", {"count": 2}, False),
    ("count < 9223372036854775807.5", {"count": MOST}, True),
    ("count >= 9223372036854775807", {"count": MOST - 1}, False),
    ("count = -9223372036854775808", {"count": LEAST}, True),
    ("amount = count", {"amount": 300, "count": 3}, True),
    ("amount = count", {"amount": 301, "count": 3}, False),
    ("amount < count", {"amount": MOST, "count": MOST}, True),
    ("amount > count", {"amount": LEAST, "count": LEAST}, True),
    ("amount < rate", {"amount": 1, "rate": 101}, True),
    ("amount >= rate", {"amount": -1, "rate": -101}, True),
    ("rate >= amount", {"rate": -101, "amount": -1}, False),
    ("amount > score", {"amount": 10, "score": 0.1}, False),
    ("amount >= score", {"amount": 10, "score": 0.1}, True),
    ("amount = fee", {"amount": 10, "fee": 10}, True),
    ("amount between 1 and 2", {"amount": 200}, True),
    ("amount not between 1 and 2", {"amount": 201}, True),
    ("1 < 1.5", {}, True),
    # arithmetic
    ("amount * 1.1", {"amount": 300}, 3.3000000000000003),
    ("amount + fee", {"amount": 10, "fee": 20}, 0.30000000000000004),
    ("-amount", {"amount": 10}, -10),
    ("-amount", {"amount": LEAST}, None),
    ("-score", {"score": 1.5}, -1.5),
    ("- - 5 + count", {"count": 1}, 6),
    ("count + 1", {"count": MOST}, None),
    ("count - 1", {"count": LEAST}, None),
    ("count * visits", {"count": 2**32, "visits": 2**31}, None),
    ("count * visits", {"count": -(2**32), "visits": 2**31}, LEAST),
    ("count * visits", {"count": LEAST, "visits": -1}, None),
    ("count % visits", {"count": -7, "visits": 3}, -1),
    ("count % visits", {"count": 7, "visits": -3}, 1),
    ("count % visits", {"count": LEAST, "visits": -1}, 0),
    ("count % visits", {"count": 7, "visits": 0}, None),
    ("score % 2", {"score": -5.5}, -1.5),
    ("score % 0", {"score": 5.5}, None),
    ("count / 2", {"count": 3}, 1.5),
    ("count / 0", {"count": 3}, None),
    ("score * score", {"score": 1e200}, None),
    ("score / mean", {"score": 0.0, "mean": 0.0}, None),
    ("at - last_at", {"at": 5_000, "last_at": 2_000}, 3_000),
    ("at - last_at > 60000", {"at": 61_000, "last_at": 0}, True),
    ("at - last_at", {"at": MOST, "last_at": -1}, None),
    # three-valued logic
    ("flag and known", {"flag": False}, False),
    ("flag and known", {"flag": True}, None),
    ("known and flag", {"flag": False}, False),
    ("flag or known", {"flag": True}, True),
    ("flag or known", {"flag": False}, None),
    ("known or flag", {"flag": True}, True),
    ("not flag", {}, None),
    ("not flag", {"flag": False}, True),
    ("flag", {"flag": True}, True),
    ("flag = true", {"flag": True}, True),
    ("flag <> known", {"flag": True, "known": False}, True),
    ("flag and known and amount > 1", {"flag": True, "amount": 100}, False),
    ("count is null", {}, True),
    ("count is not null", {}, False),
    ("count is not null", {"count": 0}, True),
    ("(amount > 1) is null", {}, True),
    ("true", {}, True),
    # text
    ("country = 'DE'", {"country": "DE"}, True),
    ("country = 'DE'", {"country": "de"}, False),
    ("country <> home", {"country": "DE", "home": "FR"}, True),
    ("country <> home", {"country": "DE"}, None),
    ("country = 'it''s'", {"country": "it's"}, True),
    ("country = 'Zürich 🏦'", {"country": "Zürich 🏦"}, True),
    ("country = ''", {"country": ""}, True),
    ("country is null", {"country": ""}, False),
    ("country is null", {}, True),
    ("'a' = 'b'", {}, False),
    ("location = 'Paris' and location.lat > 48", {"location": "Paris", "location.lat": 48.85}, True),
    ('"location.lat" > 48', {"location.lat": 47.0}, False),
    ('"order" + order', {"order": 4}, 8),
    # in
    ("country in ('DE', 'FR')", {"country": "FR"}, True),
    ("country not in ('DE', 'FR')", {"country": "FR"}, False),
    ("country not in ('DE', 'FR')", {}, None),
    ("country in ('a','b','c','d','e','f','g','h','i','j')", {"country": "j"}, True),
    ("country in ('a','b','c','d','e','f','g','h','i','j')", {"country": "z"}, False),
    ("amount in (1, 2.50)", {"amount": 250}, True),
    ("amount in (0.005)", {"amount": 0}, False),
    ("amount not in (0.005)", {"amount": 0}, True),
    ("amount in (0.005)", {}, None),
    ("count in (1,2,3,4,5,6,7,8,9,10,-11)", {"count": -11}, True),
    ("count in (1,2,3,4,5,6,7,8,9,10,-11)", {"count": 11}, False),
    ("count in (1,2,3,4,5,6,7,8,9,10,-11)", {"count": 0}, False),
    ("count not in (1,2,3,4,5,6,7,8,9,10,-11)", {"count": 0}, True),
    ("score in (0.1)", {"score": 0.1}, True),
    # case and functions
    ("case when count > 1 then amount else 0 end", {"count": 2, "amount": 150}, 150),
    ("case when count > 1 then amount else 0 end", {"count": 1, "amount": 150}, 0),
    ("case when count > 1 then amount else 0 end", {"amount": 150}, 0),
    ("case when count > 1 then 1 end", {"count": 1}, None),
    ("case count when 1 then 10 when 2 then 20 else 30 end", {"count": 2}, 20),
    ("case when flag then amount else count end", {"flag": False, "count": 2}, 2.0),
    ("coalesce(amount, 0)", {}, 0),
    ("coalesce(amount, 0.5) > 0.49", {}, True),
    ("coalesce(amount, 0.005)", {}, 0.005),
    ("coalesce(count, visits, 7)", {"visits": 3}, 3),
    ("coalesce(flag, false)", {}, False),
    ("coalesce(count, visits)", {}, None),
    ("nullif(count, 0)", {"count": 0}, None),
    ("nullif(count, 0)", {"count": 4}, 4),
    ("nullif(count, visits)", {"count": 4}, 4),
    ("least(count, visits, 5)", {"count": 7}, 5),
    ("greatest(count, visits)", {"count": 7, "visits": 9}, 9),
    ("least(count, visits)", {}, None),
    ("abs(amount)", {"amount": -5}, 5),
    ("abs(count)", {"count": LEAST}, None),
    ("abs(score)", {"score": -0.5}, 0.5),
    ("floor(amount)", {"amount": -150}, -2.0),
    ("ceil(score)", {"score": 1.2}, 2.0),
    ("round(score)", {"score": 2.5}, 3.0),
    ("round(score)", {"score": -2.5}, -3.0),
    ("round(score)", {"score": 0.49999999999999994}, 0.0),
    ("round(score, 1)", {"score": 0.25}, 0.3),
    ("sqrt(count)", {"count": 9}, 3.0),
    ("sqrt(count)", {"count": -9}, None),
    ("ln(amount)", {"amount": 0}, None),
    ("ln(score)", {"score": 1.0}, 0.0),
    ("log10(count)", {"count": 1000}, 3.0),
    ("log10(count)", {"count": -1}, None),
    ("exp(score)", {"score": 1000.0}, None),
    ("exp(score)", {"score": 0.0}, 1.0),
    ("power(count, 2)", {"count": 3}, 9.0),
    ("power(score, 0.5)", {"score": -8.0}, None),
    ("power(score, -1)", {"score": 0.0}, None),
    ("ratio(amount, count)", {"amount": 150, "count": 3}, 0.5),
    ("ratio(amount, count)", {"amount": 150, "count": 0}, None),
    ("zscore(amount, mean, score)", {"amount": 300, "mean": 1.0, "score": 0.5}, 4.0),
    ("zscore(amount, mean, score)", {"amount": 300, "mean": 1.0, "score": 0.0}, None),
    # time, in UTC
    ("hour(at)", {"at": 0}, 0),
    ("hour(at)", {"at": -1}, 23),
    ("day_of_week(at)", {"at": 0}, 4),
    ("day_of_week(at)", {"at": -1}, 3),
    ("day_of_week(at)", {"at": LEAST}, 7),
    ("hour(at)", {"at": MOST}, 7),
    ("is_weekend(at)", {"at": 2 * 86_400_000}, True),
    ("is_weekend(at)", {"at": 4 * 86_400_000}, False),
    ("is_night(at)", {"at": 6 * 3_600_000}, False),
    ("is_night(at)", {"at": 6 * 3_600_000 - 1}, True),
    ("is_night(at)", {}, None),
    ("at >= '1970-01-01T00:00:01Z'", {"at": 1_000}, True),
    ("at < '1970-01-01 02:00:00+02:00'", {"at": 0}, False),
    ("at = '1970-01-02'", {"at": 86_400_000}, True),
    ("at in ('1970-01-01', '1970-01-02')", {"at": 86_400_000}, True),
]
EVALUATORS = {"plain": plain, "vectorised": vectorised, "sql": sql}


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_every_example_has_its_value(evaluator: str) -> None:
    """Each evaluator gives each example's value and type, among the rows of all others and one that is all null."""
    nodes = [parse(text, TYPES) for text, _, _ in EXAMPLES]
    results = EVALUATORS[evaluator](nodes, [*(row for _, row, _ in EXAMPLES), {}])
    wrong = []
    for i, (text, row, expected) in enumerate(EXAMPLES):
        value = results[i][i]
        if value != expected or type(value) is not type(expected):
            wrong.append((text, row, value, expected))
    assert wrong == []


@pytest.mark.parametrize("evaluator", [vectorised, sql])
def test_every_example_agrees_on_every_row(evaluator: Callable[..., list[list[object]]]) -> None:
    """All examples over the rows of all of them: the same nulls and values, floats to 1e-12."""
    nodes, rows = [parse(text, TYPES) for text, _, _ in EXAMPLES], [row for _, row, _ in EXAMPLES]
    for node, expected, found in zip(nodes, plain(nodes, rows), evaluator(nodes, rows), strict=True):
        exact = [value for value in expected if not isinstance(value, float)]
        assert [value for value in found if not isinstance(value, float)] == exact, canonical(node)
        close = [value for value in expected if isinstance(value, float)]
        assert [value for value in found if isinstance(value, float)] == pytest.approx(close, rel=1e-12), canonical(
            node
        )


def test_the_canonical_text_parses_back_to_the_same_node() -> None:
    """parse(canonical(node)) is the node, for every example."""
    for text, _, _ in EXAMPLES:
        node = parse(text, TYPES)
        assert parse(canonical(node), TYPES) == node, text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("amount>1", "( amount  >\n1.00 )"),
        ("1 < amount", "amount > 1"),
        ("flag AND (known and count = 1)", "(flag and known) and count=1"),
        ("country in ('b','a','b')", "country in ('a', 'b')"),
        ("not country in ('a')", "country not in ('a')"),
        ("count between 1 and 3", "count >= 1 and count <= 3"),
        ("amount > 0.001", "amount > 0.009"),
        ("is_night(at)", "HOUR(at) < 6"),
        ("count != 1", '"count" <> 1'),
    ],
)
def test_spelling_does_not_change_the_canonical_text(one: str, other: str) -> None:
    """Two spellings of one predicate are one node with one text."""
    assert parse(one, TYPES) == parse(other, TYPES)
    assert canonical(parse(one, TYPES)) == canonical(parse(other, TYPES))


def test_different_predicates_have_different_canonical_texts() -> None:
    """The examples' nodes and their canonical texts correspond one to one."""
    nodes = {parse(text, TYPES) for text, _, _ in EXAMPLES}
    assert len({canonical(node) for node in nodes}) == len(nodes)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("amount", decimal(2)),
        ("-amount", decimal(2)),
        ("abs(rate)", decimal(4)),
        ("amount + 1", FLOAT),
        ("count + 1", INTEGER),
        ("count + 1.5", FLOAT),
        ("count / 1", FLOAT),
        ("at - last_at", INTEGER),
        ("coalesce(at, last_at)", TIMESTAMP),
        ("coalesce(amount, 1)", decimal(2)),
        ("coalesce(amount, rate)", FLOAT),
        ("case when flag then 1 else 2.5 end", FLOAT),
        ("least(count, 2)", INTEGER),
        ("hour(at)", INTEGER),
        ("sqrt(count)", FLOAT),
        ("flag", BOOLEAN),
    ],
)
def test_an_expression_has_the_type_its_parts_give_it(text: str, kind: object) -> None:
    """Types follow from fields, constants and operators."""
    assert parse(text, TYPES).type == kind


def test_references_are_the_names_that_are_read() -> None:
    """Every field and feature counts once, however deep it stands."""
    node = parse("case when location.lat > 1 then amount else -amount + count end > ratio(fee, 2)", TYPES)
    assert references(node) == {"location.lat", "amount", "count", "fee"}


def test_nodes_survive_json() -> None:
    """A node is the same after it was written and read."""
    for text, _, _ in EXAMPLES:
        node = parse(text, TYPES)
        assert msgspec.json.decode(msgspec.json.encode(node), type=Node) == node


def test_a_reference_to_text_is_the_column_itself() -> None:
    """Text is never computed: a bare text field is passed on with its bytes."""
    columns = columns_of([{"country": "DE"}])
    assert evaluate(parse("country", TYPES), columns, 1) is columns["country"]


@pytest.mark.parametrize(
    ("text", "found", "advice"),
    [
        ("amuont > 1", "'amuont'", "Did you mean 'amount'?"),
        ("Amount > 1", "'Amount'", "Did you mean 'amount'?"),
        ("amount > 'x'", "a decimal(2) and a string", "Numbers go with numbers"),
        ("country < 'x'", "`<` compares a string", "= and <>"),
        ("flag < true", "`<` compares a boolean", "= and <>"),
        ("at > 5", "a timestamp and an integer", "timestamps with timestamps"),
        ("at > 'soon'", "'soon' is not an instant", "2026-11-22T20:00:00Z"),
        ("at + 5", "`+` is between a timestamp and an integer", "difference"),
        ("country + 1", "`+` is between a string and an integer", "two numbers"),
        ("amount and flag", "`and` is given a decimal(2)", "predicates"),
        ("not amount", "`not` is given a decimal(2)", "predicates"),
        ("amount = null", "null is used as a value", "is null"),
        ("amount in (1, null)", "null", "is null"),
        ("count in (visits)", "not a constant", "`or`"),
        ("sum(amount) > 1", "aggregate", "windowed feature"),
        ("logg(amount)", "'logg' is not a function", "Did you mean log10?"),
        ("round(score, count)", "round's second value", "round(x, 2)"),
        ("ratio(amount)", "ratio is given 1 values", "takes 2"),
        ("hour(amount)", "hour is given a decimal(2)", "timestamp"),
        ("coalesce(country, 'x')", "coalesce is given a string", "compared"),
        ("case when flag then amount else 'x' end", "case mixes a decimal(2) and a string", "Numbers"),
        ("cast(amount as int)", "casts are not allowed", "Types come from"),
        ("'text'", "only a text", "double quotes"),
        ("amount + 1", "a float, not a predicate", "Compare"),
        ("amount > (select 1)", "Subquery is not allowed", "windowed feature"),
    ],
)
def test_what_is_wrong_is_named_with_what_to_do(text: str, found: str, advice: str) -> None:
    """An error quotes what was found and says what is allowed."""
    with pytest.raises(ExpressionError) as error:
        parse(text, TYPES, boolean=True)
    assert found in error.value.message
    assert advice in error.value.advice


def test_an_error_knows_where_it_stands() -> None:
    """The position is the offset of the offending part."""
    with pytest.raises(ExpressionError) as error:
        parse("amount > 1 and\n  cuont > 2", TYPES)
    assert error.value.position == 17


def test_the_plan_layer_loads_without_the_sql_parser() -> None:
    """Importing the parser of expressions does not import sqlglot, NumPy or DuckDB."""
    modules = "fraudstream.plan.parse, fraudstream.plan.expression_sql, fraudstream.testing.evaluate"
    check = f"import sys, {modules}; print([m for m in ('sqlglot', 'numpy', 'duckdb') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
