"""What SQL measures of a window for each kind of feature, and how the feature's value follows from that.

Exact and fast queries differ only in how a measure reaches its window: a `Measure` does not know.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from fraudstream.define.feature import FeatureKind
from fraudstream.plan.expression import Node
from fraudstream.plan.expression_sql import to_sql
from fraudstream.plan.plan import Plan, PlannedFeature

EARTH_RADIUS_KM = "6371.0088e0"
LONGEST_EXACT_DOUBLE = 2**53

NameOf = Callable[[str], str]


class Measure(NamedTuple):
    """An aggregate over a window of a key's history.

    Attributes:
        name: Its column.
        aggregate: Gives the SQL aggregate, from a function that gives the SQL of a column of history.
        over_ms: The window's length.
        delay_ms: How long before the event the window ends.
        where: The filter on history's events.
        itself: Whether the event itself may be in the window.
        known: True: only events known to be fraud; False: only others; None: all.
    """

    name: str
    aggregate: Callable[[NameOf], str]
    over_ms: int
    delay_ms: int = 0
    where: Node | None = None
    itself: bool = False
    known: bool | None = None


def quoted(name: str) -> str:
    """A name as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as a SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def exact_double(integer: str) -> str:
    """The double nearest to a HUGEINT. DuckDB's own cast rounds twice above 2^53, so big ones go through text."""
    return (
        f"CASE WHEN abs({integer}) <= {LONGEST_EXACT_DOUBLE} THEN CAST({integer} AS DOUBLE) "
        f"ELSE CAST(CAST({integer} AS VARCHAR) AS DOUBLE) END"
    )


def measures_of(feature: PlannedFeature) -> tuple[Measure, ...]:
    """What must be measured for a windowed feature."""
    left_out = False if feature.definition.clean else None

    def measure(
        suffix: str,
        aggregate: Callable[[NameOf], str],
        *,
        itself: bool = True,
        known: bool | None = left_out,
        over_ms: int = feature.over_ms,
    ) -> Measure:
        may_hold_itself = itself and not feature.definition.prior and not feature.delay_ms
        name = f"{feature.name}.{suffix}"
        return Measure(name, aggregate, over_ms, feature.delay_ms, feature.where, may_hold_itself, known)

    def count(name: NameOf) -> str:
        return "count(*)"

    def latest(name: NameOf) -> str:
        return f"max({name('event_at')})"

    of = feature.definition.of or ""
    n = measure("n", lambda name: f"count({name(of)})")
    total = measure("total", lambda name: f"sum({name(of)})")
    squares = measure("squares", lambda name: f"sum(CAST({name(of)} AS HUGEINT) * {name(of)})")
    match feature.kind:
        case FeatureKind.COUNT:
            return (measure("rows", count),)
        case FeatureKind.COUNT_ABOVE:
            of_mean = (each._replace(over_ms=feature.mean_over_ms) for each in (n, total))
            return *of_mean, measure("values", lambda name: f"list({name(of)})")
        case FeatureKind.SUM:
            return (total,)
        case FeatureKind.MEAN:
            return n, total
        case FeatureKind.STD:
            return n, total, squares
        case FeatureKind.MIN:
            return (measure("least", lambda name: f"min({name(of)})"),)
        case FeatureKind.MAX:
            return (measure("greatest", lambda name: f"max({name(of)})"),)
        case FeatureKind.DISTINCT:
            return (measure("distinct", lambda name: f"count(DISTINCT {name(of)})"),)
        case FeatureKind.SINCE_LAST:
            return (measure("last_at", latest, itself=False),)
        case FeatureKind.SINCE_FIRST:
            return (measure("first_at", lambda name: f"min({name('event_at')})", itself=False),)
        case FeatureKind.FIRST_SEEN:
            return (measure("rows", count, itself=False),)
        case FeatureKind.LABEL_COUNT:
            return (measure("frauds", count, known=True),)
        case FeatureKind.LABEL_RATE:
            return measure("rows", count), measure("frauds", count, known=True)
        case FeatureKind.SINCE_FRAUD:
            return (measure("last_at", latest, known=True),)
        case FeatureKind.SINCE_GENUINE:
            return (measure("last_at", latest, known=False),)
        case FeatureKind.FRAUD_RUN | FeatureKind.SINCE_FRAUD_RUN:
            return tuple(measure(each, partial(_latest_first, each)) for each in ("is_known_fraud", "event_at"))
        case FeatureKind.DISTANCE_KM | FeatureKind.SPEED_KMH:
            return (measure("last", lambda name: _last_place(of, name), itself=False),)
        case FeatureKind.SEQUENCE:
            return (measure("steps", lambda name: _steps(feature.steps[:-1], name), itself=False),)
        case _:
            return ()


