"""The dashboard of who fights fraud: how much there is, where it comes from, and what became of it.

What counts everything is asked of Prometheus; what is about single events, or those flagged, of the store, where an
index finds the flagged ones. Only amounts and what labels say look at every decision of the time shown.
"""

from __future__ import annotations

from panels import (
    GREEN,
    ORANGE,
    PURPLE,
    RED,
    YELLOW,
    Json,
    dashboard,
    prom,
    ranks,
    series,
    shares,
    sql,
    sql_choice,
    stat,
    table,
)

OURS = "pipeline = ${pipeline:sqlstring} AND $__timeFilter(decided_at)"
FLAGGED = "outcome <> 'approve'"
FLAGGED_ONES, APPROVED_ONES = 'outcome!="approve"', 'outcome="approve"'
IS_FLAGGED = "CASE WHEN outcome = 'approve' THEN 'legitimate' ELSE 'flagged' END"
NEWEST_LABELS = """
SELECT DISTINCT ON (event_id) event_id, label
    FROM labels
    WHERE pipeline = ${pipeline:sqlstring}
    ORDER BY event_id, labelled_at DESC
"""
LEVELS = ("LOW", "MEDIUM", "HIGH", "CRITICAL")
PLACES = [
    "transaction_location",
    "location",
    "city",
    "country",
    "region",
    "merchant_category",
    "merchant",
    "TERMINAL_ID",
]
DEVICES = ["device", "device_id", "ip", "channel", "card_hash", "user_id", "source", "CUSTOMER_ID"]


def fields(preferred: list[str]) -> str:
    """The members of the pipeline's events: those preferred, then those by which most events have company."""
    names = ", ".join(f"'{name}'" for name in preferred)
    return f"""
        SELECT field.key FROM (
            SELECT event FROM decisions WHERE {OURS} LIMIT 500
        ) AS newest, json_each_text(event) AS field
        GROUP BY field.key
        ORDER BY array_position(ARRAY[{names}], field.key) NULLS LAST, count(DISTINCT field.value), field.key
    """


def total(select: str, tables: str = "decisions", where: str = OURS) -> Json:
    """A single number from the store."""
    return sql(f"SELECT {select}\nFROM {tables}\nWHERE {where}")


def counts(conditions: dict[str, str], tables: str, where: str) -> Json:
    """A row of how many rows of the store meet each condition, by its name."""
    columns = ",\n".join(
        f'    count(*) FILTER (WHERE {condition}) AS "{name}"' for name, condition in conditions.items()
    )
    return sql(f"SELECT\n{columns}\nFROM {tables}\nWHERE {where}")


def decided(which: str) -> str:
    """How many decisions there were in the time shown, of those with the labels."""
    return f'sum(increase(fraudstream_decisions_total{{pipeline="$pipeline",{which}}}[$__range]))'


def over_time(metric: str, value: str, where: str = OURS) -> Json:
    """A number for each stretch of time, by a name."""
    return sql(
        f"""
SELECT $__timeGroupAlias(decided_at, $__interval), {metric} AS metric, {value} AS value
FROM decisions
WHERE {where}
GROUP BY 1, 2
ORDER BY 1, 2
""",
        "time_series",
    )


def by_field(variable: str) -> Json:
    """The values of a member of the event with most flagged events."""
    return sql(f"""
SELECT coalesce(event ->> ${{{variable}:sqlstring}}, '(none)') AS "of", count(*) AS flagged
FROM decisions
WHERE {OURS} AND {FLAGGED}
GROUP BY 1
ORDER BY 2 DESC, 1
LIMIT 10
""")


