"""From a pipeline to its plan: types, order, histories, and every problem a definition can have."""

from __future__ import annotations

from pathlib import Path

import pytest
from card_watch import pipeline_of, planned, replaced

from fraudstream.define.aims import Budget, Costs, LetThrough
from fraudstream.define.decision import Action, ModelRef, Policy, Rule, Stage, ValueList
from fraudstream.define.feature import Feature, FeatureKind
from fraudstream.define.monitoring import Limits
from fraudstream.define.pipeline import Pipeline, Topic
from fraudstream.define.retention import Retention
from fraudstream.errors import DefinitionError
from fraudstream.plan.compile import plan_of
from fraudstream.plan.plan import StoredKind
from fraudstream.schema.event import Event, Field, FieldType
from fraudstream.schema.types import BOOLEAN, FLOAT, INTEGER, STRING, decimal
from fraudstream.units import MILLISECONDS

DAY = MILLISECONDS["d"]


def test_a_plan_knows_the_type_of_every_name() -> None:
    """Fields, the three columns of a location, and features."""
    types = planned().types
    assert types["amount"] == decimal(2)
    assert (types["place"], types["place.lat"]) == (STRING, FLOAT)
    assert types["sum_1d"] == decimal(2)
    assert types["big_7d"] == INTEGER
    assert types["tested"] == BOOLEAN
    assert types["doubled"] == FLOAT


def test_features_come_after_those_they_use_however_they_were_declared() -> None:
    """The order is the same in every process."""
    plan = planned(("  sum_1d: {sum", "  later: {expression: doubled + 1}\n  sum_1d: {sum"))
    names = [feature.name for feature in plan.features]
    assert names == ["sum_1d", "big_7d", "devices", "rate", "tested", "blocked", "share", "doubled", "later"]


def test_a_function_or_a_text_is_not_a_use_of_a_feature_of_that_name() -> None:
    """A feature may be called `hour` and be `hour(at)`."""
    plan = planned(
        ("  share:", "  hour: {expression: hour(at)}\n  odd: {expression: card = 'odd'}\n  share:"),
    )
    assert plan.types["hour"] == INTEGER
    assert plan.types["odd"] == BOOLEAN


def test_a_history_keeps_what_its_features_need_for_as_long_as_the_longest_looks_back() -> None:
    """One log for each key; label features look back over their delay as well."""
    card, device = planned().logs
    assert (card.by, card.retention_ms, card.label_retention_ms) == (("card",), 7 * DAY, 0)
    assert [stored.kind for stored in card.stored] == [
        StoredKind.SUM, StoredKind.TALLY, StoredKind.VALUE, StoredKind.PREVIOUS, StoredKind.CHAIN,
    ]  # fmt: skip
    assert (device.by, device.retention_ms, device.label_retention_ms) == (("device",), 10 * DAY, 10 * DAY)


def test_features_that_need_the_same_thing_share_it() -> None:
    """A second window over the same sum stores nothing more."""
    more = planned(("  devices:", "  sum_2h: {sum: amount, by: card, over: 2h}\n  devices:"))
    assert more.logs[0].stored == planned().logs[0].stored


def test_a_rule_without_a_score_has_the_threshold_of_what_it_asks_for() -> None:
    """So that the score says as much as the outcome."""
    plan = planned(add="policy: {review_at: 0.4, critical: 0.9}\n")
    assert [rule.score for rule in plan.rules] == [0.4, 0.9]


def test_the_values_of_a_lists_file_join_those_in_the_pipeline(tmp_path: Path) -> None:
    """Comments and empty lines are passed over; each value counts once."""
    (tmp_path / "b.txt").write_text("c9 # reported\n\n# all\nc1\n")
    lists = (ValueList(name="blocked", values=("c1",), file=str(tmp_path / "b.txt")),)
    assert plan_of(replaced(pipeline_of(), lists=lists)).lists[0].values == ("c1", "c9")


