"""Files of labels: what is a label in them, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from fraudstream.errors import DataError, UsageError
from fraudstream.schema.event import Event, Field, FieldType
from fraudstream.training.label_file import BadRow, LabelFile, LabelRow

EVENT = Event(id="TX", fields=(Field(name="TX", type=FieldType.STRING),))
NUMBERED = Event(id="TX", fields=(Field(name="TX", type=FieldType.INTEGER),))
AT_MS = 1_767_225_600_000
EXPECTED = [
    LabelRow("a", "fraud", AT_MS, None, "chargeback", None),
    LabelRow("b", "legitimate", AT_MS + 1_000, None, None, None),
]
TABLE = {
    "TX": ["a", "b"],
    "is_fraud": [True, False],
    "labelled_at": ["2026-01-01T00:00:00Z", "1767225601000"],
    "source": ["chargeback", None],
}


def labels_of(path: Path, event: Event = EVENT, **columns: str) -> list[LabelRow | BadRow]:
    return [row for _, row in LabelFile(path, event, columns).rows()]


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_the_same_labels_are_read_from_every_kind_of_file(ending: str, tmp_path: Path) -> None:
    path, frame = tmp_path / f"labels{ending}", pl.DataFrame(TABLE)
    {".csv": frame.write_csv, ".jsonl": frame.write_ndjson, ".parquet": frame.write_parquet}[ending](path)
    assert labels_of(path) == EXPECTED


def test_dates_of_a_table_are_instants(tmp_path: Path) -> None:
    frame = pl.DataFrame({"event_id": ["a"], "label": [1], "labelled_at": [AT_MS]})
    frame.with_columns(pl.col("labelled_at").cast(pl.Datetime("ms"))).write_parquet(tmp_path / "l.parquet")
    assert labels_of(tmp_path / "l.parquet") == [LabelRow("a", "fraud", AT_MS, None, None, None)]


def test_every_bad_row_of_a_table_is_told_with_its_line_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(
        b"case,outcome,when\n"
        b"1,Fraud,\n"  # line 2
        b"2,perhaps,\n"
        b"\n"
        b",fraud,\n"  # 5
        b"x,fraud,\n"
        b"4,fraud\n"
        b"5,legitimate,soon\n"
        b"6\xff,fraud,\n"
        b'"7","legit",2026-01-01\n'  # 10
    )
    found = labels_of(path, NUMBERED, event_id="case", label="outcome", labelled_at="when")
    assert [row for row in found if isinstance(row, LabelRow)] == [
        LabelRow("1", "fraud", None, None, None, None),
        LabelRow("7", "legitimate", AT_MS, None, None, None),
    ]
    bad = {row.line: row.reason for row in found if isinstance(row, BadRow)}
    assert list(bad) == [3, 5, 6, 7, 8, 9]
    assert bad[3].startswith("outcome is 'perhaps'; write fraud or legitimate")
    assert bad[5] == "case is empty; it names the event"
    assert "'x'; the events' ids are integers" in bad[6]
    assert bad[7] == "it has 2 cells, and the head line 3"
    assert bad[8].startswith("when: 'soon' is not an instant")
    assert "no text" in bad[9]


def test_every_bad_line_of_json_is_told(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"event_id": "a", "label": "fraud"}\n{"event_id": \n[1]\n\n{"event_id": 7, "label": 0}\n')
    first, second, third, last = labels_of(path)
    assert first == LabelRow("a", "fraud", None, None, None, None)
    assert isinstance(second, BadRow) and second.line == 2 and second.reason.startswith("it is not JSON")
    assert third == BadRow(3, "it is not a JSON object")
    assert last == LabelRow("7", "legitimate", None, None, None, None)


def test_a_file_that_does_not_say_which_event_is_what_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("case,outcome\n1,fraud\n")
    with pytest.raises(DataError, match="--column event_id=COLUMN"):
        labels_of(path)
    with pytest.raises(DataError, match="--column label=COLUMN"):
        labels_of(path, event_id="case")
    with pytest.raises(UsageError, match="--column colour="):
        labels_of(path, colour="case")
    with pytest.raises(DataError, match=r"no column 'cases'\. Did you mean 'case'"):
        labels_of(path, event_id="cases")
    with pytest.raises(DataError, match="is not there"):
        labels_of(tmp_path / "gone.csv")
