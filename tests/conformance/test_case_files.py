"""A case file that is wrong says so, with its line; and SQL that cannot be written is refused."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from fraudstream.errors import DataError, DefinitionError, UsageError
from fraudstream.plan.sql import disorder_sql, features_sql, peer_sql
from fraudstream.testing.cases import EventRow, load_case
from fraudstream.testing.compare import differences
from fraudstream.testing.decide import decide

from .engines import fill_tables, oracle

HEAD = """case: "a case"
pipeline:
  event: {id: id, time: at, fields: {id: string, at: timestamp, card: string, amount: decimal(2)}}
  features:
    n: {count: , by: card, over: 1h}
    total: {sum: amount, by: card, over: 1h}
rows:
"""
GOOD = HEAD + '  - event: {id: a, at: "10:00", card: X, amount: 1.00}\n    expect: {n: 1, total: 1.00}\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "case.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("card: X, ", ""), "line 8: the event has no 'card'"),
        (GOOD.replace("10:00", "ten"), "line 8: 'ten' is not a time"),
        (GOOD.replace("amount: 1.00", "amount: 1.005"), "line 8: '1.005' is not a decimal with 2 digits"),
        (GOOD.replace("n: 1", "m: 1"), "line 9: unknown name 'm'"),
        (GOOD.replace("- event", "- evnt"), "line 8: unknown name 'evnt'"),
        (HEAD + "  - label: {id: a, fraud: true}\n", "line 8: a label without at"),
        ("case: [", "not YAML that can be read"),
        ("rows: []", "no `pipeline`"),
    ],
)
def test_a_wrong_case_file_names_its_line(tmp_path: Path, text: str, message: str) -> None:
    """The message says which line, what was found, and what is allowed."""
    with pytest.raises(DataError) as caught:
        load_case(written(tmp_path, text))
    assert message in str(caught.value)


def test_a_case_with_a_wrong_pipeline_reports_the_cases_own_line(tmp_path: Path) -> None:
    """Problems of an inline pipeline carry the line numbers of the case file."""
    with pytest.raises(DefinitionError, match="line 5"):
        load_case(written(tmp_path, GOOD.replace("count:", "cuont:")))


def test_a_case_may_name_the_file_of_a_pipeline(tmp_path: Path) -> None:
    """Users' cases stand beside their pipeline's file."""
    pipeline = "name: mine\ninput: events\n" + "\n".join(line[2:] for line in HEAD.splitlines()[2:-1]) + "\n"
    (tmp_path / "mine.yaml").write_text(pipeline)
    rows = GOOD[GOOD.index("rows:") :]
    case = load_case(written(tmp_path, "pipeline: mine.yaml\n" + rows))
    assert case.plan.pipeline.name == "mine"
    assert oracle(case.plan, case.rows)[0].features == {"n": 1, "total": 100}


def test_differences_are_told_with_line_and_both_values(tmp_path: Path) -> None:
    """What differs is named: a feature, a flag, the outcome, the rules."""
    text = GOOD.replace("total: 1.00}", "total: 2.00, late: true, outcome: block, rules: [X], score_at_least: 0.5}")
    case = load_case(written(tmp_path, text))
    row = case.rows[0]
    assert isinstance(row, EventRow)
    answer = oracle(case.plan, case.rows)[0]
    assert differences(case.plan, row, answer, decide(case.plan, answer.features, None)) == [
        "line 8: total is 100, expected 200",
        "line 8: late is False, expected True",
        "line 8: outcome is approve, expected block",
        "line 8: rules hit are [], expected ['X']",
        "line 8: score is None, expected at least 0.5",
    ]


@pytest.mark.parametrize(("old", "new"), [("card", "sequence"), ("total:", "N:")])
def test_sql_refuses_names_it_could_not_tell_apart(tmp_path: Path, old: str, new: str) -> None:
    """SQL does not tell upper from lower case, and needs some names for itself."""
    case = load_case(written(tmp_path, GOOD.replace(old, new)))
    with pytest.raises(UsageError, match="ambiguous"):
        features_sql(case.plan)


def test_the_peer_query_is_equal_where_no_two_events_share_an_instant(tmp_path: Path) -> None:
    """The bench's peer computes the same thing; and disorder is counted: here one step back, one repeated id."""
    rows = "".join(f'  - event: {{id: i{i}, at: "10:{i:02}", card: X, amount: {i}.25}}\n' for i in range(50))
    case = load_case(written(tmp_path, HEAD + rows))
    with duckdb.connect() as connection:
        fill_tables(connection, case.plan, case.rows)
        peer = connection.execute(peer_sql(case.plan) + " ORDER BY sequence").fetchall()
        order = connection.execute(disorder_sql(case.plan)).fetchall()
    assert [tuple(answer.features.values()) for answer in oracle(case.plan, case.rows)] == [row[1:] for row in peer]
    assert order == [(0, 0)]
    unruly = load_case(written(tmp_path, HEAD + rows + '  - event: {id: i1, at: "10:01", card: X, amount: 1}\n'))
    with duckdb.connect() as connection:
        fill_tables(connection, unruly.plan, unruly.rows)
        # Two logs would count twice; here both features share the card's.
        assert connection.execute(disorder_sql(unruly.plan)).fetchall() == [(1, 1)]