def value_of(feature: PlannedFeature, plan: Plan) -> str:
    """The SQL of a feature's value from its measures and the event's own columns."""
    of = feature.definition.of or ""
    scale = plan.types[of].scale if of else 0

    def of_measure(suffix: str) -> str:
        return quoted(f"{feature.name}.{suffix}")

    n, total, squares = of_measure("n"), of_measure("total"), of_measure("squares")
    rows, frauds = of_measure("rows"), of_measure("frauds")
    match feature.kind:
        case FeatureKind.SUM:
            return f"CAST(coalesce({total}, 0) AS BIGINT)"
        case FeatureKind.MEAN:
            return f"CASE WHEN {n} > 0 THEN ({exact_double(total)}) / CAST({n} * {10**scale} AS DOUBLE) END"
        case FeatureKind.STD:
            spread = f"(CAST({n} AS HUGEINT) * {squares} - {total} * {total})"
            variance = f"({exact_double(spread)}) / CAST({n} * ({n} - 1) AS DOUBLE)"
            return f"CASE WHEN {n} > 1 THEN sqrt({variance}) / 1e{scale} END"
        case FeatureKind.COUNT_ABOVE:
            limit = f"{feature.definition.times!r}e0 * (({exact_double(total)}) / CAST({n} AS DOUBLE))"
            above = f"lambda value: value IS NOT NULL AND CAST(value AS DOUBLE) > {limit}"
            return f"CASE WHEN {n} > 0 THEN len(list_filter(coalesce({of_measure('values')}, []), {above})) END"
        case FeatureKind.SINCE_LAST | FeatureKind.SINCE_FRAUD | FeatureKind.SINCE_GENUINE:
            return f"event_at - {of_measure('last_at')}"
        case FeatureKind.SINCE_FIRST:
            return f"event_at - {of_measure('first_at')}"
        case FeatureKind.FIRST_SEEN:
            return f"{rows} = 0"
        case FeatureKind.DISTANCE_KM:
            return _distance_km(of, of_measure("last"))
        case FeatureKind.SPEED_KMH:
            last = of_measure("last")
            hours = f"(CAST(greatest(event_at - {last}.event_at, 1000) AS DOUBLE) / 36e5)"
            return f"({_distance_km(of, last)}) / {hours}"
        case FeatureKind.SEQUENCE:
            last_step = f"coalesce({to_sql(feature.steps[-1], quoted)}, false)"
            return f"{last_step} AND {_progress(of_measure('steps'))} = {len(feature.steps) - 1}"
        case FeatureKind.FRAUD_RUN:
            return _run(of_measure("is_known_fraud"))
        case FeatureKind.SINCE_FRAUD_RUN:
            run = _run(of_measure("is_known_fraud"))
            return f"CASE WHEN {run} > 0 THEN event_at - {of_measure('event_at')}[{run}] END"
        case FeatureKind.LABEL_RATE:
            return f"CASE WHEN {rows} > 0 THEN CAST({frauds} AS DOUBLE) / CAST({rows} AS DOUBLE) END"
        case _:
            return quoted(measures_of(feature)[0].name)


def _latest_first(column: str, name: NameOf) -> str:
    """A column of history's events as a list, the latest first."""
    order = ", ".join(f"{name(each)} DESC" for each in ("event_at", "partition", "offset"))
    return f"list({name(column)} ORDER BY {order})"


def _run(flags: str) -> str:
    """How many flags are true before the first that is not; 0 for none."""
    ended = f"list_position({flags}, false) - 1"
    return f"CASE WHEN list_contains({flags}, false) THEN {ended} ELSE coalesce(len({flags}), 0) END"


def _last_place(of: str, name: NameOf) -> str:
    """The greatest (event time, partition, offset) with both coordinates, and these; structs compare in order."""
    latitude, longitude = name(f"{of}.lat"), name(f"{of}.lon")
    parts = {"event_at": name("event_at"), "p": name("partition"), "o": name("offset"), "lat": latitude}
    packed = ", ".join(f"{key} := {value}" for key, value in (parts | {"lon": longitude}).items())
    return f"max(CASE WHEN {latitude} + {longitude} IS NOT NULL THEN struct_pack({packed}) END)"


def _distance_km(of: str, last: str) -> str:
    """The haversine distance from the last known location to the event's; null if either is null."""
    p1, p2 = f"radians({last}.lat)", f"radians({quoted(of + '.lat')})"
    l1, l2 = f"radians({last}.lon)", f"radians({quoted(of + '.lon')})"
    half_p, half_l = f"sin(({p2} - {p1}) / 2e0)", f"sin(({l2} - {l1}) / 2e0)"
    a = f"({half_p} * {half_p} + cos({p1}) * cos({p2}) * ({half_l} * {half_l}))"
    known = f"{last}.lat + {quoted(of + '.lat')} + {quoted(of + '.lon')} IS NOT NULL"
    # least() passes over nulls, so nothing may rest on it to be null.
    return f"CASE WHEN {known} THEN 2e0 * {EARTH_RADIUS_KM} * asin(sqrt(least(1e0, {a}))) END"


def _steps(steps: tuple[Node, ...], name: NameOf) -> str:
    """For each event of history, in its order, the steps it satisfies as bits: step i is bit i."""
    bits = " + ".join(f"CASE WHEN {to_sql(step, name)} THEN {1 << i} ELSE 0 END" for i, step in enumerate(steps))
    order = ", ".join(name(column) for column in ("event_at", "partition", "offset"))
    return f"list({bits} ORDER BY {order})"


def _progress(steps: str) -> str:
    """How many steps were completed in order: each event completes the next one if its bit for it is set."""
    return f"list_reduce(coalesce({steps}, []), lambda done, bits: done + ((bits >> done) & 1), 0)"
