"""The command `train`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import orjson
import polars as pl
import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Simulated = Callable[[str, str], tuple[Path, Path]]
ULB = Path(__file__).parents[3] / "shared" / "data" / "ulb_creditcard_sample.parquet"


def test_the_command_trains_and_reports(fraudstream: Run, simulated: Simulated, tmp_path: Path) -> None:
    events, truth = simulated("retail", ".jsonl")
    done = fraudstream("train", "retail", "--data", str(events), "--truth", str(truth), "--json")
    assert done.returncode == 0, done.stderr
    report = orjson.loads(done.stdout)
    assert report["rows"] == 6_000 and report["rejected"] == {} and report["duplicates"] == 0
    assert (tmp_path / "models" / "retail" / "current").read_text().strip() == report["version"]
    assert report["metrics"]["events"] == 1_800
    table = fraudstream("train", "retail", "--data", str(events))
    assert table.returncode == 0, table.stderr
    assert "review from 0.6: alerts on" in table.stdout and "AUC" not in table.stdout


@pytest.mark.skipif(not ULB.exists(), reason="the third-party data is not here")
def test_card_payments_trains_on_a_file_that_has_no_cards(fraudstream: Run) -> None:
    renamed = ["--column", "amount=Amount", "--column", "timestamp=Time"]
    absent = ["--without", "transaction_id", "--without", "card_hash", "--without", "merchant_category"]
    refused = fraudstream("train", "card-payments", "--data", str(ULB), *renamed)
    assert refused.returncode == 2
    assert "no column for transaction_id, card_hash, merchant_category" in refused.stderr
    done = fraudstream("train", "card-payments", "--data", str(ULB), *renamed, *absent, "--json")
    assert done.returncode == 0, done.stderr
    assert "the truth is taken from the column Class" in done.stderr
    metrics = orjson.loads(done.stdout)["metrics"]
    assert metrics["auc_roc"] > 0.96 and metrics["average_precision"] > 0.89


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("retial", "--data", "a.csv"), "Did you mean 'retail'?"),
        (("account-transfers", "--data", "a.csv"), "declares no model"),
        (("retail", "--data", "absent.csv"), "absent.csv is not there"),
        (("retail", "--data", "folder.csv"), "folder.csv is a folder"),
        (("retail", "--data", "empty.jsonl"), "It has no columns."),
        (("retail", "--data", "a.csv"), "no column for user_id"),
        (("retail", "--data", "a.csv", "--column", "amount"), "--column FIELD=COLUMN"),
        (("retail", "--data", "a.csv", "--without", "timestamp"), "its event time"),
        (("retail", "--data", "a.csv", "--without", "colour"), "names no field"),
        (("terminal-payments", "--data", "a.csv", "--without", "TRANSACTION_ID"), "labels name events by it"),
        (("retail", "--data", "a.csv", "--test-share", "1"), "between 0 and 1"),
        (("retail", "--data", "a.csv", "--label-delay", "soon"), "is not a duration"),
    ],
)
def test_a_mistake_is_answered_with_one_paragraph(
    arguments: tuple[str, ...], said: str, fraudstream: Run, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("amount\n1\n")
    (tmp_path / "empty.jsonl").write_text("7\n")
    (tmp_path / "folder.csv").mkdir()
    done = fraudstream("train", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr


def test_a_history_that_is_too_short_says_how_many_of_its_rows_are_no_events(
    fraudstream: Run, simulated: Simulated, tmp_path: Path
) -> None:
    lines = simulated("retail", ".jsonl")[0].read_bytes().splitlines()[:40]
    (tmp_path / "short.jsonl").write_bytes(b"\n".join([*lines, b"{}", b"{}"]))
    done = fraudstream("train", "retail", "--data", "short.jsonl", "--label", "none")
    assert done.returncode == 2
    assert "Both need 50" in done.stderr and "2 of the 42 rows are no events: 2 " in done.stderr


def test_labels_that_say_neither_are_refused(fraudstream: Run, simulated: Simulated, tmp_path: Path) -> None:
    events, _ = simulated("retail", ".parquet")
    pl.read_parquet(events).with_columns(fraud=pl.lit("perhaps")).write_parquet(tmp_path / "h.parquet")
    done = fraudstream("train", "retail", "--data", "h.parquet")
    assert done.returncode == 2
    assert "neither fraud nor genuine, first 'perhaps' in row 1" in done.stderr
    done = fraudstream("train", "retail", "--data", "h.parquet", "--label", "frud")
    assert "Did you mean 'fraud'?" in done.stderr


def test_without_the_libraries_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    from fraudstream.define.decision import ModelRef
    from fraudstream.errors import UsageError
    from fraudstream.training.trainers import require_libraries

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'fraudstream\[train\]'"):
        require_libraries(ModelRef(features=("amount",)))
