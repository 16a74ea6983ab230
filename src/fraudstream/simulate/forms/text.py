"""How columns become the bytes of JSON lines, whole columns at a time."""

from __future__ import annotations

from io import BytesIO

import polars as pl


def json_lines(frame: pl.DataFrame) -> list[bytes]:
    """Every row as one JSON object, keys in column order."""
    if not len(frame):
        return []
    buffer = BytesIO()
    frame.write_ndjson(buffer)
    return buffer.getvalue().splitlines()


def iso_text(at: pl.Expr) -> pl.Expr:
    """Epoch milliseconds as `2026-11-22T20:00:00.123Z`."""
    return at.cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")


def datetime_text(at: pl.Expr) -> pl.Expr:
    """Instants as `2026-11-22 20:00:00`, with `.123` behind when there are milliseconds."""
    return at.dt.strftime("%Y-%m-%d %H:%M:%S%.3f").str.strip_suffix(".000")
