"""The tables of the operational store. How they come to be is in `migrations/`; a test holds the two together.

Instants are epoch milliseconds in Python (`Instant`). A row of a topic is known by where its record, or the input
record it is about, stands in Kafka, so every row can be traced back and none can be there twice.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    text,
)
from sqlalchemy import Text as _Text

from fraudstream.store.instant import Instant

metadata = MetaData(
    naming_convention={"pk": "pk_%(table_name)s", "ix": "ix_%(table_name)s_%(column_0_N_name)s"},
)


def _input() -> list[Column[object]]:
    """The pipeline, and the coordinates of the input record that a row is about."""
    return [
        Column("pipeline", _Text, nullable=False),
        Column("input_topic", _Text, nullable=False),
        Column("input_partition", Integer, nullable=False),
        Column("input_offset", BigInteger, nullable=False),
    ]


_INPUT_NAMES = ("pipeline", "input_topic", "input_partition", "input_offset")

_FLAGGED = text("outcome <> 'approve'")

decisions = Table(
    "decisions",
    metadata,
    *_input(),
    Column("sequence", BigInteger),
    Column("event_id", _Text),
    Column("key", _Text),
    Column("amount", Numeric(asdecimal=False)),
    Column("outcome", _Text, nullable=False),
    Column("score", Float),
    Column("model_score", Float),
    Column("risk_level", _Text, nullable=False),
    Column("threshold", Float),
    Column("reasons", JSON, nullable=False),
    Column("rules", JSON),
    Column("explanation", JSON),
    Column("features", JSON),
    Column("versions", JSON),
    Column("flags", JSON),
    Column("duplicate_of", JSON),
    Column("event", JSON, nullable=False),
    Column("event_at", Instant),
    Column("decided_at", Instant, nullable=False),
    PrimaryKeyConstraint(*_INPUT_NAMES, "decided_at"),
    Index(None, "event_at"),
    Index(None, "key", "event_at"),
    Index(None, "decided_at", postgresql_using="brin"),  # rows come in its order, so this costs next to nothing
    Index("ix_decisions_flagged", "pipeline", "decided_at", postgresql_where=_FLAGGED, sqlite_where=_FLAGGED),
    # On PostgreSQL a table of a day each; a key of a partitioned table must hold what it is partitioned by.
    postgresql_partition_by="RANGE (decided_at)",
)
"""What was decided about every event: one row for each input record that became a decision."""

alerts = Table(
    "alerts",
    metadata,
    *_input(),
    Column("event_id", _Text),
    Column("key", _Text),
    Column("amount", Numeric(asdecimal=False)),
    Column("outcome", _Text, nullable=False),
    Column("score", Float),
    Column("risk_level", _Text, nullable=False),
    Column("reasons", JSON, nullable=False),
    Column("rules", JSON, nullable=False),
    Column("explanation", JSON),
    Column("features", JSON, nullable=False),
    Column("versions", JSON, nullable=False),
    Column("event_at", Instant, nullable=False),
    Column("alert_at", Instant, nullable=False),
    PrimaryKeyConstraint(*_INPUT_NAMES, "alert_at"),
    Index(None, "alert_at"),
)
"""What a person has to look at; sensitive ids and keys are tokens."""

cases = Table(
    "cases",
    metadata,
    Column("case_id", Integer, primary_key=True),
    *_input(),
    Column("status", _Text, nullable=False),
    Column("assignee", _Text),
    Column("verdict", _Text),
    Column("note", _Text),
    Column("opened_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Index(None, *_INPUT_NAMES, unique=True),
    Index(None, "status"),
)
"""The work on an alert: who has it, how it stands, and what it came to."""

labels = Table(
    "labels",
    metadata,
    Column("pipeline", _Text, nullable=False),
    Column("topic", _Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("event_id", _Text, nullable=False),
    Column("label", _Text, nullable=False),
    Column("labelled_at", Instant, nullable=False),
    PrimaryKeyConstraint("pipeline", "topic", "partition", "offset"),
    Index(None, "event_id"),
)
"""What was found out about events, as it came; of several labels of one event the latest is believed."""

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("pipeline", _Text, nullable=False),
    Column("topic", _Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("input_topic", _Text),
    Column("input_partition", Integer),
    Column("input_offset", BigInteger),
    Column("class", _Text, nullable=False),
    Column("reason", _Text, nullable=False),
    Column("input_at", Instant),
    Column("value_length", BigInteger),
    Column("value_sha256", _Text),
    PrimaryKeyConstraint("pipeline", "topic", "partition", "offset"),
    Index(None, "input_topic", "input_partition", "input_offset"),
)
"""What could not become a decision, and why; the bytes themselves stay on the topic."""

versions = Table(
    "versions",
    metadata,
    Column("pipeline", _Text, nullable=False),
    Column("kind", _Text, nullable=False),
    Column("version", _Text, nullable=False),
    Column("content", _Text, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    PrimaryKeyConstraint("pipeline", "kind", "version"),
)
"""What stood behind each version that decisions carry: kind `pipeline` (YAML), `rules` and `lists` (JSON)."""

audit = Table(
    "audit",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("actor", _Text, nullable=False),
    Column("action", _Text, nullable=False),
    Column("subject", _Text, nullable=False),
    Column("detail", _Text, nullable=False),
    Column("previous_hash", _Text, nullable=False),
    Column("hash", _Text, nullable=False),
)
"""Who changed what: each entry holds the hash of the one before it (`store/audit.py`)."""

sink_offsets = Table(
    "sink_offsets",
    metadata,
    Column("sink", _Text, nullable=False),
    Column("topic", _Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("next_offset", BigInteger, nullable=False),
    PrimaryKeyConstraint("sink", "topic", "partition"),
)
"""How far each sink has come: written in the transaction that holds the rows, so the two cannot disagree."""

notifications = Table(
    "notifications",
    metadata,
    Column("notification_id", _Text, primary_key=True),
    Column("notifier", _Text, nullable=False),
    Column("channel", _Text, nullable=False),
    Column("belongs_to", _Text, nullable=False),
    Column("state", _Text, nullable=False),
    Column("risk_level", _Text, nullable=False),
    Column("alerts", Integer, nullable=False),
    Column("repeats", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("attempted_at", Instant),
    Column("sent_at", Instant),
    Column("title", _Text),
    Column("body", _Text),
    Column("last_error", _Text),
    Index(None, "notifier", "channel", "state", "due_at"),
)
"""The outbox: what is to be told, was told, or could not be; `state` is `waiting`, `sent` or `failed`."""

notification_alerts = Table(
    "notification_alerts",
    metadata,
    Column("notification_id", _Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("document", _Text, nullable=False),
    PrimaryKeyConstraint("notification_id", "position"),
)
"""The alerts of each notification, in the order they came."""

notification_repeats = Table(
    "notification_repeats",
    metadata,
    Column("notifier", _Text, nullable=False),
    Column("channel", _Text, nullable=False),
    Column("subject", _Text, nullable=False),
    Column("told_at", Instant, nullable=False),
    Column("left_out", Integer, nullable=False),
    PrimaryKeyConstraint("notifier", "channel", "subject"),
)
"""When a channel last heard of a subject (a digest), in the alerts' time, and how many repeats it was spared since."""
