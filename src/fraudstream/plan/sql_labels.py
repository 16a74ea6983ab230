"""Labels in SQL: which label of an event is believed, and from when to when an event is known as fraud."""

# Nothing here comes from a user but names, which are quoted, and expressions, which were parsed: no injection.
# ruff: noqa: S608

from __future__ import annotations

from fraudstream.plan.plan import KeyedLog, Plan
from fraudstream.plan.sql_measure import quoted


def known_fraud(plan: Plan, labels_table: str) -> dict[str, str]:
    """The CTEs that end in `known_fraud`: the events known as fraud, and for which sequences they are.

    They read `seen`: the events with `text_id`, `newest_event_at` and `is_duplicate`.
    """
    return {
        "first_copies": "SELECT * FROM seen WHERE NOT is_duplicate",
        "known_ids": "SELECT text_id, min(sequence) AS known_from FROM first_copies GROUP BY text_id",
        # Of the labels that came before their event, the one to be believed takes effect right after the event.
        "timed_labels": f"""SELECT text_id, max(struct_pack(labelled_at, is_fraud)) AS label,
      known_from + 1 AS from_sequence, -1 AS position
    FROM {labels_table} JOIN known_ids ON text_id = CAST(event_id AS VARCHAR)
    WHERE sequence <= known_from GROUP BY text_id, known_from
    UNION ALL
    SELECT text_id, struct_pack(labelled_at, is_fraud), sequence, position
    FROM {labels_table} JOIN known_ids ON text_id = CAST(event_id AS VARCHAR) WHERE sequence > known_from""",
        # A label is about the latest first copy of its id; it is ignored once that is too old.
        "live_labels": f"""SELECT label, from_sequence, position, event.sequence AS event_sequence
    FROM timed_labels AS timed
    ASOF JOIN first_copies AS event ON event.text_id = timed.text_id AND timed.from_sequence > event.sequence
    ASOF JOIN (SELECT sequence, newest_event_at FROM seen) AS now ON timed.from_sequence > now.sequence
    WHERE event.event_at > now.newest_event_at - {plan.label_retention_ms}""",
        "believed_labels": """SELECT * FROM live_labels
    QUALIFY NOT coalesce(label <= max(label) OVER (PARTITION BY event_sequence ORDER BY from_sequence, position
      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), false)""",
        "reigns": """SELECT event_sequence, label.is_fraud AS is_fraud, from_sequence,
      lead(from_sequence, 1, 9223372036854775807) OVER (PARTITION BY event_sequence
        ORDER BY from_sequence, position) AS until_sequence
    FROM believed_labels""",
        "known_fraud": """SELECT event.*, from_sequence, until_sequence
    FROM reigns JOIN first_copies AS event ON event.sequence = event_sequence WHERE is_fraud""",
    }


def fraud_counts(log: KeyedLog, source: str) -> str:
    """The query that counts known fraud in the windows of a log's label features, for each event of `source`.

    Known fraud is forgotten `label_retention_ms` before the key's newest that ever was known.
    """
    same_key = " AND ".join(f"fraud.{quoted(name)} = event.{quoted(name)}" for name in log.by)
    counts = ",\n      ".join(
        f"count(*) FILTER (WHERE fraud_at > event_at - {feature.delay_ms + feature.over_ms} "
        f"AND fraud_at <= event_at - {feature.delay_ms}) AS {quoted(feature.name + '.frauds')}"
        for feature in log.features
        if feature.reads_labels
    )
    return f"""SELECT sequence,
      {counts}
    FROM (
      SELECT event.sequence, event.event_at, until_sequence, fraud.event_at AS fraud_at,
        max(fraud.event_at) OVER (PARTITION BY event.sequence) AS newest_fraud_at
      FROM {source} AS event
      JOIN known_fraud AS fraud ON {same_key} AND fraud.from_sequence <= event.sequence
    )
    WHERE sequence < until_sequence AND fraud_at > newest_fraud_at - {log.label_retention_ms}
    GROUP BY sequence"""
