"""Plan → DuckDB SQL: every feature of every event of a table, equal to the oracle value for value.

Two queries say the same. The exact one joins each event with its key's history and holds for any stream. The fast one
is for histories that are in event-time order without repeated ids (`disorder_sql` counts what is not): there, each
feature is a window function. The peer query is what a person would write first; it lets events of the same millisecond
see each other, in whatever order they came.

The events' table has one row an event: `sequence` (its place in processing order, from 0), `partition`, `offset`,
`event_at` (epoch ms) and the decoded columns: decimals as BIGINT minor units, timestamps as BIGINT epoch ms. The
labels' table has `event_id`, `is_fraud`, `labelled_at` (epoch ms), `sequence` (how many events were processed before
it) and `position` (its place among all labels).
"""

# Nothing here comes from a user but names, which are quoted, and expressions, which were parsed: no injection.
# ruff: noqa: S608

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fraudstream.define.feature import FeatureKind
from fraudstream.errors import UsageError
from fraudstream.plan.expression_sql import to_sql
from fraudstream.plan.plan import KeyedLog, Plan, PlannedFeature
from fraudstream.plan.sql_labels import known_fraud
from fraudstream.plan.sql_measure import Measure, literal, measures_of, quoted, value_of

OWN_COLUMNS = (
    *("sequence", "partition", "offset", "event_at", "late", "duplicate_of_partition", "duplicate_of_offset"),
    *("text_id", "copy_number", "is_duplicate", "first_at", "first_partition", "first_offset", "newest_event_at"),
    *("at_sequence", "is_itself", "newest_of_key", "forgotten_until", "is_late", "tie_in_key", "place_in_key"),
    *("from_sequence", "until_sequence", "is_known_fraud"),
)
"""The columns the queries need beside the event's own: no field or feature can be written under these names."""
TIES = 1 << 20
"""At most this many events of one key in one millisecond, in the fast query."""


def features_sql(plan: Plan, events_table: str = "events", labels_table: str = "labels", *, fast: bool = False) -> str:
    """The query for `sequence`, `late`, `duplicate_of_partition`, `duplicate_of_offset` and every feature, in order.

    Args:
        plan: The pipeline's plan.
        events_table: The events' table; see this file's docstring for its columns.
        labels_table: The labels' table; only read where the plan has label features.
        fast: Use window functions. Only for events in event-time order per key, without repeated ids.

    Raises:
        UsageError: Two names differ only in upper and lower case, which SQL does not tell apart, or a name is one that
            the query needs for itself; or the pipeline has `max_keys`.
    """
    _check_names(plan)
    if plan.pipeline.max_keys is not None:
        raise UsageError(
            f"The pipeline {plan.pipeline.name} has max_keys: which keys are forgotten depends on all events in turn.",
            "SQL cannot say that. Leave max_keys out for a query; it then gives the values without forgetting.",
        )
    ctes = {"seen": _seen_in_order(plan, events_table) if fast else _seen(plan, events_table)}
    if not fast and plan.pipeline.event.id:
        ctes = _copies(plan, events_table) | ctes
    if plan.label_retention_ms:
        ctes |= known_fraud(plan, labels_table)
    for i, log in enumerate(plan.logs):
        ctes |= _log_in_order(log, i) if fast else _log(log, i)
    return _query(plan, ctes, late="false" if fast else _late(plan))


def peer_sql(plan: Plan, events_table: str = "events") -> str:
    """The plainest window query: `RANGE BETWEEN … PRECEDING AND CURRENT ROW`. It has no label features.

    Equal to `features_sql` except where a key has several events in the same millisecond.
    """
    _check_names(plan)
    columns = [
        f"{_over_range(measure, log)} AS {quoted(measure.name)}"
        for log in plan.logs
        for feature in log.features
        if not feature.reads_labels
        for measure in measures_of(feature)
    ]
    measured = ",\n      ".join(["*", *columns])
    unlabelled = [feature for feature in plan.features if not feature.reads_labels]
    values = ",\n    ".join(["sequence", *(_value(plan, feature) for feature in unlabelled)])
    return f"WITH measured AS (\n    SELECT {measured}\n    FROM {events_table}\n)\nSELECT {values}\nFROM measured"


