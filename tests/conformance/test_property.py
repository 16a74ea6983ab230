"""Whatever the plan and the stream, all engines give every event the oracle's values."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraudstream.define.decision import ValueList
from fraudstream.define.feature import Feature, FeatureKind
from fraudstream.define.pipeline import Pipeline, Topic
from fraudstream.plan.compile import plan_of
from fraudstream.plan.plan import LABEL_KINDS, Plan
from fraudstream.schema.event import Event, Field, FieldType
from fraudstream.testing.cases import EventRow, LabelRow
from fraudstream.testing.compare import same
from fraudstream.testing.places import coordinates_of_cities

from .engines import ENGINES, Rows, duckdb_fast, oracle

SECOND = 1_000
KEYS = st.sampled_from(["X", "Y", None])
"""Few keys, few values and coarse times, so that ties, lateness, copies and expiry are the rule."""
LENGTHS = st.sampled_from(["1s", "2s", "3s", "5s", "9s"])
FILTERS = st.sampled_from(
    [None, "amount > 1", "amount is null", "card = other", "points < 2 or amount >= 3", "not flag", "heat > 0.5"]
)
STEPS = ["amount > 1", "amount <= 1", "flag", "points is not null", "card = 'X'", "heat < 1"]

EVENT = Event(
    id="id",
    time="at",
    dedup="4s",
    fields=(
        Field(name="id", type=FieldType.STRING),
        Field(name="at", type=FieldType.TIMESTAMP),
        Field(name="card", type=FieldType.STRING, required=False),
        Field(name="other", type=FieldType.STRING, required=False),
        Field(name="amount", type=FieldType.DECIMAL, required=False),
        Field(name="points", type=FieldType.INTEGER, required=False),
        Field(name="heat", type=FieldType.FLOAT, required=False),
        Field(name="flag", type=FieldType.BOOLEAN, required=False),
        Field(name="place", type=FieldType.LOCATION, required=False),
    ),
)
OF = {
    FeatureKind.COUNT_ABOVE: ["amount", "points"],
    FeatureKind.SUM: ["amount", "points"],
    FeatureKind.MEAN: ["amount", "points"],
    FeatureKind.STD: ["amount", "points"],
    FeatureKind.MIN: ["amount", "points", "heat"],
    FeatureKind.MAX: ["amount", "points", "heat"],
    FeatureKind.DISTINCT: ["amount", "points", "heat", "flag", "other", "place"],
    FeatureKind.DISTANCE_KM: ["place"],
    FeatureKind.SPEED_KMH: ["place"],
    FeatureKind.IN_LIST: ["card", "points"],
}
NO_OPTIONS = {FeatureKind.FIRST_SEEN, FeatureKind.DISTANCE_KM, FeatureKind.SPEED_KMH, FeatureKind.SEQUENCE}
FILTERED_LABELS = {FeatureKind.LABEL_COUNT, FeatureKind.LABEL_RATE}
CLEAN = {FeatureKind.COUNT, FeatureKind.COUNT_ABOVE, FeatureKind.SUM, FeatureKind.MEAN}
ALL_KINDS = st.sampled_from([kind for kind in FeatureKind if kind is not FeatureKind.EXPRESSION])
LABELLED_KINDS = st.sampled_from(sorted(LABEL_KINDS | CLEAN))
RECENCY = {FeatureKind.SINCE_LAST, FeatureKind.SINCE_FIRST}


@st.composite
def features(draw: st.DrawFn, name: str, kinds: st.SearchStrategy[FeatureKind]) -> Feature:
    kind = draw(kinds)
    of = draw(st.sampled_from(OF[kind])) if kind in OF else None
    if kind is FeatureKind.IN_LIST:
        return Feature(name=name, kind=kind, of=of, list="listed")
    by = draw(st.sampled_from([("card",), ("other",), ("card", "points"), ("other", "card")]))
    takes_where = kind not in NO_OPTIONS | (LABEL_KINDS - FILTERED_LABELS) | {FeatureKind.COUNT_ABOVE}
    is_above = kind is FeatureKind.COUNT_ABOVE
    return Feature(
        name=name,
        kind=kind,
        of=of,
        by=by,
        over=draw(LENGTHS),
        where=draw(FILTERS) if takes_where else None,
        prior=draw(st.booleans()) if (takes_where or is_above) and kind not in RECENCY | LABEL_KINDS else False,
        clean=draw(st.booleans()) if kind in CLEAN else False,
        times=draw(st.sampled_from([0.5, 1.0, 1.5])) if is_above else None,
        mean_over=draw(LENGTHS) if is_above else None,
        delay=draw(LENGTHS) if kind in LABEL_KINDS else None,
        steps=tuple(draw(st.lists(st.sampled_from(STEPS), min_size=2, max_size=3)))
        if kind is FeatureKind.SEQUENCE
        else (),
    )


@st.composite
def plans(draw: st.DrawFn, kinds: st.SearchStrategy[FeatureKind] = ALL_KINDS) -> Plan:
    count = draw(st.integers(1, 4))
    pipeline = Pipeline(
        name="random",
        event=EVENT,
        input=Topic(name="events"),
        labels=Topic(name="labels"),
        lists=(ValueList(name="listed", values=("X", "2")),),
        features=tuple(draw(features(f"f{i}", kinds)) for i in range(count)),
    )
    return plan_of(pipeline)


@st.composite
def places(draw: st.DrawFn) -> dict[str, object]:
    coordinates = st.sampled_from([0.0, 1.0, 45.5, -90.0])
    form = draw(st.sampled_from(["none", "city", "point"]))
    city = draw(st.sampled_from(["Oslo", "Atlantis"])) if form == "city" else None
    point = [draw(coordinates), draw(coordinates)] if form == "point" else [None, None]
    if city is not None:
        point = list(coordinates_of_cities().get(city, point))
    return {"place": city, "place.lat": point[0], "place.lon": point[1]}


@st.composite
def events(draw: st.DrawFn) -> EventRow:
    at = draw(st.integers(0, 15)) * SECOND + draw(st.sampled_from([0, 0, 0, 1, 999]))
    fields = {
        "id": "",
        "at": at,
        "card": draw(KEYS),
        "other": draw(KEYS),
        "amount": draw(st.sampled_from([None, 0, 100, 150, 300, 10**14 - 1])),
        "points": draw(st.sampled_from([None, -1, 2, 3])),
        "heat": draw(st.sampled_from([None, 0.0, 0.75, 1.5])),
        "flag": draw(st.sampled_from([None, False, True])),
        **draw(places()),
    }
    return EventRow(fields=fields, event_at=at, partition=draw(st.integers(0, 1)), offset=0)


def labels(ids: str) -> st.SearchStrategy[LabelRow]:
    times = st.integers(0, 3).map(SECOND.__mul__)
    return st.builds(LabelRow, event_id=st.sampled_from(ids), is_fraud=st.booleans(), labelled_at=times)


def placed(rows: list[EventRow | LabelRow], ids: list[str]) -> list[EventRow | LabelRow]:
    """The rows with ids, and with the events' offsets in their partitions."""
    offsets, given_ids, result = [0, 0], iter(ids), []
    for row in rows:
        if isinstance(row, EventRow):
            fields = {**row.fields, "id": next(given_ids)}
            row = EventRow(fields, row.event_at, row.partition, offsets[row.partition])
            offsets[row.partition] += 1
        result.append(row)
    return result


