"""Delta or Iceberg for the lake: 50 appends of 2,000 decisions each, offsets committed with every one.

    uv pip install --target FOLDER deltalake 'pyiceberg[sql-sqlite,pyarrow]'
    PYTHONPATH=FOLDER python -m bench.lake

pyiceberg is no dependency of the project. Writes bench/lake.json; decision 0014 is drawn from it.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

RESULT = Path(__file__).with_name("lake.json")
APPENDS, ROWS = 50, 2_000
PARTITIONS = range(6)


def frames() -> list[pl.DataFrame]:
    """Rows as wide as decisions are."""
    features = json.dumps({f"feature_{n}": n * 1.25 for n in range(25)})
    return [
        pl.DataFrame(
            {
                "partition": [n % 6 for n in range(ROWS)],
                "offset": list(range(number * ROWS, (number + 1) * ROWS)),
                "score": [n / ROWS for n in range(ROWS)],
                "features": [features.replace("1.25", str(n)) for n in range(ROWS)],
                "day": ["2026-01-01"] * ROWS,
            }
        )
        for number in range(APPENDS)
    ]


def measured(append: Callable[[pl.DataFrame, int], object], folder: Path) -> dict[str, Any]:
    """Every append's time, and what lies in the folder afterwards."""
    times, cpu_s = [], time.process_time()
    for number, frame in enumerate(frames()):
        started = time.perf_counter()
        append(frame, number * ROWS)
        times.append(1_000 * (time.perf_counter() - started))
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        "append_ms_median": round(statistics.median(times), 1),
        "append_ms_of_last_ten": round(statistics.median(times[-10:]), 1),
        "cpu_s": round(time.process_time() - cpu_s, 2),
        "files": len(files),
        "megabytes": round(sum(path.stat().st_size for path in files) / 1e6, 1),
    }


def delta(folder: Path) -> dict[str, Any]:
    """Delta: offsets as the application's transactions; compaction and vacuum are the library's."""

    def append(frame: pl.DataFrame, offset: int) -> None:
        moved = CommitProperties(app_transactions=[Transaction(f"sink/scores/{p}", offset) for p in PARTITIONS])
        write_deltalake(folder, frame, mode="append", partition_by=["day"], commit_properties=moved)

    result = measured(append, folder)
    table = DeltaTable(folder)
    started = time.perf_counter()
    table.optimize.compact()
    result["compaction_ms"] = round(1_000 * (time.perf_counter() - started), 1)
    result["data_files_then"] = len(table.file_uris())
    return result | {"version": version("deltalake")}


def iceberg(folder: Path) -> dict[str, Any]:
    """Iceberg: offsets as properties of the snapshot; a catalog in SQLite; the library has no compaction."""
    from pyiceberg.catalog.sql import SqlCatalog

    catalog = SqlCatalog("lake", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}")
    catalog.create_namespace("fraud")
    table = catalog.create_table("fraud.decisions", schema=frames()[0].to_arrow().schema)

    def append(frame: pl.DataFrame, offset: int) -> None:
        table.append(frame.to_arrow(), snapshot_properties={f"sink/scores/{p}": str(offset) for p in PARTITIONS})

    result = measured(append, folder)
    can_compact = any("compact" in name or "rewrite" in name for name in dir(table.maintenance))
    return result | {"library_can_compact": can_compact, "version": version("pyiceberg")}


def main() -> None:
    """Measures both and writes the result."""
    result: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": "python -m bench.lake",
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "appends": APPENDS,
        "rows_each": ROWS,
    }
    for name, bench in (("delta", delta), ("iceberg", iceberg)):
        with tempfile.TemporaryDirectory() as folder:
            result[name] = bench(Path(folder))
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
