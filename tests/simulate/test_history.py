"""Histories of every kind come out in event-time order, keyed, with the truth apart."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import orjson
import polars as pl
import pytest

from fraudstream.errors import DataError, UsageError
from fraudstream.simulate.history import TIME_NAMES, Columns, PastBatch, epoch_ms, guess
from fraudstream.simulate.linehistory import LineHistory
from fraudstream.simulate.tablehistory import TableHistory

FRAME = pl.DataFrame(
    {
        "id": [1, 2, 3],
        "at": [datetime(2026, 1, 2, 3, 4, 5), datetime(2026, 1, 1), datetime(2026, 1, 3, 0, 0, 0, 250_000)],
        "card": ["a", None, "c"],
        "fraud": [0, 1, 0],
    }
)


def only(batches: object) -> PastBatch:
    (batch,) = list(batches)  # type: ignore[call-overload]
    return batch


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_table_is_sent_in_time_order_with_times_as_text_and_the_truth_left_out(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"past.{kind}"
    FRAME.write_parquet(path) if kind == "parquet" else FRAME.write_csv(path, datetime_format="%Y-%m-%d %H:%M:%S%.3f")
    batch = only(TableHistory(path).batches(Columns("at", "card", "fraud", "id", drop=("fraud",))))
    late = "2026-01-03 00:00:00.250"
    first, second = ("2026-01-01 00:00:00", "2026-01-02 03:04:05")
    if kind == "csv":
        first, second = first + ".000", second + ".000"  # text of a CSV stays as it is
    assert [orjson.loads(v) for v in batch.values] == [
        {"id": 2, "at": first, "card": None},
        {"id": 1, "at": second, "card": "a"},
        {"id": 3, "at": late, "card": "c"},
    ]
    assert batch.keys == [None, b"a", b"c"]
    assert batch.is_fraud.tolist() == [True, False, False]
    assert batch.ids is not None
    assert batch.ids.to_list() == [2, 1, 3]
    assert np.diff(batch.event_at_ms).tolist() == [97_445_000, 75_355_250]


def test_lines_pass_through_byte_for_byte_in_time_order_even_those_that_are_not_json(tmp_path: Path) -> None:
    lines = [
        b'{"t":"2026-01-01T00:00:02Z", "k":"a"}',
        b'{"t":"2026-01-01T00:00:01+00:00","k" : 7}\r',
        b"",
        b"not json \xff",
        b'{"t":"2026-01-01T02:00:00.500+02:00","k":null}',
    ]
    path = tmp_path / "past.jsonl"
    path.write_bytes(b"\n".join(lines))
    batch = only(LineHistory(path).batches(Columns(time="t", key="k")))
    assert batch.values == [lines[4], lines[1].rstrip(), lines[3], lines[0]]
    assert batch.keys == [None, b"7", None, b"a"]
    assert np.diff(batch.event_at_ms).tolist() == [500, 0, 1_000]


def test_dropping_a_field_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "past.jsonl"
    path.write_text('{"a":1.50,"truth":1,"b":[1]}\n')
    batch = only(LineHistory(path).batches(Columns(label="truth", drop=("truth",))))
    assert batch.values == [b'{"a":1.5,"b":[1]}']
    assert batch.is_fraud.tolist() == [True]


def test_a_limit_takes_the_earliest(tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "past.parquet")
    batch = only(TableHistory(tmp_path / "past.parquet").batches(Columns(time="at"), limit=2))
    assert [orjson.loads(v)["id"] for v in batch.values] == [2, 1]


def test_an_empty_file_has_no_events(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    assert list(LineHistory(tmp_path / "empty.jsonl").batches(Columns())) == []
    FRAME.head(0).write_parquet(tmp_path / "empty.parquet")
    assert list(TableHistory(tmp_path / "empty.parquet").batches(Columns(time="at"))) == []


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "past.parquet")
    with pytest.raises(UsageError, match=r"no column 'frau'. Did you mean fraud\? Its columns: id, at, card, fraud"):
        list(TableHistory(tmp_path / "past.parquet").batches(Columns(label="frau")))


def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path: Path) -> None:
    (tmp_path / "past.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="cannot be read as parquet"):
        TableHistory(tmp_path / "past.parquet")


def test_a_time_that_is_none_is_refused_with_the_value(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no time in 1 of 2 rows, first 'tomorrow'"):
        epoch_ms(pl.Series("at", ["2026-01-01 00:00:00", "tomorrow"]), tmp_path)


@pytest.mark.parametrize(
    "column",
    [
        pl.Series("at", [1_767_225_600]),
        pl.Series("at", [1_767_225_600_000]),
        pl.Series("at", [1_767_225_600.0]),
        pl.Series("at", ["2026-01-01T00:00:00Z"]),
        pl.Series("at", ["2026-01-01 00:00:00.000"]),
        pl.Series("at", ["2026-01-01T01:00:00+01:00"]),
        pl.Series("at", [datetime(2026, 1, 1)]),
    ],
)
def test_an_instant_is_read_however_it_is_written(column: pl.Series) -> None:
    assert epoch_ms(column, Path("x")).tolist() == [1_767_225_600_000]


def test_the_time_column_is_guessed_by_its_usual_names_in_any_case() -> None:
    assert guess(["TRANSACTION_ID", "TX_DATETIME"], TIME_NAMES) == "TX_DATETIME"
    assert guess(["a", "b"], TIME_NAMES) is None
