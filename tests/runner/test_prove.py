"""`fraudstream prove` on a real log: partitions, labels, a model that has changed since, and a changed record."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fraudstream.cli.lazy import load_command
from fraudstream.define.decision import Action, ModelRef, Policy, Rule
from fraudstream.define.fallback import By, Fallback
from fraudstream.errors import DataError, ModelError
from fraudstream.runner.switches import turn
from fraudstream.settings import Settings

from .small import START_MS, event, events, label, pipeline, score_here
from .tiny_model import FEATURES, save
from .workbench import Workbench

pytestmark = pytest.mark.kafka


def said(name: str, *arguments: str, code: int = 0) -> dict[str, Any]:
    """What a command prints as JSON."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        done = load_command(name, f"fraudstream.cli.{name}").main([*arguments, "--json"], standalone_mode=False)
    assert (done or 0) == code, printed.getvalue()
    found: dict[str, Any] = json.loads(printed.getvalue())
    return found


def proved(bench: Workbench, wanted: str, *options: str, code: int = 0) -> dict[str, Any]:
    """What `prove` says of a decision."""
    where = ["--pipeline", str(bench.file), "--set", f"models_folder={bench.folder / 'models'}"]
    return said("prove", wanted, *where, *options, code=code)


def test_a_decision_is_proved_from_the_log_and_a_changed_record_is_not(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """Every byte of envelope and alert comes out again, late and labelled events included, with the model it names."""
    bench = Workbench(kafka_settings, pipeline(shops=True, model=ModelRef(features=FEATURES)), tmp_path, unique_id)
    kafka = ("-b", kafka_settings.bootstrap_servers)
    models = ("--set", f"models_folder={tmp_path / 'models'}")
    first = save(bench, 0.0005)
    values, keys = events(200)
    labels_topic = bench.pipeline.labels
    assert labels_topic is not None
    bench.produce(labels_topic.name, [label(i, True, START_MS + 70_000 + i) for i in range(0, 40, 2)])
    bench.produce(bench.pipeline.input.name, values, keys)
    score_here(bench)
    second = save(bench, 0.001)
    # Labels that come after events of a later time were decided: those did not know them.
    bench.produce(labels_topic.name, [label(i, True, START_MS + 80_000) for i in range(41, 80, 2)])
    # Long after its like, so late; and a second copy.
    more = [event(500, START_MS - 7_200_000, card="c0"), values[190], event(501, card="c1", amount=950)]
    bench.produce(bench.pipeline.input.name, more, [b"c0", keys[190], b"c1"])
    score_here(bench)
    decisions = [each["decision"] for each in bench.decisions()]
    alerted = next(each for each in decisions if each["outcome"] == "block" and each["versions"]["model"] == first)
    late = next(each for each in decisions if "late" in each["flags"])
    copy = next(each for each in decisions if "duplicate" in each["flags"])
    assert decisions[150]["features"]["shop_frauds"] < decisions[-1]["features"]["shop_frauds"]
    for each in (alerted, late, copy, decisions[0], decisions[150], decisions[-1]):
        place = f"{each['input']['topic']}/{each['input']['partition']}/{each['input']['offset']}"
        found = proved(bench, place, *kafka)
        assert found["proved"] and found["notes"] == []
        assert found["events_before"] == each["sequence"]
        forms = ["envelope"] + (["alert"] if each["outcome"] != "approve" and each is not copy else [])
        assert sorted(record["form"] for record in found["records"]) == sorted(forms)
    assert decisions[150]["features"]["shop_frauds"] > 0, "a decision that rests on labels is among them"
    assert proved(bench, alerted["event_id"], *kafka)["input"].endswith(f"/{alerted['input']['offset']}")
    assert proved(bench, copy["event_id"], *kafka)["sequence"] == 190, "an id means the first copy"

    # The same from files; then with a record that somebody has changed.
    file, labels = tmp_path / "decisions.jsonl", tmp_path / "labels.jsonl"
    lines = [message.value() for message in bench.read(bench.scores)]
    file.write_bytes(b"\n".join(lines))
    labels.write_bytes(
        b"\n".join(
            message.value().replace(b"{", f'{{"arrived_at": {message.timestamp()[1]}, '.encode(), 1)
            for message in bench.read(labels_topic.name)
        )
    )
    from_files = ("--decisions", str(file), "--labels", str(labels))
    assert proved(bench, "e150", *from_files)["proved"]
    count = json.loads(next(line for line in lines if b'"event_id":"e150"' in line))["decision"]["features"]["card_sum"]
    changed = [
        line.replace(f'"card_sum":{count}'.encode(), b'"card_sum":1.00') if b'"event_id":"e150"' in line else line
        for line in lines
    ]
    file.write_bytes(b"\n".join(changed))
    (record,) = proved(bench, "e150", *from_files, code=1)["records"]
    assert record["differences"] == [{"path": "decision.features.card_sum", "recorded": 1.0, "computed": count}]

    # The whole topic as a history: the same pipeline decides the same, with the model of now it decides otherwise.
    replayed = said("replay", str(bench.file), "--candidate", str(bench.file), "--model", first, *models, *kafka)
    assert (replayed["events"], replayed["changed"]) == (202, 0)
    assert said("replay", str(bench.file), "--model", second, *models, *kafka)["changed"] > 0

    # Only the later decisions at hand: what came before them stands in a file of history.
    file.write_bytes(b"\n".join(line for line in lines if json.loads(line)["decision"]["sequence"] >= 140))
    short = proved(bench, "e150", *from_files, code=1)
    assert "140 of the 150 events before this one are gone" in short["notes"][0]
    history = tmp_path / "history.jsonl"
    history.write_bytes(b"\n".join(values))
    full = proved(bench, "e150", *from_files, "--data", str(history))
    assert full["proved"] and full["events_before"] == 150


def test_what_is_not_at_hand_is_named_with_what_to_do(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> None:
    """A model that is gone, rules that have changed since, and a decision that never was."""
    bench = Workbench(kafka_settings, pipeline(model=ModelRef(features=FEATURES)), tmp_path, unique_id)
    kafka = ("-b", kafka_settings.bootstrap_servers)
    version = save(bench, 0.0005)
    values, keys = events(5)
    bench.produce(bench.pipeline.input.name, values, keys)
    score_here(bench)
    with pytest.raises(DataError, match="No decision on 'e77'"):
        proved(bench, "e77", *kafka)
    place = bench.folder / "models" / unique_id / version
    place.rename(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match=f"version {version}, and that is not whole at hand.* Bring the folder"):
        proved(bench, "e3", *kafka)
    bench.change(rules=(Rule(code="HIGH", when="amount >= 901", action=Action.BLOCK),))
    with pytest.raises(DataError, match=r"other versions of .*: pipeline \w+ \(here \w+\), rules .* explain FILE"):
        proved(bench, "e3", *kafka)


def test_decisions_made_without_the_model_or_a_rule_are_proved(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """What was off is on record, and so is what was reviewed because no more money might be approved."""
    policy = Policy(fallback=(Fallback(by=By.AMOUNT, review_from=800, at_most=2_000),))
    declared = msgspec.structs.replace(pipeline(model=ModelRef(features=FEATURES)), policy=policy)
    bench = Workbench(kafka_settings, declared, tmp_path, unique_id)
    turn(kafka_settings, bench.pipeline, "HIGH", off=True, by="ann", reason="test")
    bench.produce(bench.pipeline.input.name, *events(30))
    score_here(bench)
    decisions = [each["decision"] for each in bench.decisions()]
    assert all(each["off"] == ["MODEL_SCORE", "HIGH"] and each["rules"] == [] for each in decisions)
    kinds = {tuple(each["reasons"]): each["event_id"] for each in decisions}
    assert set(kinds) == {(), ("FALLBACK_AMOUNT",), ("FALLBACK_LIMIT",)}
    for wanted in kinds.values():
        found = proved(bench, wanted, "-b", kafka_settings.bootstrap_servers)
        assert found["proved"], found
