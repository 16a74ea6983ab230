"""Labels in SQL: which label of an event is believed, and from when to when an event is known as fraud."""

# Nothing here comes from a user but names, which are quoted, and expressions, which were parsed: no injection.
# ruff: noqa: S608

from __future__ import annotations

from fraudstream.plan.plan import Plan


def known_fraud(plan: Plan, labels_table: str) -> dict[str, str]:
    """The CTEs that end in `known_fraud`: the events known as fraud, and for which sequences they are.

    They read `seen`: the events with `text_id`, `newest_event_at` and `is_duplicate`.
    """
    horizon_ms = max(2 * plan.dedup_ms, plan.label_retention_ms)
    return {
        "first_copies": "SELECT * FROM seen WHERE NOT is_duplicate",
        # A label is about the latest first copy of its id, unless that is forgotten: then it waits for the next.
        "told_labels": f"""SELECT CAST(event_id AS VARCHAR) AS label_id, struct_pack(labelled_at, is_fraud) AS label,
      told.sequence AS told_sequence, position, now.newest_event_at AS newest_event_at,
      CASE WHEN event.event_at > now.newest_event_at - {horizon_ms} THEN event.sequence END AS event_sequence
    FROM {labels_table} AS told
    ASOF LEFT JOIN first_copies AS event ON event.text_id = CAST(told.event_id AS VARCHAR)
      AND told.sequence > event.sequence
    ASOF LEFT JOIN (SELECT sequence, newest_event_at FROM seen) AS now ON told.sequence > now.sequence""",
        # Of the labels that waited for an event, the one to be believed takes effect right after it.
        "timed_labels": """SELECT label, told_sequence AS from_sequence, position, event_sequence, newest_event_at
    FROM told_labels WHERE event_sequence IS NOT NULL
    UNION ALL
    SELECT max(label), event.sequence + 1, -1, event.sequence, event.newest_event_at
    FROM (SELECT * FROM told_labels WHERE event_sequence IS NULL) AS waiting
    ASOF JOIN first_copies AS event ON event.text_id = label_id AND told_sequence <= event.sequence
    GROUP BY event.sequence, event.newest_event_at""",
        # Labels of events that are too old are ignored, and so are labels that waited longer than that.
        "live_labels": f"""SELECT label, from_sequence, position, event_sequence
    FROM timed_labels JOIN first_copies AS event ON event.sequence = event_sequence
    WHERE event.event_at > timed_labels.newest_event_at - {plan.label_retention_ms}
      AND (position >= 0 OR label.labelled_at > timed_labels.newest_event_at - {plan.label_retention_ms})""",
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
