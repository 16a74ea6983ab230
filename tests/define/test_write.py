"""A pipeline written as YAML reads back to the same value."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudstream.define.aims import Budget, Costs, LetThrough
from fraudstream.define.decision import Action, ModelRef, Policy, Reason, Rule, Stage, ValueList
from fraudstream.define.fallback import By, Fallback
from fraudstream.define.feature import Feature, FeatureKind
from fraudstream.define.load import parse_definition
from fraudstream.define.monitoring import Limits
from fraudstream.define.pipeline import Form, Pipeline, Route, Selection, Topic
from fraudstream.define.retention import Retention
from fraudstream.define.write import to_yaml
from fraudstream.pipelines import find_pipeline, names
from fraudstream.schema.event import Event, Field, FieldType, TimeFormat

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), max_size=12) | st.sampled_from(
    ["null", "~", "no", "true", "1", "1.0", "${A}", "$${A:-b}", "a: b", "#", "- x", "{over}", "'", '"', "0x1", " a "]
)
NAMES = st.text("abcdefgh_", min_size=1, max_size=8)
SCORES = st.floats(0, 1)


def optional(values: st.SearchStrategy[str]) -> st.SearchStrategy[str | None]:
    return st.none() | values


FIELDS = st.builds(
    Field,
    name=NAMES,
    type=st.sampled_from([kind for kind in FieldType if kind not in (FieldType.DECIMAL, FieldType.TIMESTAMP)]),
    path=optional(TEXTS),
    required=st.booleans(),
    sensitive=st.booleans(),
) | st.one_of(
    st.builds(Field, name=NAMES, type=st.just(FieldType.DECIMAL), scale=st.integers(0, 9), required=st.booleans()),
    st.builds(Field, name=NAMES, type=st.just(FieldType.TIMESTAMP), format=st.sampled_from(TimeFormat)),
)
WINDOWED = st.builds(
    Feature,
    name=NAMES,
    kind=st.sampled_from([k for k in FeatureKind if k not in (FeatureKind.EXPRESSION, FeatureKind.SEQUENCE)]),
    of=optional(NAMES),
    by=st.lists(NAMES, max_size=2).map(tuple),
    over=optional(st.just("7d")),
    where=optional(TEXTS),
    prior=st.booleans(),
    delay=optional(st.just("1d")),
    list=optional(NAMES),
    description=TEXTS,
)
OTHERS = st.builds(
    Feature, name=NAMES, kind=st.just(FeatureKind.SEQUENCE), steps=st.lists(TEXTS, min_size=1, max_size=3).map(tuple)
) | st.builds(Feature, name=NAMES, kind=st.just(FeatureKind.EXPRESSION), expression=TEXTS)


def unique(values: st.SearchStrategy[object], key: str) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(values, max_size=4, unique_by=lambda value: getattr(value, key)).map(tuple)


PARAMETERS = (
    st.booleans()
    | st.none()
    | st.integers(-(10**17), 10**17)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | st.just("1e5")
)
TOPICS = st.builds(Topic, name=TEXTS, partitions=st.integers(1, 9))
PIPELINES = st.builds(
    Pipeline,
    max_keys=st.none() | st.integers(1, 10**9),
    name=TEXTS,
    description=TEXTS,
    event=st.builds(
        Event, fields=unique(FIELDS, "name").filter(bool), id=optional(NAMES), time=optional(NAMES), dedup=st.just("1h")
    ),
    input=TOPICS,
    labels=st.none() | TOPICS,
    dead_letters=TOPICS,
    control=TOPICS,
    shadow=TOPICS,
    routes=st.lists(
        st.builds(
            Route,
            topic=TEXTS,
            carries=st.sampled_from(Selection),
            form=st.sampled_from(Form),
            partitions=st.integers(1, 9),
        ),
        max_size=3,
    ).map(tuple),
    lists=unique(st.builds(ValueList, name=NAMES, values=st.lists(TEXTS, max_size=3).map(tuple)), "name"),
    features=unique(WINDOWED | OTHERS, "name"),
    rules=unique(
        st.builds(
            Rule,
            code=NAMES,
            when=TEXTS,
            action=st.sampled_from(Action),
            score=st.none() | SCORES,
            reason=TEXTS,
            letter=TEXTS,
        ),
        "code",
    ),
    reasons=unique(
        st.builds(Reason, code=NAMES, features=st.lists(NAMES, max_size=3).map(tuple), sentence=TEXTS, letter=TEXTS),
        "code",
    ),
    model=st.none()
    | st.builds(
        ModelRef,
        features=st.lists(NAMES, max_size=3).map(tuple),
        missing=SCORES,
        parameters=st.dictionaries(NAMES, PARAMETERS | st.lists(PARAMETERS, max_size=3).map(tuple), max_size=3),
    ),
    retention=st.builds(
        Retention,
        decisions=st.none() | st.just("400d"),
        events=st.none() | st.just("30d"),
        topics=st.sampled_from([(), (("a", "12h"), ("b.c", "30d"))]),
    ),
    monitor=st.builds(Limits, psi=SCORES, recall=st.none() | SCORES, least_decisions=st.integers(1, 10**9)),
    policy=st.builds(
        Policy,
        medium=SCORES,
        review_at=st.none() | SCORES,
        precedence=st.permutations(list(Stage)).map(tuple),
        fallback=st.lists(
            st.builds(Fallback, by=st.sampled_from(By), review_from=st.none() | SCORES, at_most=st.none() | SCORES),
            min_size=1,
            max_size=2,
        ).map(tuple),
        budget=st.none() | st.builds(Budget, reviews=st.integers(0, 999), per=st.sampled_from(["1d", "1h"])),
        costs=st.none() | st.builds(Costs, investigation=SCORES, missed=st.none() | SCORES),
        let_through=st.none() | st.builds(LetThrough, share=SCORES, at_most=SCORES, per=st.sampled_from(["1d", "7d"])),
    ),
)


@given(PIPELINES)
@settings(max_examples=150, deadline=None)
def test_a_pipeline_written_and_read_is_the_same(pipeline: Pipeline) -> None:
    """Python and YAML make the same values."""
    definition = parse_definition(to_yaml(pipeline), environ={})
    # A pipeline without a name or an input is refused, but still the same.
    assert definition.pipeline == pipeline


@pytest.mark.parametrize("name", names())
def test_a_shipped_pipeline_written_and_read_is_the_same(name: str) -> None:
    """Windows written out, variables filled in."""
    pipeline = find_pipeline(name, environ={})
    definition = parse_definition(to_yaml(pipeline), environ={})
    assert (definition.pipeline, definition.problems) == (pipeline, [])


def test_what_is_written_is_comfortable_to_read() -> None:
    """A feature is one line, fields are short, defaults are left out."""
    text = to_yaml(find_pipeline("terminal-payments", environ={}))
    assert "  customer_count_1d: {count: null, by: CUSTOMER_ID, over: 1d}\n" in text
    assert "    TX_AMOUNT: decimal(2)\n" in text
    assert "policy" not in text