def disorder_sql(plan: Plan, events_table: str = "events") -> str:
    """The query for `out_of_order` and `repeated_ids`: both are 0 where the fast query holds."""
    out_of_order = [
        f"(SELECT count(*) FROM (SELECT event_at < lag(event_at) "
        f"OVER (PARTITION BY {_names(log.by)} ORDER BY sequence) AS is_older "
        f"FROM {events_table} WHERE {_known(log)}) WHERE is_older)"
        for log in plan.logs
    ]
    event_id = plan.pipeline.event.id
    repeated = f"(SELECT count(*) - count(DISTINCT {quoted(event_id)}) FROM {events_table})" if event_id else "0"
    return f"SELECT {' + '.join(out_of_order) or 0} AS out_of_order, {repeated} AS repeated_ids"


def _check_names(plan: Plan) -> None:
    names = [column.name for column in plan.columns] + [feature.name for feature in plan.features]
    counted = Counter(name.lower() for name in [*names, *OWN_COLUMNS])
    taken = sorted(name for name in names if counted[name.lower()] > 1)
    if taken:
        raise UsageError(
            f"Pipeline {plan.pipeline.name!r} cannot be written as SQL: ambiguous names {', '.join(map(repr, taken))}.",
            f"Names must differ in more than case, and not be one of {', '.join(OWN_COLUMNS)}.",
        )


# ── events ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _copies(plan: Plan, events_table: str) -> dict[str, str]:
    """Follows the copies of each id in processing order: each repeats the first copy so far, or becomes it."""
    horizon = plan.dedup_ms
    return {
        "numbered": f"""SELECT sequence, "partition", "offset", event_at,
      CAST({quoted(plan.pipeline.event.id or "")} AS VARCHAR) AS text_id,
      row_number() OVER (PARTITION BY text_id ORDER BY sequence) AS copy_number,
      max(event_at) OVER (ORDER BY sequence) AS newest_event_at
    FROM {events_table}""",
        "copies": f"""SELECT *, false AS is_duplicate, event_at AS first_at,
      "partition" AS first_partition, "offset" AS first_offset
    FROM numbered WHERE copy_number = 1
    UNION ALL
    SELECT * REPLACE (
      CASE WHEN is_duplicate THEN first_at ELSE event_at END AS first_at,
      CASE WHEN is_duplicate THEN first_partition ELSE "partition" END AS first_partition,
      CASE WHEN is_duplicate THEN first_offset ELSE "offset" END AS first_offset)
    FROM (
      SELECT numbered.*, abs(numbered.event_at - first_at) < {horizon}
        AND first_at > numbered.newest_event_at - {2 * horizon} AS is_duplicate, first_at, first_partition, first_offset
      FROM copies JOIN numbered
        ON numbered.text_id = copies.text_id AND numbered.copy_number = copies.copy_number + 1)""",
    }


def _seen(plan: Plan, events_table: str) -> str:
    if not plan.pipeline.event.id:
        return f"SELECT *, false AS is_duplicate FROM {events_table}"
    return f"""SELECT event.*, text_id, newest_event_at, is_duplicate, first_partition, first_offset
    FROM {events_table} AS event JOIN copies USING (sequence)"""


def _seen_in_order(plan: Plan, events_table: str) -> str:
    event_id = plan.pipeline.event.id
    id_column = f", CAST({quoted(event_id)} AS VARCHAR) AS text_id" if event_id else ""
    newest = ", max(event_at) OVER (ORDER BY sequence) AS newest_event_at" if plan.label_retention_ms else ""
    return f"SELECT *, false AS is_duplicate{id_column}{newest} FROM {events_table}"