F = FeatureKind
BY = {"by": ("card",), "over": "1d"}
FEATURE_PROBLEMS = [
    (Feature(name="a b", kind=F.COUNT, **BY), "features.a b", "not a feature name", "letters, digits"),
    (Feature(name="amount", kind=F.COUNT, **BY), "features.amount", "name is taken", "must all differ"),
    (Feature(name="sum_1d", kind=F.COUNT, **BY), "features.sum_1d", "name is taken", "must all differ"),
    (Feature(name="x", kind=F.SUM, **BY), "features.x", "sum needs `of`", "`by`, `clean`, `of`, `over`"),
    (Feature(name="x", kind=F.COUNT, of="amount", **BY), "features.x", "count does not take `of`", "`where`"),
    (Feature(name="x", kind=F.FIRST_SEEN, prior=True, **BY), "features.x", "does not take `prior`", "`by`"),
    (Feature(name="x", kind=F.SUM, of="amuont", **BY), "features.x.of", "'amuont' is not a field", "'amount'"),
    (Feature(name="x", kind=F.SUM, of="speed", **BY), "features.x.of", "'speed' is float", "decimal, integer"),
    (Feature(name="x", kind=F.SPEED_KMH, of="card", **BY), "features.x.of", "'card' is string", "location"),
    (Feature(name="x", kind=F.COUNT, by=("amount",), over="1d"), "features.x.by", "is decimal(2)", "integer, string"),
    (Feature(name="x", kind=F.COUNT, by=("card", "card"), over="1d"), "features.x.by", "named twice", "once"),
    (Feature(name="x", kind=F.COUNT, by=("card",), over="1 day"), "features.x.over", "'1 day' is not", "like 5m"),
    (Feature(name="x", kind=F.COUNT, by=("card",), over="99999d"), "features.x.over", "very long", "3660d"),
    (Feature(name="x", kind=F.COUNT, where="amuont > 1", **BY), "features.x.where", "'amuont'", "'amount'"),
    (Feature(name="x", kind=F.COUNT, where="amount", **BY), "features.x.where", "decimal", ""),
    (Feature(name="x", kind=F.COUNT, where="share > 1", **BY), "features.x.where", "feature 'share'", "fields"),
    (Feature(name="x", kind=F.SEQUENCE, steps=("amount > 1",), **BY), "features.x.steps", "1 step.", "two to 8"),
    (Feature(name="x", kind=F.SEQUENCE, steps=("amount > 1",) * 9, **BY), "features.x.steps", "9 steps.", "two to 8"),
    (Feature(name="x", kind=F.SEQUENCE, steps=("amount > 1", "("), **BY), "features.x.steps.1", "cannot be read", ""),
    (Feature(name="x", kind=F.IN_LIST, of="card", list="blokced"), "features.x.list", "no list", "'blocked'"),
    (Feature(name="x", kind=F.EXPRESSION, expression="amount +"), "features.x.expression", "cannot be read", ""),
    (Feature(name="x", kind=F.EXPRESSION, expression="card"), "features.x.expression", "result is text", "number"),
    (Feature(name="x", kind=F.EXPRESSION, expression="x + 1"), "features.x", "circle: x → x", "Break"),
]  # fmt: skip


@pytest.mark.parametrize(("feature", "path", "found", "advice"), FEATURE_PROBLEMS)
def test_a_wrong_feature_is_reported(feature: Feature, path: str, found: str, advice: str) -> None:
    """Each with its path, what was found, and advice."""
    pipeline = pipeline_of()
    expect_problem(replaced(pipeline, features=(*pipeline.features, feature)), path, found, advice)


