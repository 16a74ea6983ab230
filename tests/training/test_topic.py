"""Past events and labels from topics: training sees what the stream saw."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import orjson
import polars as pl
import pytest

from fraudstream.define.decision import ModelRef
from fraudstream.errors import BrokerUnreachable
from fraudstream.plan.compile import plan_of
from fraudstream.settings import Settings, load_settings
from fraudstream.training.dataset import make_dataset
from fraudstream.training.history import History
from fraudstream.training.topic import TopicSource, truth_of_topic
from runner.small import START_MS, events, label, pipeline, score_here
from runner.workbench import Workbench

Run = Callable[..., subprocess.CompletedProcess[str]]
FEATURES = ("card_count", "card_sum", "shop_count", "shop_frauds")


def at(second: int) -> int:
    return START_MS + second * 1_000


LABELS = [
    label(10, True, at(20)),
    label(12, True, at(25)),
    label(11, True, at(30)),
    label(11, False, at(90)),  # an investigator took it back
    b'{"event_id": "e12", "label": "perhaps", "labelled_at": 1}',
    label(200, True, at(10_000)),
]


@pytest.fixture
def bench(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> Workbench:
    """Two hundred and fifty events on three partitions, one of them broken, and labels."""
    model = ModelRef(features=("amount", *FEATURES))
    bench = Workbench(kafka_settings, pipeline(shops=True, model=model), tmp_path, unique_id)
    values, keys = events(250)
    assert bench.pipeline.labels is not None
    bench.produce(bench.pipeline.labels.name, LABELS)
    bench.produce(
        bench.pipeline.input.name, [*values[:100], b"no event", *values[100:]], [*keys[:100], b"c1", *keys[100:]]
    )
    return bench


@pytest.mark.kafka
def test_a_table_made_of_topics_has_the_features_that_live_decisions_had(bench: Workbench, fraudstream: Run) -> None:
    """Every feature of every event, also those that rest on labels, on one that was taken back, and none to come."""
    score_here(bench)
    decided = {each["event"]["id"]: each["decision"]["features"] for each in bench.decisions()}
    out = bench.folder / "table.parquet"
    topic = bench.pipeline.input.name
    arguments = ("dataset", str(bench.file), "--from", topic, "--out", str(out))
    done = fraudstream(*arguments, "-b", bench.settings.bootstrap_servers, "--json")
    assert done.returncode == 0, done.stderr
    assert "the truth is taken from the topic" in done.stderr and "1 records of" in done.stderr
    assert "1 rows are no events" in done.stderr
    table = pl.read_parquet(out)
    assert len(table) == len(decided) == 250
    assert table["event_time"].is_sorted()
    rows = {row["id"]: {name: row[name] for name in FEATURES} for row in table.iter_rows(named=True)}
    assert rows == {name: {each: found[each] for each in FEATURES} for name, found in decided.items()}
    assert table["shop_frauds"].max() == 2, "e11's fraud counted while it was one"
    # Known by then: two frauds, and one that was taken back; the delay of the others is not over.
    truth = dict(table.select("id", "is_fraud").iter_rows())
    assert {name: truth[name] for name in ("e10", "e11", "e12", "e200", "e5")} == {
        "e10": True,
        "e11": False,
        "e12": True,
        "e200": None,
        "e5": None,
    }
    report = orjson.loads(done.stdout)
    assert (report["rows"], report["labelled"], report["frauds"]) == (250, 3, 2)


@pytest.mark.kafka
def test_an_earlier_instant_knows_neither_later_events_nor_later_labels(bench: Workbench, fraudstream: Run) -> None:
    out = bench.folder / "table.parquet"
    arguments = ("dataset", str(bench.file), "--from", bench.pipeline.input.name, "--out", str(out))
    done = fraudstream(
        *arguments, "-b", bench.settings.bootstrap_servers, "--as-of", str(at(60)), "--label-delay", "50s"
    )
    assert done.returncode == 0, done.stderr
    table = pl.read_parquet(out)
    assert len(table) == 61
    truth = dict(table.select("id", "is_fraud").iter_rows())
    assert [truth[f"e{number}"] for number in (5, 10, 11, 12, 13)] == [False, True, True, True, None]


@pytest.mark.kafka
def test_a_model_learns_from_a_topic_what_it_learns_from_a_file(bench: Workbench, tmp_path: Path) -> None:
    event, topic = bench.pipeline.event, bench.pipeline.input.name
    assert bench.pipeline.labels is not None
    truth, rejected = truth_of_topic(bench.settings, bench.pipeline.labels.name, event)
    assert rejected.total() == 1
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(events(250)[0]))
    plan = plan_of(bench.pipeline)
    source = TopicSource(bench.settings, topic)
    assert len({*zip(source.partition.tolist(), source.offset.tolist(), strict=True)}) == 251
    live = make_dataset(plan, History(source, event), truth, 0)
    past = make_dataset(plan, History(file, event), truth, 0)
    assert live.matrix.tolist() == past.matrix.tolist()
    assert live.fraud is not None and past.fraud is not None
    assert live.fraud.tolist() == past.fraud.tolist()
    assert int(live.fraud.sum()) == 3


@pytest.mark.kafka
def test_what_is_neither_file_nor_topic_is_said_to_be_neither(bench: Workbench, fraudstream: Run) -> None:
    arguments = ("dataset", str(bench.file), "--from", "histroy", "--out", "a.parquet")
    done = fraudstream(*arguments, "-b", bench.settings.bootstrap_servers)
    assert done.returncode == 3
    assert "There is no file histroy" in done.stderr and "topic" in done.stderr


def test_a_topic_without_a_broker_says_so(tmp_path: Path) -> None:
    settings = load_settings({"bootstrap_servers": "127.0.0.1:1"}, environ={}, folder=tmp_path)
    with pytest.raises(BrokerUnreachable):
        TopicSource(settings, "payments")
