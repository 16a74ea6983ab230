"""The outbox of notifications."""

import sqlalchemy as sa
from alembic import op

from fraudstream.store.instant import Instant

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "notifications",
        sa.Column("notification_id", sa.Text, nullable=False),
        sa.Column("notifier", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("belongs_to", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("risk_level", sa.Text, nullable=False),
        sa.Column("alerts", sa.Integer, nullable=False),
        sa.Column("repeats", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("due_at", Instant, nullable=False),
        sa.Column("attempted_at", Instant),
        sa.Column("sent_at", Instant),
        sa.Column("title", sa.Text),
        sa.Column("body", sa.Text),
        sa.Column("last_error", sa.Text),
        sa.PrimaryKeyConstraint("notification_id", name="pk_notifications"),
    )
    names = ["notifier", "channel", "state", "due_at"]
    op.create_index("ix_notifications_" + "_".join(names), "notifications", names)
    op.create_table(
        "notification_alerts",
        sa.Column("notification_id", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("notification_id", "position", name="pk_notification_alerts"),
    )
    op.create_table(
        "notification_repeats",
        sa.Column("notifier", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("told_at", Instant, nullable=False),
        sa.Column("left_out", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("notifier", "channel", "subject", name="pk_notification_repeats"),
    )
