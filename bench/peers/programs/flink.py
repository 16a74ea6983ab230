"""Flink SQL by PyFlink: OVER windows in three nested queries, since those of one query must share one window.

python flink.py BOOTSTRAP INPUT OUTPUT GROUP STATE_FOLDER CONNECTOR_JAR
"""

from __future__ import annotations

import sys

from pyflink.table import EnvironmentSettings, TableEnvironment

BOOTSTRAP, SOURCE, TARGET, GROUP, STATE_FOLDER, JAR = sys.argv[1:]

INPUT = f"""
CREATE TABLE transactions (
  TRANSACTION_ID BIGINT, TX_DATETIME TIMESTAMP(3), CUSTOMER_ID BIGINT, TERMINAL_ID BIGINT, TX_AMOUNT DECIMAL(12, 2),
  WATERMARK FOR TX_DATETIME AS TX_DATETIME
) WITH (
  'connector' = 'kafka', 'topic' = '{SOURCE}', 'properties.bootstrap.servers' = '{BOOTSTRAP}',
  'properties.group.id' = '{GROUP}', 'scan.startup.mode' = 'group-offsets',
  'properties.auto.offset.reset' = 'earliest', 'format' = 'json', 'json.timestamp-format.standard' = 'SQL'
)"""
OUTPUT = f"""
CREATE TABLE decisions (
  TRANSACTION_ID BIGINT, TX_DATETIME TIMESTAMP(3), CUSTOMER_ID BIGINT, TERMINAL_ID BIGINT, TX_AMOUNT DECIMAL(12, 2),
  count_1h BIGINT, sum_1h DECIMAL(38, 2), count_1d BIGINT, sum_1d DECIMAL(38, 2), terminal_count_1d BIGINT,
  flagged BOOLEAN
) WITH (
  'connector' = 'kafka', 'topic' = '{TARGET}', 'properties.bootstrap.servers' = '{BOOTSTRAP}', 'format' = 'json',
  'key.format' = 'json', 'key.fields' = 'CUSTOMER_ID', 'json.timestamp-format.standard' = 'SQL',
  'sink.delivery-guarantee' = 'at-least-once'
)"""
# A window of fraudstream is open at its far end, Flink's is closed: a millisecond less makes them the same.
HOUR = "RANGE BETWEEN INTERVAL '59:59.999' MINUTE TO SECOND(3) PRECEDING AND CURRENT ROW"
DAY = "RANGE BETWEEN INTERVAL '23:59:59.999' HOUR TO SECOND(3) PRECEDING AND CURRENT ROW"
QUERY = f"""
INSERT INTO decisions
SELECT TRANSACTION_ID, TX_DATETIME, CUSTOMER_ID, TERMINAL_ID, TX_AMOUNT, count_1h, sum_1h, count_1d, sum_1d,
  COUNT(*) OVER (PARTITION BY TERMINAL_ID ORDER BY TX_DATETIME {DAY}), TX_AMOUNT > 220
FROM (
  SELECT *,
    COUNT(*) OVER (PARTITION BY CUSTOMER_ID ORDER BY TX_DATETIME {DAY}) AS count_1d,
    SUM(TX_AMOUNT) OVER (PARTITION BY CUSTOMER_ID ORDER BY TX_DATETIME {DAY}) AS sum_1d
  FROM (
    SELECT *,
      COUNT(*) OVER (PARTITION BY CUSTOMER_ID ORDER BY TX_DATETIME {HOUR}) AS count_1h,
      SUM(TX_AMOUNT) OVER (PARTITION BY CUSTOMER_ID ORDER BY TX_DATETIME {HOUR}) AS sum_1h
    FROM transactions
  )
)"""


def main() -> None:
    """Runs until killed."""
    environment = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    for name, value in {
        "pipeline.jars": f"file://{JAR}",
        "parallelism.default": "1",
        "execution.checkpointing.interval": "10 s",
        "execution.checkpointing.dir": f"file://{STATE_FOLDER}",
    }.items():
        environment.get_config().set(name, value)
    environment.execute_sql(INPUT)
    environment.execute_sql(OUTPUT)
    environment.execute_sql(QUERY).wait()


if __name__ == "__main__":
    main()