def at_a_glance() -> list[Json]:
    """What is looked at first."""
    caught = "count(*) FILTER (WHERE outcome <> 'approve')::float / nullif(count(*), 0)"
    known = f"decisions JOIN ({NEWEST_LABELS.strip()}) AS known USING (event_id)"
    return [
        stat("Decisions", prom(decided(""), instant=True), width=3, about="Events that were decided."),
        stat(
            "Flagged",
            total("count(*)", where=f"{OURS} AND {FLAGGED}"),
            width=3,
            steps=[(None, ORANGE)],
            about="Decisions to review or to block.",
        ),
        stat(
            "Alert rate",
            prom(f"{decided(FLAGGED_ONES)} / {decided('')}", instant=True),
            unit="percentunit",
            decimals=2,
            width=3,
            steps=[(None, ORANGE)],
            about="Which part of the events was flagged.",
        ),
        stat(
            "Blocked",
            total("count(*)", where=f"{OURS} AND outcome = 'block'"),
            width=3,
            steps=[(None, RED)],
            about="Decisions to block.",
        ),
        stat(
            "Amount flagged",
            total("sum(amount)", where=f"{OURS} AND {FLAGGED}"),
            decimals=0,
            width=3,
            steps=[(None, RED)],
            about="The sum of the amounts of what was flagged, in the pipeline's own currency.",
        ),
        stat(
            "Known frauds",
            total("count(*)", known, f"{OURS} AND label = 'fraud'"),
            width=3,
            steps=[(None, PURPLE)],
            about="Events decided in this time of which a label says by now that they were fraud.",
        ),
        stat(
            "Of them flagged",
            total(caught, known, f"{OURS} AND label = 'fraud'"),
            unit="percentunit",
            decimals=0,
            width=3,
            steps=[(None, RED), (0.5, ORANGE), (0.8, GREEN)],
            about="The recall of the alerts, as far as labels have come.",
        ),
        stat(
            "Open cases",
            total("count(*)", "cases", "pipeline = ${pipeline:sqlstring} AND status <> 'closed'"),
            width=3,
            steps=[(None, GREEN), (100, ORANGE)],
            about="Alerts that somebody works on, or should, whatever their age.",
        ),
    ]


def trends() -> list[Json]:
    """How it goes over time."""
    return [
        series(
            "Decisions a second by outcome",
            prom(
                'sum by (outcome) (rate(fraudstream_decisions_total{pipeline="$pipeline"}[$__rate_interval]))',
                "{{outcome}}",
            ),
            stacked=True,
            width=12,
            about="Every event has one: approve, review or block.",
        ),
        series(
            "Fraud",
            over_time("outcome", "count(*)", f"{OURS} AND {FLAGGED}"),
            bars=True,
            stacked=True,
            width=12,
            about="How many were reviewed and blocked.",
        ),
        series(
            "Amounts, fraud against legitimate",
            over_time(IS_FLAGGED, "sum(amount)"),
            width=8,
            about="The sum of amounts of what was flagged and of what was approved.",
        ),
        shares(
            "Fraud against legitimate",
            prom(decided(FLAGGED_ONES), "flagged", instant=True),
            prom(decided(APPROVED_ONES), "legitimate", instant=True),
            about="Events that were flagged and those that were approved.",
        ),
        shares(
            "By risk level",
            counts({each: f"risk_level = '{each}'" for each in LEVELS}, "decisions", f"{OURS} AND {FLAGGED}"),
            about="Of what was flagged.",
        ),
        series(
            "Rule hits a minute",
            prom(
                '60 * sum by (code) (rate(fraudstream_rule_hits_total{pipeline="$pipeline"}[$__rate_interval]))',
                "{{code}}",
            ),
            about="Decisions that each rule hit.",
        ),
    ]


def worst() -> list[Json]:
    """Single events."""
    statement = f"""
SELECT decided_at AS "decided", event_id AS "event", key, amount, round(score::numeric, 3) AS score,
    risk_level AS "risk", outcome,
    (SELECT string_agg(reason, ', ') FROM json_array_elements_text(reasons) AS reason) AS reasons,
    event ->> ${{place_field:sqlstring}} AS place, event ->> ${{device_field:sqlstring}} AS device,
    (SELECT label FROM labels
        WHERE labels.pipeline = decisions.pipeline AND labels.event_id = decisions.event_id
        ORDER BY labelled_at DESC LIMIT 1) AS label
FROM decisions
WHERE {OURS} AND {FLAGGED}
ORDER BY decisions.score DESC NULLS LAST, amount DESC NULLS LAST
LIMIT 12
"""
    levels = {
        "MEDIUM": YELLOW,
        "HIGH": ORANGE,
        "CRITICAL": RED,
        "review": ORANGE,
        "block": RED,
        "fraud": RED,
        "legitimate": GREEN,
    }
    mapping = [{"type": "value", "options": {name: {"color": colour} for name, colour in levels.items()}}]
    coloured = {"mappings": mapping, "custom.cellOptions": {"type": "color-text"}}
    columns: dict[str, Json] = dict.fromkeys(("risk", "outcome", "label"), coloured)
    columns |= {
        "decided": {"unit": "dateTimeAsLocal", "custom.width": 160},
        "amount": {"decimals": 2},
        "reasons": {"custom.width": 340},
    }
    return [
        table(
            "Top fraudulent transactions",
            sql(statement),
            columns=columns,
            about="The flagged events with the highest scores, then amounts; `label` is what is known by now.",
        )
    ]