FIELD = Field(name="extra", type=FieldType.STRING)
LONG_DECIMAL = Field(name="d", type=FieldType.DECIMAL, scale=10)
ODD_PATH = Field(name="p", type=FieldType.STRING, path="a..b")
MODEL_RULE = Rule(code="MODEL_SCORE", when="blocked", action=Action.BLOCK)
OTHER_PROBLEMS = [
    ({"name": "Card Watch"}, "name", "'Card Watch' is not a pipeline name", "lower case"),
    ({"input": Topic(name="a b")}, "input", "not a topic name", "at most 249"),
    ({"input": Topic(name="..")}, "input", "not a topic name", "at most 249"),
    ({"input": Topic(name="labels")}, "labels", "is also `input`", "of its own"),
    ({"max_keys": 0}, "max_keys", "0 keys", "1 to 1073741824"),
    ({"input": Topic(name="tx", partitions=0)}, "input", "0 partitions", "1 to 10000"),
    ({"routes": ()}, "routes", "no route", "at least one"),
    ({"event": {"fields": (FIELD, FIELD)}}, "event.fields.extra", "declared twice", "one declaration"),
    ({"event": {"fields": (Field(name="a-b", type=FieldType.STRING),)}}, "event.fields.a-b", "field name", "`path`"),
    ({"event": {"fields": (LONG_DECIMAL,)}}, "event.fields.d.scale", "10", "0 to 9"),
    ({"event": {"fields": (ODD_PATH,)}}, "event.fields.p.path", "a..b", "dots"),
    ({"event": {"id": "idd"}}, "event.id", "'idd' is not a field", "'id'"),
    ({"event": {"time": "card"}}, "event.time", "'card' is string", "timestamp"),
    ({"event": {"amount": "speed"}}, "event.amount", "'speed' is float", "decimal, integer"),
    ({"event": {"key": "place"}}, "event.key", "is a location", "string"),
    ({"event": {"id": "device"}}, "event.id", "not required", "must be there"),
    ({"event": {"dedup": "soon"}}, "event.dedup", "'soon' is not a duration", ""),
    ({"event": {"max_future": "0s"}}, "event.max_future", "not longer than zero", ""),
    ({"event": {"max_bytes": 1}}, "event.max_bytes", "1 bytes", "2 to 917504"),
    ({"event": {"id": None}}, "features.rate", "needs an event id", "Declare `event.id`"),
    ({"labels": None}, "features.rate", "label_rate needs labels", "Declare `labels"),
    ({"lists": (ValueList(name="blocked"),) * 2}, "lists.blocked", "declared twice", "one"),
    ({"lists": (ValueList(name="blocked", file="/no/such"),)}, "lists.blocked.file", "No such file", "UTF-8"),
    ({"lists": (ValueList(name="blocked", file="\0"),)}, "lists.blocked.file", "null byte", "UTF-8"),
    ({"lists": (ValueList(name="blocked"), ValueList(name="a b"))}, "lists.a b", "not a list's name", "letters"),
    ({"rules": (Rule(code="big", when="blocked", action=Action.BLOCK),)}, "rules.big", "not a rule code", "upper case"),
    ({"rules": (Rule(code="BB", when="blocked", action=Action.BLOCK),) * 2}, "rules.BB", "code is taken", "of its own"),
    ({"rules": (MODEL_RULE,)}, "rules.MODEL_SCORE", "taken", "model's"),
    ({"rules": (Rule(code="BB", when="shrae > 1", action=Action.BLOCK),)}, "rules.BB.when", "'shrae'", "share"),
    ({"rules": (Rule(code="BB", when="blocked", action=Action.SCORE),)}, "rules.BB", "without a score", "0 to 1"),
    ({"rules": (Rule(code="BB", when="blocked", action=Action.BLOCK, score=2),)}, "rules.BB.score", "2", "0 to 1"),
    ({"model": ModelRef(features=())}, "model.features", "no inputs", "Name"),
    ({"model": ModelRef(features=("amount", "amount"))}, "model.features", "'amount' is given twice", "once"),
    ({"model": ModelRef(features=("shaer",))}, "model.features", "no field or feature 'shaer'", "'share'"),
    ({"model": ModelRef(features=("card",))}, "model.features", "'card' is string", "numbers and booleans"),
    ({"model": ModelRef(features=("amount",), trainer="lgbm")}, "model.trainer", "'lgbm'", "lightgbm"),
    (
        {"model": ModelRef(features=("amount",), parameters={"num_leafs": 16})},
        "model.parameters.num_leafs",
        "lightgbm has no parameter 'num_leafs'",
        "Did you mean 'num_leaves'?",
    ),
    (
        {"model": ModelRef(features=("amount",), parameters={"max_bin": 5_000})},
        "model.parameters.max_bin",
        "5000 is not allowed",
        "Give a whole number from 2 to 4,095.",
    ),
    (
        {"model": ModelRef(features=("amount",), parameters={"learning_rate": 0})},
        "model.parameters.learning_rate",
        "0 is not allowed",
        "Give a number above 0, at most 1.",
    ),
    (
        {"model": ModelRef(features=("amount",), parameters={"extra_trees": 1})},
        "model.parameters.extra_trees",
        "1 is not allowed",
        "Give true or false.",
    ),
    (
        {"model": ModelRef(features=("amount",), parameters={"fraud_weight": "heavy"})},
        "model.parameters.fraud_weight",
        "'heavy' is not allowed",
        "Give `balanced`, or a number above 0",
    ),
    (
        {"model": ModelRef(features=("amount",), trainer="sklearn:os.system")},
        "model.trainer",
        "unknown trainer 'sklearn:os.system'",
        "xgboost",
    ),
    (
        {"model": ModelRef(features=("amount",), trainer="isolation_forest", parameters={"rounds": 9})},
        "model.parameters.rounds",
        "isolation_forest has no parameter 'rounds'",
        "sample, trees",
    ),
    ({"model": ModelRef(features=("amount",), missing=float("nan"))}, "model.missing", "nan", "-1"),
    ({"model": ModelRef(features=("amount",), name="A b")}, "model.name", "'A b'", "dashes"),
    ({"policy": Policy(high=0.2)}, "policy", "high 0.2", "rise from 0 to 1"),
    ({"retention": Retention(alerts="36h")}, "retention.alerts", "whole days", "2w"),
    ({"retention": Retention(events="soon")}, "retention.events", "not a duration", ""),
    ({"retention": Retention(topics=(("other", "9d"),))}, "retention.topics.other", "no topic whose records", ""),
    ({"retention": Retention(topics=(("fraud-control", "9d"),))}, "retention.topics.fraud-control", "no topic", ""),
    ({"retention": Retention(topics=(("tx", "soon"),))}, "retention.topics.tx", "not a duration", ""),
    ({"retention": Retention(topics=(("tx", "9d"),))}, "retention.topics.tx", "features look back, 10d", "longer"),
    ({"retention": Retention(topics=(("labels", "9d"),))}, "retention.topics.labels", "look back, 10d", "rebuilt"),
    ({"monitor": Limits(recall=1.5)}, "monitor.recall", "1.5", "0 to 1"),
    ({"monitor": Limits(alert_ratio=0.5)}, "monitor.alert_ratio", "0.5", "1 or more"),
    ({"policy": Policy(medium=float("nan"))}, "policy", "nan", "rise"),
    ({"policy": Policy(block_at=0.1)}, "policy", "review at 0.6, block at 0.1", "rise"),
    ({"policy": Policy(budget=Budget(reviews=-1))}, "policy.budget.reviews", "-1 reviews", "0 or more"),
    ({"policy": Policy(costs=Costs(investigation=-2))}, "policy.costs.investigation", "-2", "major unit"),
    ({"policy": Policy(let_through=LetThrough(share=0.6, at_most=5))}, "policy.let_through.share", "0.6", "a sample"),
    ({"policy": Policy(let_through=LetThrough(share=0.1, at_most=0))}, "policy.let_through.at_most", "0", "above 0"),
    ({"policy": Policy(budget=Budget(reviews=9, per="day"))}, "policy.budget.per", "'day' is not", "like 5m or 7d"),
    ({"policy": Policy(precedence=(Stage.MODEL, Stage.MODEL))}, "policy.precedence", "twice", "at most once"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "path", "found", "advice"), OTHER_PROBLEMS)
