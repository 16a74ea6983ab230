"""`fraudstream label`: what it sends, what it knows of the events, and that decisions follow."""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fraudstream.kafka.tail import backwards
from fraudstream.settings import Settings
from runner.small import START_MS, event, pipeline, scorer
from runner.workbench import Workbench

Run = Callable[..., subprocess.CompletedProcess[str]]
KNOWN = 3


@pytest.fixture
def bench(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> Workbench:
    """A pipeline that counts a shop's frauds, with events of one shop."""
    made = Workbench(kafka_settings, pipeline(shops=True, partitions=1), tmp_path, unique_id)
    made.produce(made.pipeline.input.name, [event(i) for i in range(KNOWN)])
    return made


@pytest.fixture
def label(fraudstream: Run, bench: Workbench) -> Run:
    """`fraudstream label` of that pipeline."""
    return lambda *arguments: fraudstream("label", str(bench.file), *arguments, "-b", bench.settings.bootstrap_servers)


def sent(bench: Workbench) -> list[dict[str, Any]]:
    assert bench.pipeline.labels is not None
    messages = bench.read(bench.pipeline.labels.name)
    assert all(message.key().decode() == json.loads(message.value())["event_id"] for message in messages)
    return [json.loads(message.value()) for message in messages]


@pytest.mark.kafka
def test_a_label_changes_the_next_decision_of_a_running_scorer(label: Run, bench: Workbench) -> None:
    loop = scorer(bench)
    running = threading.Thread(target=loop.run)
    running.start()
    try:
        bench.wait_for(lambda: bench.committed_events() == KNOWN)
        done = label("e1", "fraud", "--source", "chargeback", "--by", "ann", "--at", str(START_MS + 1_500), "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["events"] == {"found": 1, "looked_at": KNOWN, "complete": True}
        numbers = itertools.count(KNOWN)

        def known_at_last() -> bool:
            bench.produce(bench.pipeline.input.name, [event(next(numbers))])
            return bench.decisions()[-1]["decision"]["features"]["shop_frauds"] == 1

        bench.wait_for(known_at_last)
    finally:
        loop.stop()
        running.join(30)
    frauds = [each["decision"]["features"]["shop_frauds"] for each in bench.decisions()]
    assert frauds[:KNOWN] == [0] * KNOWN and frauds == sorted(frauds)
    assert sent(bench) == [
        {
            "event_id": "e1",
            "label": "fraud",
            "event_at": START_MS + 1_000,
            "labelled_at": START_MS + 1_500,
            "source": "chargeback",
            "by": "ann",
        }
    ]


@pytest.mark.kafka
def test_an_id_that_is_of_no_event_is_refused_and_one_that_may_be_is_sent_with_a_word(
    label: Run, bench: Workbench
) -> None:
    refused = label("e9", "fraud")
    assert refused.returncode == 2
    assert "No event" in refused.stderr and "all 3 were looked at" in refused.stderr
    assert sent(bench) == []
    forced = label("e9", "fraud", "--force")
    assert forced.returncode == 0 and "gets its label when it comes" in forced.stderr
    unsure = label("e0", "legitimate", "--look-back", "1")
    assert unsure.returncode == 0
    assert "it is not known whether they exist: only the newest 1 events were looked at" in unsure.stderr
    assert [(each["event_id"], each["label"], "event_at" in each) for each in sent(bench)] == [
        ("e9", "fraud", False),
        ("e0", "legitimate", False),
    ]


@pytest.mark.kafka
def test_the_good_rows_of_a_file_are_sent_and_the_bad_ones_told(label: Run, bench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text("case,outcome\ne0,fraud\ne1,maybe\ne8,legitimate\n")
    done = label("--import", "cases.csv", "--column", "event_id=case", "--column", "label=outcome", "--by", "bo")
    assert done.returncode == 1
    assert "2 labels of 2 events sent" in done.stdout and "1 rows are no labels" in done.stdout
    assert "cases.csv:3: outcome is 'maybe'" in done.stderr
    assert "1 of the 2 events were found; of the others none is among all 3 events there are" in done.stderr
    assert sorted((each["event_id"], each["label"], each["by"]) for each in sent(bench)) == [
        ("e0", "fraud", "bo"),
        ("e8", "legitimate", "bo"),
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("retail",), "Nothing says what is to be labelled"),
        (("retail", "e1"), "Nothing says what is to be labelled"),
        (("retail", "e1", "fraud"), "reads no labels"),
        (("terminal-payments", "e1", "fraud", "--at", "soon"), "'soon' is not an instant"),
    ],
)
def test_a_mistake_is_answered_with_one_paragraph(arguments: tuple[str, ...], said: str, fraudstream: Run) -> None:
    done = fraudstream("label", *arguments)
    assert done.returncode == 2 and said in done.stderr


def test_the_newest_records_are_shared_out_to_partitions_that_have_them() -> None:
    ends = {("t", 0): 100, ("t", 1): 10, ("t", 2): 1_000}
    kept = {("t", 0): 90, ("t", 1): 0, ("t", 2): 0}
    assert backwards(kept, ends, 300) == {("t", 0): 90, ("t", 1): 0, ("t", 2): 720}
    assert backwards(kept, ends, 10**9) == kept
