"""History files become the events the stream would have carried."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fraudstream.errors import DataError, UsageError
from fraudstream.schema.event import Event, Field, FieldType, TimeFormat
from fraudstream.training.history import History

AT = "2026-01-31T08:00:00.123Z"
AT_MS = 1_769_846_400_123
EVENT = Event(
    fields=(
        Field(name="id", type=FieldType.STRING),
        Field(name="count", type=FieldType.INTEGER),
        Field(name="amount", type=FieldType.DECIMAL),
        Field(name="weight", type=FieldType.FLOAT),
        Field(name="online", type=FieldType.BOOLEAN),
        Field(name="at", type=FieldType.TIMESTAMP),
        Field(name="place", type=FieldType.LOCATION),
    ),
    id="id",
    time="at",
)
ROW: dict[str, Any] = {
    "id": "7", "count": 3, "amount": 12.34, "weight": 0.5, "online": True, "at": AT, "place": "Brussels"
}  # fmt: skip


def written(folder: Path, ending: str, **columns: Any) -> Path:
    """A file of one row, with some of its columns changed."""
    path = folder / f"history{ending}"
    frame = pl.DataFrame({name: [value] for name, value in (ROW | columns).items()})
    if ending == ".csv":
        frame.write_csv(path)
    elif ending == ".jsonl":
        frame.write_ndjson(path)
    else:
        frame.write_parquet(path)
    return path


def values(history: History) -> dict[str, float]:
    (batch,) = history.batches()
    assert len(batch) == 1
    found = {name: float(column.as_float()[0]) for name, column in batch.columns.items() if column.high is None}
    return found | {"event_at_ms": float(batch.event_at_ms[0])}


@pytest.mark.parametrize(
    ("ending", "changed"),
    [
        (".parquet", {}),
        (".csv", {}),
        (".jsonl", {}),
        (".parquet", {"at": datetime(2026, 1, 31, 8, 0, 0, 123_000)}),
        (".parquet", {"at": AT_MS}),
        (".csv", {"at": AT_MS}),
        (".parquet", {"at": AT_MS / 1_000}),
        (".parquet", {"amount": Decimal("12.34"), "count": 3.0, "online": 1}),
        (".parquet", {"count": "3", "weight": "0.5", "online": "True", "amount": "12.34"}),
        (".parquet", {"id": 7}),
    ],
)
def test_every_kind_of_file_and_column_gives_the_same_event(
    ending: str, changed: dict[str, Any], tmp_path: Path
) -> None:
    found = values(History(written(tmp_path, ending, **changed), EVENT))
    expected = {"count": 3, "amount": 12.34, "weight": 0.5, "online": 1, "at": AT_MS, "event_at_ms": AT_MS}
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=0)
    assert round(found["place.lat"]) == 51  # the decoder knows the city


def test_a_date_is_its_midnight(tmp_path: Path) -> None:
    assert values(History(written(tmp_path, ".parquet", at=date(2026, 1, 31)), EVENT))["at"] == 1_769_817_600_000


def test_epoch_formats_are_written_as_the_event_reads_them(tmp_path: Path) -> None:
    for form in (TimeFormat.EPOCH_MS, TimeFormat.EPOCH_S):
        event = Event(fields=(Field(name="at", type=FieldType.TIMESTAMP, format=form),), time="at")
        found = values(History(written(tmp_path, ".parquet", at=datetime(2026, 1, 31, 8)), event))
        assert found["at"] == 1_769_846_400_000


def test_a_place_is_a_name_a_struct_or_two_columns_also_from_row_to_row(tmp_path: Path) -> None:
    path = tmp_path / "history.parquet"
    rows = [ROW, ROW | {"place": None, "place_lat": 50.8, "place_lon": 4.3}]
    pl.DataFrame(rows, schema_overrides={"place_lat": pl.Float64, "place_lon": pl.Float64}).write_parquet(path)
    history = History(path, EVENT)
    (batch,) = history.batches()
    np.testing.assert_allclose(batch.columns["place.lat"].as_float(), [50.85, 50.8], atol=0.02)
    assert batch.columns["place"].valid is not None and batch.columns["place"].valid.tolist() == [True, False]
    struct = History(written(tmp_path, ".parquet", place={"lat": 50.8, "lon": 4.3}), EVENT)
    assert values(struct)["place.lat"] == 50.8


def test_a_field_below_another_is_found_by_its_name_or_in_a_struct(tmp_path: Path) -> None:
    nested = Event(fields=(Field(name="n", type=FieldType.INTEGER, path="a.b"), EVENT.fields[5]), time="at")
    for columns in ({"n": 5}, {"a": {"b": 5}}):
        assert values(History(written(tmp_path, ".parquet", **columns), nested))["n"] == 5


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".jsonl"])
def test_columns_may_have_other_names(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"history{ending}"
    pl.read_parquet(written(tmp_path, ".parquet")).rename({"amount": "Betrag", "at": "Wann"}).write_parquet(
        tmp_path / "renamed.parquet"
    )
    frame = pl.read_parquet(tmp_path / "renamed.parquet")
    {".parquet": frame.write_parquet, ".csv": frame.write_csv, ".jsonl": frame.write_ndjson}[ending](path)
    found = values(History(path, EVENT, {"amount": "Betrag", "at": "Wann"}))
    assert (found["amount"], found["event_at_ms"]) == (12.34, AT_MS)


def test_rows_that_are_no_events_are_counted_by_class_with_their_row(tmp_path: Path) -> None:
    path = tmp_path / "history.parquet"
    bad = [ROW | {"amount": 1.001}, ROW | {"id": None}, ROW, ROW | {"at": "soon"}, ROW | {"amount": 2.002}]
    pl.DataFrame(bad).write_parquet(path)
    history = History(path, EVENT)
    assert sum(len(batch) for batch in history.batches()) == 1
    assert dict(history.rejected.rows) == {"out_of_range": 2, "missing_field": 1, "bad_time": 1}
    assert history.rejected.first["missing_field"].startswith("in row 2: ")


def test_a_line_that_is_no_json_is_counted_too(tmp_path: Path) -> None:
    path = written(tmp_path, ".jsonl")
    path.write_bytes(path.read_bytes() + b"{broken\n\n[1]\n")
    history = History(path, EVENT)
    assert sum(len(batch) for batch in history.batches()) == 1
    assert dict(history.rejected.rows) == {"not_json": 1, "not_object": 1}


def test_whole_numbers_beyond_float64_stay_exact(tmp_path: Path) -> None:
    for ending in (".parquet", ".csv", ".jsonl"):
        (batch,) = History(written(tmp_path, ending, count=2**62 + 1), EVENT).batches()
        assert int(batch.columns["count"].values[0]) == 2**62 + 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is not there"),
        (b"", "has no rows|cannot be read"),
        (b"\x00\xffnothing\nof the kind", "cannot be read|no column"),
    ],
)
@pytest.mark.parametrize("ending", [".parquet", ".csv", ".jsonl"])
def test_a_file_that_cannot_be_read_is_one_clear_error(
    content: bytes | None, said: str, ending: str, tmp_path: Path
) -> None:
    path = tmp_path / f"history{ending}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        History(path, EVENT)


def test_missing_columns_are_named_together_with_what_was_probably_meant(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("Id,Amount,Time,weight,online,place\n1,2,3,4,1,x\n")
    with pytest.raises(DataError) as caught:
        History(path, EVENT)
    said = str(caught.value)
    assert "no column for id, count, amount, at" in said
    assert "--column id=Id --column amount=Amount --column at=Time" in said
    assert "Its columns: Id, Amount, Time, weight, online, place." in said
    with pytest.raises(DataError, match="Did you mean 'Amount'"):
        History(path, EVENT, {"amount": "Amuont"})
    with pytest.raises(UsageError, match="names no field"):
        History(path, EVENT, {"amuont": "Amount"})


def test_a_file_in_which_nothing_is_an_event_says_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"None of the 1 rows.*wrong_type"):
        list(History(written(tmp_path, ".parquet", weight="heavy"), EVENT).batches())
    with pytest.raises(DataError, match="gives no event time; its first value is 'soon'"):
        History(written(tmp_path, ".parquet", at="soon"), EVENT)


def test_events_without_a_time_of_their_own_take_a_columns(tmp_path: Path) -> None:
    event = Event(fields=EVENT.fields[:3])
    for ending in (".parquet", ".jsonl"):
        (batch,) = History(written(tmp_path, ending), event, time="at").batches()
        assert batch.event_at_ms.tolist() == [AT_MS]
    numbered = written(tmp_path, ".jsonl", timestamp=AT_MS)
    assert [batch.event_at_ms.tolist() for batch in History(numbered, event).batches()] == [[AT_MS]]
    with pytest.raises(DataError, match="--time"):
        History(written(tmp_path, ".parquet"), event)