@st.composite
def streams(draw: st.DrawFn) -> Rows:
    ids = draw(st.sampled_from(["abc", "abcdef", "abcdefghijklmnopqrst"]))
    rows = draw(st.lists(events() | events() | labels(ids), min_size=1, max_size=20))
    return placed(rows, draw(st.lists(st.sampled_from(ids), min_size=len(rows), max_size=len(rows))))


@st.composite
def ordered_streams(draw: st.DrawFn) -> Rows:
    """Events in event-time order without repeated ids, labels anywhere between."""
    drawn = sorted(draw(st.lists(events(), min_size=1, max_size=16)), key=lambda event: event.event_at)
    rows: list[EventRow | LabelRow] = list(drawn)
    for label in draw(st.lists(labels("abcdef"), max_size=6)):
        rows.insert(draw(st.integers(0, len(rows))), label)
    return placed(rows, list("abcdefghijklmnop"))


def check(plan: Plan, rows: Rows, others: dict) -> None:
    expected = oracle(plan, rows)
    for name, engine in others.items():
        answers = engine(plan, rows)
        assert len(answers) == len(expected), name
        for one, other in zip(expected, answers, strict=True):
            assert one[1:] == other[1:], (name, "flags of event", one.sequence)
            for feature, value in one.features.items():
                found = other.features[feature]
                assert same(value, found), (name, "event", one.sequence, feature, "is", found, "not", value)


QUICK = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
OTHERS = {name: engine for name, engine in ENGINES.items() if name != "oracle"}


@QUICK
@given(plans(), streams())
def test_any_stream_gives_the_oracles_values(plan: Plan, rows: Rows) -> None:
    """Random plans over streams full of ties, lateness, copies and labels: every engine is equal to the oracle."""
    check(plan, rows, OTHERS)


@QUICK
@given(plans(LABELLED_KINDS), streams())
def test_any_labels_give_the_oracles_values(plan: Plan, rows: Rows) -> None:
    """Labels that come early, late, twice, corrected or for copies count the same on every engine."""
    check(plan, rows, OTHERS)


@QUICK
@given(plans(), ordered_streams())
def test_fast_sql_gives_the_oracles_values_for_streams_in_order(plan: Plan, rows: Rows) -> None:
    """Window functions agree with the definition wherever they may be used."""
    check(plan, rows, {"duckdb fast": duckdb_fast})