# ── history ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _log(log: KeyedLog, i: int) -> dict[str, str]:
    """Exact: every event of the log joined with what its key remembers of those processed before it."""
    return {
        f"log_{i}": f"""SELECT *, newest_of_key - {log.retention_ms} AS forgotten_until,
      NOT is_duplicate AND event_at <= forgotten_until AS is_late
    FROM (SELECT *, max(event_at) FILTER (WHERE NOT is_duplicate)
      OVER (PARTITION BY {_names(log.by)} ORDER BY sequence) AS newest_of_key FROM seen)
    WHERE {_known(log)}""",
        f"pairs_{i}": _pairs(log, i, "NOT past.is_late AND past.event_at > event.forgotten_until"),
        f"measures_{i}": _measured_over_pairs(i, log.features),
    }


def _pairs(log: KeyedLog, i: int, remembered: str) -> str:
    """Each event with each that its key remembered, and whether that was known to be fraud by then; and with itself."""
    same_key = " AND ".join(f"past.{quoted(name)} = event.{quoted(name)}" for name in log.by)
    known, frauds = "false", ""
    if log.label_retention_ms:
        known = "fraud.sequence IS NOT NULL"
        frauds = """
    LEFT JOIN known_fraud AS fraud ON fraud.sequence = past.sequence
      AND fraud.from_sequence <= event.sequence AND fraud.until_sequence > event.sequence"""
    return f"""SELECT event.sequence AS at_sequence, false AS is_itself, {known} AS is_known_fraud, past.*
    FROM log_{i} AS event JOIN log_{i} AS past ON {same_key}
      AND past.sequence < event.sequence AND NOT past.is_duplicate AND past.event_at <= event.event_at
      AND {remembered}{frauds}
    UNION ALL
    SELECT sequence, true, false, * FROM log_{i} WHERE NOT is_duplicate"""


def _measured_over_pairs(i: int, features: Iterable[PlannedFeature]) -> str:
    measures = ",\n      ".join(
        f"{_over_pairs(measure)} AS {quoted(measure.name)}" for f in features for measure in measures_of(f)
    )
    return f"""SELECT event.sequence{"," if measures else ""}
      {measures}
    FROM log_{i} AS event LEFT JOIN pairs_{i} AS past ON past.at_sequence = event.sequence
    GROUP BY event.sequence"""


def _over_pairs(measure: Measure) -> str:
    def name_of(name: str) -> str:
        return f"past.{quoted(name)}"

    conditions = [f"past.event_at > event.event_at - {measure.over_ms + measure.delay_ms}"]
    if measure.delay_ms:
        conditions.append(f"past.event_at <= event.event_at - {measure.delay_ms}")
    if not measure.itself:
        conditions.append("NOT is_itself")
    if measure.where is not None:
        conditions.append(f"({to_sql(measure.where, name_of)})")
    if measure.known is not None:
        conditions.append("is_known_fraud" if measure.known else "NOT is_known_fraud")
    return f"{measure.aggregate(name_of)} FILTER (WHERE {' AND '.join(conditions)})"


def _log_in_order(log: KeyedLog, i: int) -> dict[str, str]:
    """Fast: window functions over `place_in_key`, which orders a key's events by time and, within it, by processing.

    What was known of an event's past when the event came is no column of either: such features join the two.
    """
    measures = "".join(
        f",\n      {_over_places(measure, log)} AS {quoted(measure.name)}"
        for f in log.features
        if not f.reads_labels
        for measure in measures_of(f)
    )
    labelled = tuple(feature for feature in log.features if feature.reads_labels)
    joined = {}
    if labelled:
        look_back_ms = max(feature.look_back_ms for feature in labelled)
        joined = {
            f"pairs_{i}": _pairs(log, i, f"past.event_at > event.event_at - {look_back_ms}"),
            f"known_{i}": _measured_over_pairs(i, labelled),
        }
    return {
        f"log_{i}": f"""SELECT *,
      row_number() OVER (PARTITION BY {_names(log.by)}, event_at ORDER BY sequence) - 1 AS tie_in_key,
      event_at * {TIES} + tie_in_key AS place_in_key
    FROM seen WHERE {_known(log)}""",
        f"measures_{i}": f"SELECT sequence{measures}\n    FROM log_{i}",
        **joined,
    }


