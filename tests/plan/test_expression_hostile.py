"""Text that nobody should write: it is refused with an ExpressionError, and nothing else ever happens."""

from __future__ import annotations

import warnings

import pytest
from expression_engines import TYPES
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fraudstream.plan.expression import canonical
from fraudstream.plan.expression_sql import to_sql
from fraudstream.plan.parse import MAX_DEPTH, MAX_NODES, ExpressionError, parse

HOSTILE = [
    "",
    "   \n\t ",
    "1; drop table x",
    "flag;",
    ";",
    "flag; flag",
    "(select 1)",
    "select 1",
    "flag or (select count(*) from rows) > 0",
    "exists (select 1)",
    "count in (select 1)",
    "count in visits",
    "count in unnest(visits)",
    "count = any(visits)",
    "count in ()",
    "pg_sleep(1)",
    "read_csv('/etc/passwd')",
    "getenv('HOME')",
    "__import__('os')",
    "__import__('os').system('true')",
    "eval('1')",
    "().__class__",
    "flag -- and false",
    "flag /* and false */",
    "/* x */ flag",
    "flag /*+ hint */",
    "flag # comment",
    "flag {# comment #}",
    "flag {{ jinja }}",
    "flag {% if %}",
    "count -> count + 1",
    "lambda count: count",
    "x => x",
    "abs(x => count)",
    "[1, 2]",
    "array[1, 2]",
    "count[0]",
    "{'a': 1}",
    "struct(1)",
    "(1, 2)",
    "()",
    "count::int",
    "cast(count as int)",
    "try_cast(count as int)",
    "timestamp '2026-01-01'",
    "interval '1 day'",
    "extract(hour from at)",
    "at at time zone 'UTC'",
    "country collate nocase",
    "country || home",
    "country like '%'",
    "country ilike '%'",
    "country similar to 'x'",
    "country ~ 'x'",
    "country glob '*'",
    "n'text' = country",
    "x'00' = country",
    "b'1' = country",
    "'a' 'b' = country",
    "sum(count)",
    "count(*)",
    "sum(count) over ()",
    "row_number() over (order by count)",
    "abs(distinct count)",
    "abs(count order by count)",
    "abs(count) filter (where flag)",
    "coalesce(count) ignore nulls",
    "*",
    "rows.*",
    "?",
    ":name",
    "@name",
    "$1",
    "%(name)s",
    "count ** 2",
    "count ^ 2",
    "count & 1",
    "count | 1",
    "count << 1",
    "~count",
    "count div 2",
    "flag xor known",
    "flag && known",
    "count <=> visits",
    "count is distinct from visits",
    "count between symmetric 1 and 2",
    "flag is true",
    "1 < count < 3",
    "count = 1 as c",
    "flag known",
    "flag from rows",
    "flag where flag",
    "flag limit 1",
    "flag union select 1",
    "case end",
    "case when flag then 1",
    "current_date",
    "nan",
    "count > 1_000",
    "count > 0x10",
    "count > 1e999",
    "count > 0e999999999",
    "count > 1e-999999999",
    "count > ١",
    "сount > 1",  # a Cyrillic letter in front
    "count ＞ 1",  # full-width
    "count > 1\u200b",
    "flag\u00a0or\u2028known;",
    "\ufeff; flag",
    "'open",
    '"open',
    "country = 'a\\'b'",
    "country = '\x00'",
    "country = '\ud800'",
    "flag\x00",
    "\x1b[31mflag",
    "(" * 10_000,
    "(" * 1_000 + "flag" + ")" * 1_000,
    "(" * 31 + "flag" + ")" * 31,
    "not " * 900 + "flag",
    "-" + " -" * 1_500 + "count",
    "case when flag then " * 150 + "1" + " end" * 150,
    "abs(" * 200 + "count" + ")" * 200,
    "count" + " + 1" * 60,
    "flag or " * 499 + "flag",
    "flag or " * 100_000 + "flag",
    "count in (" + "1," * 1_900 + "1); drop table x",
    "a" * 4_001,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:40])
def test_hostile_text_is_refused(text: str) -> None:
    """It raises ExpressionError with a message, quickly, and warns about nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ExpressionError) as error:
            parse(text, TYPES, boolean=True)
    assert error.value.message
    assert len(str(error.value)) < 600


def test_what_is_within_the_bounds_is_accepted() -> None:
    """The bounds refuse nothing that people write."""
    parse("flag or " * 400 + "flag", TYPES, boolean=True)
    parse("(" * 20 + "flag" + ")" * 20, TYPES, boolean=True)
    parse("count in (" + ", ".join(map(str, range(700))) + ")", TYPES, boolean=True)
    parse("count" + " + 1" * (MAX_DEPTH - 2) + " > 0", TYPES, boolean=True)


def test_repeated_operands_count_as_often_as_they_are_computed() -> None:
    """Nested `nullif` doubles its operand at every level; the bound stops it before anything walks the result."""
    text = "count"
    for _ in range(25):
        text = f"nullif({text}, 1)"
    with pytest.raises(ExpressionError, match=f"{MAX_NODES} are allowed"):
        parse(text, TYPES)


def test_the_sql_of_a_deep_expression_stays_short() -> None:
    """Every operand is written once: nested float operations do not explode."""
    node = parse("score" + " * mean" * (MAX_DEPTH - 2), TYPES)
    assert len(to_sql(node, lambda name: name)) < 5_000


WORDS = """
    flag known amount count score country at location.lat ( ) ( ) , and or not = <> < > <= >= + - * / % is null in
    between case when then else end 1 2.5 1e5 'DE' '2026-01-01' true false abs coalesce nullif least round hour ratio
    zscore ; -- /* */ select from cast :: -> [ ] { } ? @ : . "order" over filter distinct * interval timestamp
"""


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        st.lists(st.sampled_from(WORDS.split()), max_size=14).map(" ".join),
        st.text(max_size=60),
        st.text("()'\"-+*/;.,:[]{}a1 \n", max_size=40),
    )
)
@example("amount > 1 and\r\n")
def test_any_text_is_a_node_or_an_expression_error(text: str) -> None:
    """Random words and random characters raise nothing else; what parses has a canonical text that parses back."""
    try:
        node = parse(text, TYPES)
    except ExpressionError:
        return
    assert parse(canonical(node), TYPES) == node
