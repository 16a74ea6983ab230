"""Apache Spark reads the lake: every row and value that was written, after compaction and deletion of old days.

    python -m venv SPARK && SPARK/bin/pip install pyspark==4.0.1
    mvn dependency:copy -Dartifact=io.delta:delta-spark_2.13:4.0.0 -DoutputDirectory=JARS
    mvn dependency:copy -Dartifact=io.delta:delta-storage:4.0.0 -DoutputDirectory=JARS
    mvn dependency:copy -Dartifact=org.antlr:antlr4-runtime:4.13.1 -DoutputDirectory=JARS
    python -m bench.lake_spark SPARK/bin/python JARS

Spark (400 MB) is no dependency of the project. The lake is written by the sink's own code; Polars reads the same tables
beside it. Writes what both found, which must be equal, into bench/lake_spark.json.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from fraudstream.kafka.tail import Record
from fraudstream.pipelines import find_plan
from fraudstream.settings import load_settings
from fraudstream.sinks.lake import LakeTarget

RESULT = Path(__file__).with_name("lake_spark.json")
COMMITS, ROWS, DAY_MS = 20, 1_000, 86_400_000
PIPELINE = """
name: cards
event:
  id: id
  key: card
  amount: amount
  fields: {id: string, card: string, amount: decimal(2)}
input: payments
retention: {decisions: 30d}
features: {card_count_1h: {count: , by: card, over: 1h}}
rules: {HIGH: {when: amount > 900, action: review}}
"""
SPARK = """
import json, sys
from pyspark.sql import SparkSession
spark = (SparkSession.builder.master("local[2]").config("spark.jars", sys.argv[2]).config("spark.ui.enabled", "false")
    .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
    .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
    .config("spark.sql.session.timeZone", "UTC").getOrCreate())
found = {}
for name in ("decisions", "suspicious"):
    spark.read.format("delta").load(f"{sys.argv[1]}/{name}").createOrReplaceTempView(name)
    row = spark.sql(f\"\"\"SELECT count(*) AS rows, count(DISTINCT input_offset) AS offsets, sum(amount) AS amount,
        max(decided_at) AS newest, min(day) AS first_day, sum(get_json_object(features, '$.card_count_1h')) AS counts
        FROM {name}\"\"\").first()
    found[name] = {key: str(value) for key, value in row.asDict().items()}
print(json.dumps({"spark": spark.version, "found": found}))
"""


def record(number: int, at_ms: int) -> Record:
    """A decision as a scorer writes it."""
    place = {"topic": "payments", "partition": 0, "offset": number}
    decision = {
        "event_id": f"e{number}", "input": place, "sequence": number, "score": 0.5, "model_score": None,
        "outcome": "review" if number % 10 == 0 else "approve", "risk_level": "LOW", "threshold": 0.6, "reasons": [],
        "rules": [], "features": {"card_count_1h": number % 7}, "versions": {}, "flags": [], "duplicate_of": None,
        "event_at": at_ms, "decided_at": at_ms,
    }  # fmt: skip
    event = {"id": f"e{number}", "card": f"c{number % 50}", "amount": f"{number}.25"}
    text = json.dumps({"event": event, "decision": decision}).replace(f'"{number}.25"', f"{number}.25")
    return Record("fraud-scores", 0, number, at_ms, b"c0", text.encode())


def written(folder: Path) -> Path:
    """The lake's folder: half of the days are too old to be kept, and small files were joined half-way."""
    (folder / "cards.yaml").write_text(PIPELINE)
    target = LakeTarget(load_settings(environ={}, folder=folder), find_plan(folder / "cards.yaml"))
    for table in target.tables.values():
        table.open([("fraud-scores", 0)])
    now_ms = time.time_ns() // 1_000_000
    for commit in range(COMMITS):
        at_ms = now_ms - (COMMITS - commit) * 3 * DAY_MS
        target.write([record(commit * ROWS + n, at_ms + n) for n in range(ROWS)])
        if commit == COMMITS // 2:
            target.tidy()
    return folder / ".fraudstream" / "lake" / "cards"


def by_polars(lake: Path, name: str) -> dict[str, str]:
    """The same figures, read by Polars."""
    row = (
        pl.scan_delta(str(lake / name))
        .select(
            rows=pl.len(),
            offsets=pl.col("input_offset").n_unique(),
            amount=pl.col("amount").sum(),
            newest=pl.col("decided_at").max().dt.replace_time_zone(None),
            first_day=pl.col("day").min(),
            counts=pl.col("features").str.json_path_match("$.card_count_1h").cast(pl.Float64).sum(),
        )
        .collect()
        .row(0, named=True)
    )
    return {key: str(value) for key, value in row.items()}


def main() -> None:
    """The program."""
    python, jars = sys.argv[1], ",".join(str(jar) for jar in Path(sys.argv[2]).glob("*.jar"))
    with tempfile.TemporaryDirectory() as made:
        lake = written(Path(made))
        command = [python, "-c", SPARK, str(lake), jars]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr[-2_000:])
        spark = json.loads(done.stdout.splitlines()[-1])
        polars = {name: by_polars(lake, name) for name in spark["found"]}
    result: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"), "command": "python -m bench.lake_spark", **spark,
        "equal": spark["found"] == polars,
    }  # fmt: skip
    print(json.dumps(result, indent=2))
    if not result["equal"]:
        sys.exit(f"Polars found {polars}")
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
