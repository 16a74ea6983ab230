"""What a model learns from is what the stream would have known at that moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fraudstream.errors import DataError
from fraudstream.pipelines import find_plan
from fraudstream.training import history as history_module
from fraudstream.training.dataset import Dataset, make_dataset
from fraudstream.training.history import History
from fraudstream.training.table import feature_table
from fraudstream.training.truth import truth_of_column, truth_of_file

Simulated = Callable[[str, str], tuple[Path, Path]]
DAY_MS = 86_400_000
PLAN = find_plan("terminal-payments", environ={})
assert PLAN.pipeline.model is not None
LABEL_INPUTS = [index for index, name in enumerate(PLAN.pipeline.model.features) if "label" in name]


@pytest.fixture(scope="module")
def labelled(simulated: Simulated) -> pl.DataFrame:
    """Six thousand terminal payments with their truth beside them."""
    events, truth = simulated("terminal-payments", ".parquet")
    return pl.read_parquet(events).with_columns(is_fraud=pl.read_parquet(truth)["is_fraud"].cast(pl.Int8))


def dataset_of(frame: pl.DataFrame, folder: Path, delay_ms: int = 7 * DAY_MS) -> Dataset:
    path = folder / "history.parquet"
    frame.write_parquet(path)
    history = History(path, PLAN.pipeline.event)
    return make_dataset(PLAN, history, truth_of_column(history.source, "is_fraud"), delay_ms)


def test_changing_the_future_changes_nothing_before_it(labelled: pl.DataFrame, tmp_path: Path) -> None:
    honest = dataset_of(labelled, tmp_path)
    cut = 4_000
    future = pl.int_range(pl.len()) >= cut
    changed = labelled.with_columns(
        TX_AMOUNT=pl.when(future).then(pl.col("TX_AMOUNT") * 3).otherwise("TX_AMOUNT").round(2),
        is_fraud=pl.when(future).then(1 - pl.col("is_fraud")).otherwise("is_fraud"),
    )
    other = dataset_of(changed, tmp_path)
    np.testing.assert_array_equal(honest.matrix[:cut], other.matrix[:cut])
    assert (honest.matrix[cut:] != other.matrix[cut:]).any(axis=0)[LABEL_INPUTS].any()


def test_a_label_is_known_to_no_event_before_its_delay_is_over(labelled: pl.DataFrame, tmp_path: Path) -> None:
    """All labels of one day are flipped: features change from seven days later on, to the instant."""
    at_ms = labelled["TX_DATETIME"].cast(pl.Datetime("ms")).cast(pl.Int64).to_numpy()
    day = at_ms[0] + 10 * DAY_MS
    flipped = labelled.with_columns(
        is_fraud=pl.when(pl.Series((at_ms >= day) & (at_ms < day + DAY_MS)))
        .then(1 - pl.col("is_fraud"))
        .otherwise("is_fraud")
    )
    honest, other = dataset_of(labelled, tmp_path), dataset_of(flipped, tmp_path)
    differs = (honest.matrix != other.matrix).any(axis=1)
    assert differs.any()
    first = honest.event_at_ms[np.flatnonzero(differs)[0]]
    assert day + 7 * DAY_MS <= first < day + 9 * DAY_MS
    # The features' own delay is 7 days; labels that come after 20 are seen after 20.
    differs = (
        dataset_of(labelled, tmp_path, 20 * DAY_MS).matrix != dataset_of(flipped, tmp_path, 20 * DAY_MS).matrix
    ).any(axis=1)
    first = honest.event_at_ms[np.flatnonzero(differs)[0]]
    assert day + 20 * DAY_MS <= first < day + 22 * DAY_MS


def test_batches_do_not_matter(labelled: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = dataset_of(labelled, tmp_path)
    monkeypatch.setattr(history_module, "BATCH_EVENTS", 137)
    parts = dataset_of(labelled, tmp_path)
    np.testing.assert_array_equal(whole.matrix, parts.matrix)
    assert (whole.matrix[:, LABEL_INPUTS] > 0).any()


def test_the_order_of_the_file_does_not_matter_and_duplicates_are_learned_from_once(
    labelled: pl.DataFrame, tmp_path: Path
) -> None:
    ordered = dataset_of(labelled, tmp_path)
    shuffled = labelled.sample(fraction=1, shuffle=True, seed=1)
    np.testing.assert_array_equal(dataset_of(shuffled, tmp_path).matrix, ordered.matrix)
    twice = dataset_of(pl.concat([labelled, labelled.head(100)]), tmp_path)
    assert (twice.events, twice.duplicates) == (6_100, 100)
    np.testing.assert_array_equal(twice.matrix, ordered.matrix)


def test_labels_files_and_truth_files_say_the_same_as_a_column(labelled: pl.DataFrame, tmp_path: Path) -> None:
    by_column = dataset_of(labelled, tmp_path)
    path = tmp_path / "labels.jsonl"
    at_ms = pl.col("TX_DATETIME").cast(pl.Datetime("ms")).cast(pl.Int64)
    labels = labelled.filter(pl.col("is_fraud") == 1).select(
        event_id=pl.col("TRANSACTION_ID").cast(pl.String), label=pl.lit("fraud"), labelled_at=at_ms + 9 * DAY_MS
    )
    labels.write_ndjson(path)
    history = History(tmp_path / "history.parquet", PLAN.pipeline.event)
    truth = truth_of_file(path, PLAN.pipeline.event, len(history))
    by_file = make_dataset(PLAN, history, truth, 7 * DAY_MS)
    np.testing.assert_array_equal(by_file.fraud, by_column.fraud)
    assert (by_file.matrix != by_column.matrix).any()
    np.testing.assert_array_equal(by_file.matrix, dataset_of(labelled, tmp_path, 9 * DAY_MS).matrix)


def test_truth_about_other_events_is_refused(labelled: pl.DataFrame, tmp_path: Path) -> None:
    dataset_of(labelled.head(500), tmp_path)
    path = tmp_path / "truth.parquet"
    pl.DataFrame({"event_id": ["1", "2"], "is_fraud": [True, False]}).write_parquet(path)
    history = History(tmp_path / "history.parquet", PLAN.pipeline.event)
    with pytest.raises(DataError, match="speaks of none of the 500 events"):
        make_dataset(PLAN, history, truth_of_file(path, PLAN.pipeline.event, len(history)), 7 * DAY_MS)


def test_a_table_as_of_an_instant_does_not_change_with_what_comes_after_it(
    labelled: pl.DataFrame, tmp_path: Path
) -> None:
    """Later amounts, later events and later labels, also of earlier events, are others: the table is the same."""
    at_ms = labelled["TX_DATETIME"].cast(pl.Datetime("ms")).cast(pl.Int64)
    as_of_ms = int(at_ms[4_000])
    labels = pl.DataFrame(
        {
            "event_id": labelled["TRANSACTION_ID"],
            "label": pl.Series(["fraud", "legitimate"]).gather(1 - labelled["is_fraud"].cast(pl.Int64)),
            "labelled_at": at_ms + 5 * DAY_MS,
        }
    )

    def table(frame: pl.DataFrame, words: pl.DataFrame) -> pl.DataFrame:
        frame.write_parquet(tmp_path / "history.parquet")
        words.write_parquet(tmp_path / "labels.parquet")
        history = History(tmp_path / "history.parquet", PLAN.pipeline.event)
        truth = truth_of_file(tmp_path / "labels.parquet", PLAN.pipeline.event, len(history))
        return feature_table(PLAN, history, truth, 7 * DAY_MS, as_of_ms).frame

    honest = table(labelled, labels)
    assert len(honest) > 4_000 and honest["is_fraud"].sum() > 10
    later = at_ms > as_of_ms
    changed = labelled.with_columns(
        TX_AMOUNT=pl.when(later).then(pl.col("TX_AMOUNT") * 3).otherwise("TX_AMOUNT").round(2)
    ).filter(~later | (pl.int_range(pl.len()) % 2 == 0))
    flipped = pl.when(pl.col("label") == "fraud").then(pl.lit("legitimate")).otherwise(pl.lit("fraud"))
    after = pl.col("labelled_at") > as_of_ms
    other = labels.with_columns(label=pl.when(after).then(flipped).otherwise("label"))
    assert not other.equals(labels) and len(changed) < len(labelled)
    assert table(changed, other).equals(honest)