def test_anything_else_that_is_wrong_is_reported(change: dict, path: str, found: str, advice: str) -> None:
    """Names, topics, fields, roles, lists, rules, model and policy."""
    pipeline = pipeline_of()
    if "event" in change:
        roles = dict(change["event"])
        fields = pipeline.event.fields + roles.pop("fields", ())
        change = {"event": replaced(replaced(pipeline.event, fields=fields), **roles)}
    expect_problem(replaced(pipeline, **change), path, found, advice)


def expect_problem(pipeline, path: str, found: str, advice: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        plan_of(pipeline)
    assert [problem.path for problem in caught.value.problems] == [path]
    assert found in caught.value.problems[0].found + caught.value.problems[0].advice
    assert advice in caught.value.problems[0].advice + caught.value.problems[0].found


def test_an_event_without_fields_is_one_problem() -> None:
    """Not one for every name in the pipeline."""
    bare = replaced(pipeline_of(), event=Event(fields=()), features=(), rules=(), model=None)
    expect_problem(bare, "event.fields", "no fields", "types")


def test_a_slip_is_reported_once_however_much_depends_on_it() -> None:
    """Expressions, rules and models that mention a broken feature are passed over; the rest is still checked."""
    with pytest.raises(DefinitionError) as caught:
        planned(
            ("sum: amount", "sum: speed"),
            ("amount > 100, action", "amuont > 100, action"),
            ("when: blocked", "when: 1"),
        )
    assert [problem.path for problem in caught.value.problems] == ["features.sum_1d.of", "rules.LISTED.when"]


def test_a_circle_does_not_hide_other_problems() -> None:
    """It is named in the order of use, and everything outside it is planned."""
    with pytest.raises(DefinitionError) as caught:
        planned(
            ("ratio(amount, sum_1d)", "doubled + 1"),
            ("  doubled:", "  lost: {expression: nothing + 1}\n  doubled:"),
        )
    paths = {problem.path: problem.found for problem in caught.value.problems}
    assert paths.keys() == {"features.share", "features.lost.expression"}
    assert "share → doubled → share" in paths["features.share"]


def test_an_error_names_its_source() -> None:
    """The file where one was given, else the pipeline."""
    bad = replaced(pipeline_of(), routes=())
    with pytest.raises(DefinitionError, match=r"^pipeline 'card-watch' has 1 problem:\n"):
        plan_of(bad)
    with pytest.raises(DefinitionError, match=r"^x\.yaml has 1 problem:\n"):
        plan_of(bad, "x.yaml")


def test_a_field_inside_another_one_is_a_problem() -> None:
    """`a` and `a.b` cannot both be values."""
    event = Event(
        fields=(
            Field(name="place", path="meta.place", type=FieldType.STRING),
            Field(name="meta", type=FieldType.STRING),
        )
    )
    with pytest.raises(DefinitionError) as caught:
        plan_of(Pipeline(name="inside", event=event, input=Topic(name="in")))
    assert [str(problem) for problem in caught.value.problems] == [
        "event.fields.place.path: 'meta.place' lies inside 'meta', which is a field as well. Read one or the other."
    ]
