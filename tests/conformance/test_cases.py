"""Every case file holds on every engine, and together they show every kind of feature."""

from __future__ import annotations

from pathlib import Path

import pytest

from fraudstream.define.feature import FeatureKind
from fraudstream.errors import UsageError
from fraudstream.testing.cases import EventRow, load_case
from fraudstream.testing.compare import differences, same
from fraudstream.testing.decide import Account, decide

from .engines import ENGINES, duckdb_fast, oracle, supports
from .vectorised import decisions

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_case_holds(path: Path, engine: str) -> None:
    """Each engine gives each event of the case what was written down by hand."""
    case = load_case(path)
    if not supports(engine, case.plan):
        with pytest.raises(UsageError):
            ENGINES[engine](case.plan, case.rows)
        return
    events = [row for row in case.rows if isinstance(row, EventRow)]
    answers = ENGINES[engine](case.plan, case.rows)
    assert [answer.sequence for answer in answers] == list(range(len(events)))
    wrong: list[str] = []
    account = Account()
    for row, answer in zip(events, answers, strict=True):
        values = {**row.fields, **answer.features}
        verdict = decide(case.plan, values, row.model_score, event_at=row.event_at, account=account)
        wrong += differences(case.plan, row, answer, verdict)
    assert not wrong, f"{case.title}\n" + "\n".join(wrong)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_value_of_a_case_is_the_oracles(path: Path) -> None:
    """Also the values a case does not mention are the same on every engine, and on fast SQL where it applies."""
    case = load_case(path)
    expected = oracle(case.plan, case.rows)
    others = {name: engine for name, engine in ENGINES.items() if supports(name, case.plan)}
    times = [row.event_at for row in case.rows if isinstance(row, EventRow)]
    if "duckdb" in others and times == sorted(times) and not any(answer.duplicate_of for answer in expected):
        others["duckdb fast"] = duckdb_fast
    for name, engine in others.items():
        for one, other in zip(expected, engine(case.plan, case.rows), strict=True):
            assert one[1:] == other[1:], name
            for feature, value in one.features.items():
                assert same(value, other.features[feature]), (name, one.sequence, feature, value, other.features)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_verdict_of_a_case_is_the_oracles(path: Path) -> None:
    """The engine decides as the plain rules and policy do, with the case's model scores left out."""
    case = load_case(path)
    events = [row for row in case.rows if isinstance(row, EventRow)]
    codes = [rule.definition.code for rule in case.plan.rules]
    for off in (frozenset[str](), frozenset(codes[:1]), frozenset(codes)):
        account = Account()
        for row, (answer, verdict) in zip(events, decisions(case.plan, case.rows, off=off), strict=True):
            values = {**row.fields, **answer.features}
            assert verdict == decide(case.plan, values, None, event_at=row.event_at, off=off, account=account), row.line


@pytest.mark.parametrize("kind", FeatureKind)
def test_every_kind_of_feature_is_shown_by_a_case(kind: FeatureKind) -> None:
    """A new kind of feature needs a case with an expected value of it."""
    shown = {
        case.plan.feature(name).kind
        for case in map(load_case, CASES)
        for row in case.rows
        if isinstance(row, EventRow)
        for name in row.expect.keys() & {feature.name for feature in case.plan.features}
    }
    assert kind in shown, f"no case in tests/conformance/cases expects a value of a {kind} feature"
