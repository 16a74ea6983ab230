"""Past events as the lake keeps them (`sinks/lake.py`): what topics have long forgotten."""

from __future__ import annotations

import importlib.util

import numpy as np
import polars as pl

from fraudstream.errors import DataError, UsageError
from fraudstream.plan.plan import Plan
from fraudstream.settings import Settings
from fraudstream.training.files import Lines


def lake_source(settings: Settings, plan: Plan) -> Lines:
    """The events of a pipeline that `fraudstream sink lake` kept, ordered as a topic's.

    Raises:
        UsageError: The library is not installed.
        LakeUnreachable: The folder or bucket does not answer.
        DataError: Nothing is kept there.
    """
    if importlib.util.find_spec("deltalake") is None:
        raise UsageError("Reading the lake needs deltalake, which is not installed.", "pip install 'fraudstream[lake]'")
    from fraudstream.sinks.lake import LakeTarget

    table = LakeTarget(settings, plan).tables["events"]
    if not table.exists():
        raise DataError(f"There is no table {table.uri}.", "Fill it with `fraudstream sink lake`, or set lake_url.")
    rows = (
        pl.scan_delta(table.uri)
        .filter((pl.col("topic") == plan.pipeline.input.name) & pl.col("event").is_not_null())
        .select("event", "partition", "offset", at_ms=pl.col("timestamp").dt.epoch("ms"))
        .sort("offset", "partition")
        .collect()
    )
    if not len(rows):
        raise DataError(
            f"{table.uri} has no events of {plan.pipeline.input.name}.", "Fill it with `fraudstream sink lake`."
        )
    lines = [text.encode() for text in rows["event"].to_list()]
    return Lines(f"lake of {plan.pipeline.name}", lines, rows["at_ms"].to_numpy().astype(np.int64))
