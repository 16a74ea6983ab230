"""Why a decision was made: the reasons with their sentences and contributions."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds the columns; decisions and alerts from before have none."""
    op.add_column("decisions", sa.Column("explanation", sa.JSON))
    op.add_column("alerts", sa.Column("explanation", sa.JSON))
