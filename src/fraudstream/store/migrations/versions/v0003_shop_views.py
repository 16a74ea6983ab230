"""The schema `shop`: decisions in the layout that dashboards of fraud demos ask for. PostgreSQL only."""

from alembic import op

revision = "0003"
down_revision = "0002"

_TRANSACTIONS = """
CREATE VIEW shop.transactions AS
SELECT
    event_id AS transaction_id,
    key AS user_id,
    amount,
    event_at AS "timestamp",
    event ->> 'location' AS location,
    coalesce(event ->> 'transaction_location', event ->> 'location') AS transaction_location,
    coalesce(event ->> 'device', event ->> 'device_id') AS device,
    coalesce(event ->> 'merchant', event ->> 'merchant_id', event ->> 'merchant_category', event ->> 'terminal_id')
        AS merchant,
    score AS fraud_score,
    outcome <> 'approve' AS is_fraud,
    outcome,
    risk_level,
    reasons,
    pipeline,
    decided_at AS ingested_at,
    event
FROM decisions
"""
_FRAUD_TRANSACTIONS = """
CREATE VIEW shop.fraud_transactions AS
SELECT *, ingested_at AS flagged_at
FROM shop.transactions
WHERE outcome <> 'approve'
"""


def upgrade() -> None:
    """Makes the views."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE SCHEMA shop")
        op.execute(_TRANSACTIONS)
        op.execute(_FRAUD_TRANSACTIONS)