def origins() -> list[Json]:
    """Where it comes from."""
    rules = f"""
SELECT rule, count(*) AS flagged
FROM decisions, json_array_elements_text(CASE json_typeof(rules) WHEN 'array' THEN rules END) AS rule
WHERE {OURS} AND {FLAGGED}
GROUP BY 1
ORDER BY 2 DESC, 1
LIMIT 10
"""
    return [
        ranks(
            "Flagged by $place_field",
            by_field("place_field"),
            about="The variable Place says which member of the event this is.",
        ),
        ranks(
            "Flagged by $device_field",
            by_field("device_field"),
            about="The variable Device says which member of the event this is.",
        ),
        ranks("Flagged by rule", sql(rules), about="Several rules may hit one event; the model alone hits none."),
    ]


def outcomes() -> list[Json]:
    """What became of it."""
    judged = f"""
SELECT outcome, count(*) FILTER (WHERE label = 'legitimate') AS legitimate,
    count(*) FILTER (WHERE label = 'fraud') AS fraud
FROM decisions JOIN ({NEWEST_LABELS.strip()}) AS known USING (event_id)
WHERE {OURS}
GROUP BY 1
ORDER BY array_position(ARRAY['approve', 'review', 'block'], outcome)
"""
    labels = """
SELECT $__timeGroupAlias(labelled_at, $__interval), label AS metric, count(*) AS value
FROM labels
WHERE pipeline = ${pipeline:sqlstring} AND $__timeFilter(labelled_at)
GROUP BY 1, 2
ORDER BY 1, 2
"""
    ends = {"open": "status = 'open'", "working": "status = 'working'"}
    ends |= {each: f"verdict = '{each}'" for each in ("fraud", "legitimate")}
    cases = counts(ends, "cases", "pipeline = ${pipeline:sqlstring} AND $__timeFilter(opened_at)")
    oldest = """
SELECT case_id AS "case", opened_at AS opened, coalesce(assignee, '–') AS assignee, cases.status,
    alerts.risk_level AS risk, alerts.amount
FROM cases LEFT JOIN alerts USING (pipeline, input_topic, input_partition, input_offset)
WHERE pipeline = ${pipeline:sqlstring} AND status <> 'closed'
ORDER BY opened_at
LIMIT 8
"""
    return [
        ranks(
            "What it turned out to be",
            sql(judged),
            width=5,
            height=8,
            stacking="percent",
            about="Decisions of this time, as far as labels have come: fraud that was approved was missed, legitimate "
            "events that were flagged are false alarms.",
        ),
        series(
            "Labels",
            sql(labels, "time_series"),
            bars=True,
            stacked=True,
            width=6,
            about="When labels came, of events of any age.",
        ),
        shares("Cases", cases, about="Cases opened in this time: by verdict where they are closed, else by status."),
        table(
            "Oldest open cases",
            sql(oldest),
            width=9,
            height=8,
            columns={"opened": {"unit": "dateTimeAsLocal", "custom.width": 160}, "amount": {"decimals": 2}},
            about="What waits longest for somebody, whatever the time shown.",
        ),
    ]


FRAUD = dashboard(
    "fraud",
    "Fraud",
    "How much fraud there is, where it comes from, and what became of it; from the operational store.",
    "24h",
    [
        sql_choice("pipeline", "Pipeline", "SELECT DISTINCT pipeline FROM versions ORDER BY 1"),
        sql_choice("place_field", "Place", fields(PLACES)),
        sql_choice("device_field", "Device", fields(DEVICES)),
    ],
    [
        ("At a glance", at_a_glance()),
        ("Trends", trends()),
        ("The worst", worst()),
        ("Where it comes from", origins()),
        ("What became of it", outcomes()),
    ],
)
