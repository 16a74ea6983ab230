"""The operational store: decisions, alerts, cases, labels, dead letters, versions, audit, offsets."""

import sqlalchemy as sa
from alembic import op

from fraudstream.store.instant import Instant

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes the tables."""
    _decisions()
    _alerts_and_cases()
    _labels_and_dead_letters()
    _versions_audit_offsets()


def _input() -> list[sa.Column[object]]:
    return [
        sa.Column("pipeline", sa.Text, nullable=False),
        sa.Column("input_topic", sa.Text, nullable=False),
        sa.Column("input_partition", sa.Integer, nullable=False),
        sa.Column("input_offset", sa.BigInteger, nullable=False),
    ]


_INPUT_NAMES = ("pipeline", "input_topic", "input_partition", "input_offset")


def _decisions() -> None:
    op.create_table(
        "decisions",
        *_input(),
        sa.Column("sequence", sa.BigInteger),
        sa.Column("event_id", sa.Text),
        sa.Column("key", sa.Text),
        sa.Column("amount", sa.Numeric),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("score", sa.Float),
        sa.Column("model_score", sa.Float),
        sa.Column("risk_level", sa.Text, nullable=False),
        sa.Column("threshold", sa.Float),
        sa.Column("reasons", sa.JSON, nullable=False),
        sa.Column("rules", sa.JSON),
        sa.Column("features", sa.JSON),
        sa.Column("versions", sa.JSON),
        sa.Column("flags", sa.JSON),
        sa.Column("duplicate_of", sa.JSON),
        sa.Column("event", sa.JSON, nullable=False),
        sa.Column("event_at", Instant),
        sa.Column("decided_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint(*_INPUT_NAMES, "decided_at", name="pk_decisions"),
        postgresql_partition_by="RANGE (decided_at)",
    )
    op.create_index("ix_decisions_event_at", "decisions", ["event_at"])
    op.create_index("ix_decisions_key_event_at", "decisions", ["key", "event_at"])


def _alerts_and_cases() -> None:
    op.create_table(
        "alerts",
        *_input(),
        sa.Column("event_id", sa.Text),
        sa.Column("key", sa.Text),
        sa.Column("amount", sa.Numeric),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("score", sa.Float),
        sa.Column("risk_level", sa.Text, nullable=False),
        sa.Column("reasons", sa.JSON, nullable=False),
        sa.Column("rules", sa.JSON, nullable=False),
        sa.Column("features", sa.JSON, nullable=False),
        sa.Column("versions", sa.JSON, nullable=False),
        sa.Column("event_at", Instant, nullable=False),
        sa.Column("alert_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint(*_INPUT_NAMES, "alert_at", name="pk_alerts"),
    )
    op.create_index("ix_alerts_alert_at", "alerts", ["alert_at"])
    op.create_table(
        "cases",
        sa.Column("case_id", sa.Integer, primary_key=True),
        *_input(),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("assignee", sa.Text),
        sa.Column("verdict", sa.Text),
        sa.Column("note", sa.Text),
        sa.Column("opened_at", Instant, nullable=False),
        sa.Column("changed_at", Instant, nullable=False),
    )
    op.create_index("ix_cases_" + "_".join(_INPUT_NAMES), "cases", _INPUT_NAMES, unique=True)
    op.create_index("ix_cases_status", "cases", ["status"])


def _labels_and_dead_letters() -> None:
    op.create_table(
        "labels",
        sa.Column("pipeline", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("labelled_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("pipeline", "topic", "partition", "offset", name="pk_labels"),
    )
    op.create_index("ix_labels_event_id", "labels", ["event_id"])
    op.create_table(
        "dead_letters",
        sa.Column("pipeline", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("input_topic", sa.Text),
        sa.Column("input_partition", sa.Integer),
        sa.Column("input_offset", sa.BigInteger),
        sa.Column("class", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("input_at", Instant),
        sa.Column("value_length", sa.BigInteger),
        sa.Column("value_sha256", sa.Text),
        sa.PrimaryKeyConstraint("pipeline", "topic", "partition", "offset", name="pk_dead_letters"),
    )
    names = ["input_topic", "input_partition", "input_offset"]
    op.create_index("ix_dead_letters_" + "_".join(names), "dead_letters", names)


def _versions_audit_offsets() -> None:
    op.create_table(
        "versions",
        sa.Column("pipeline", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("recorded_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("pipeline", "kind", "version", name="pk_versions"),
    )
    op.create_table(
        "audit",
        sa.Column("sequence", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("previous_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_audit"),
    )
    op.create_table(
        "sink_offsets",
        sa.Column("sink", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("sink", "topic", "partition", name="pk_sink_offsets"),
    )