def _over_places(measure: Measure, log: KeyedLog) -> str:
    start = f"{(measure.over_ms + measure.delay_ms - 1) * TIES} + tie_in_key PRECEDING"
    end = "CURRENT ROW" if measure.itself else "1 PRECEDING"
    if measure.delay_ms:
        # Up to the last place of the millisecond `delay` ago.
        end = f"{(measure.delay_ms - 1) * TIES + 1} + tie_in_key PRECEDING"
    return _windowed(measure, f"PARTITION BY {_names(log.by)} ORDER BY place_in_key RANGE BETWEEN {start} AND {end}")


def _over_range(measure: Measure, log: KeyedLog) -> str:
    exclude = "" if measure.itself else " EXCLUDE CURRENT ROW"
    window = f"RANGE BETWEEN {measure.over_ms - 1} PRECEDING AND CURRENT ROW{exclude}"
    return _windowed(measure, f"PARTITION BY {_names(log.by)} ORDER BY event_at {window}")


def _windowed(measure: Measure, window: str) -> str:
    where = f" FILTER (WHERE {to_sql(measure.where, quoted)})" if measure.where is not None else ""
    return f"{measure.aggregate(quoted)}{where} OVER ({window})"


# ── the whole ───────────────────────────────────────────────────────────────────────────────────────────────────


def _late(plan: Plan) -> str:
    return " OR ".join(f"coalesce(log_{i}.is_late, false)" for i in range(len(plan.logs))) or "false"


def _value(plan: Plan, feature: PlannedFeature) -> str:
    """A feature's value under its name. Expressions read the features before them by name."""
    if feature.expression is not None:
        value = to_sql(feature.expression, quoted)
    elif feature.kind is FeatureKind.IN_LIST:
        column = quoted(feature.definition.of or "")
        values = next(each.values for each in plan.lists if each.name == feature.definition.list)
        listed = ", ".join(map(literal, values))
        is_listed = f"CAST({column} AS VARCHAR) IN ({listed})" if values else "false"
        value = f"CASE WHEN {column} IS NOT NULL THEN {is_listed} END"
    else:
        null_key = " OR ".join(f"{quoted(name)} IS NULL" for name in feature.definition.by)
        value = f"CASE WHEN NOT ({null_key}) THEN {value_of(feature, plan)} END"
    return f"{value} AS {quoted(feature.name)}"


def _query(plan: Plan, ctes: dict[str, str], late: str) -> str:
    columns = [f"seen.*, {late} AS late"]
    joins = ["seen"]
    for i in range(len(plan.logs)):
        joins.append(f"LEFT JOIN measures_{i} ON measures_{i}.sequence = seen.sequence")
        columns.append(f"measures_{i}.* EXCLUDE (sequence)")
        if "is_late" in late:
            joins.append(f"LEFT JOIN log_{i} ON log_{i}.sequence = seen.sequence")
        if f"known_{i}" in ctes:
            joins.append(f"LEFT JOIN known_{i} ON known_{i}.sequence = seen.sequence")
            columns.append(f"known_{i}.* EXCLUDE (sequence)")
    ctes["measured"] = f"SELECT {', '.join(columns)}\n    FROM {(chr(10) + '    ').join(joins)}"
    copied = "copies" in ctes
    first = [
        f"{f'CASE WHEN is_duplicate THEN first_{what} END' if copied else 'NULL'} AS duplicate_of_{what}"
        for what in ("partition", "offset")
    ]
    values = ",\n  ".join(["sequence, late", *first, *(_value(plan, feature) for feature in plan.features)])
    named = ",\n".join(f"{name} AS (\n    {body}\n)" for name, body in ctes.items())
    return f"WITH RECURSIVE {named}\nSELECT {values}\nFROM measured\nORDER BY sequence"


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(map(quoted, names))


def _known(log: KeyedLog) -> str:
    return " AND ".join(f"{quoted(name)} IS NOT NULL" for name in log.by)
