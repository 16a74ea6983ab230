"""Indices for whoever looks at a stretch of time: all of its decisions, and those that were flagged."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Makes the indices."""
    op.create_index("ix_decisions_decided_at", "decisions", ["decided_at"], postgresql_using="brin")
    flagged = sa.text("outcome <> 'approve'")
    op.create_index(
        "ix_decisions_flagged", "decisions", ["pipeline", "decided_at"], postgresql_where=flagged, sqlite_where=flagged
    )
