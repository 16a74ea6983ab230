"""`fraudstream budget`: thresholds from a history, what the engine makes of them, and the file they go into."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fraudstream.cli.lazy import load_command
from fraudstream.define.decision import ModelRef
from fraudstream.define.load import load_pipeline
from fraudstream.errors import DataError, UsageError
from fraudstream.models.registry import Registry
from runner.tiny_model import manifest_of, tiny_model

from .past_events import PIPELINE, rows, write

FEATURES = ("amount", "count")


@pytest.fixture
def shop(tmp_path: Path) -> tuple[Path, Path, list[str]]:
    """A history, a pipeline whose model's score is a thousandth of the amount, and where the model is."""
    pipeline = msgspec.structs.replace(PIPELINE, model=ModelRef(features=FEATURES))
    data, file = write(tmp_path, rows(4_000), pipeline)
    manifest = manifest_of(pipeline.name, tiny_model(0.001), features=FEATURES)
    Registry(tmp_path / "models", pipeline.name).add(manifest, tiny_model(0.001), by="test")
    where = ["--set", f"models_folder={tmp_path / 'models'}", "--label-delay", "1d"]
    return data, file, where


def said(capsys: pytest.CaptureFixture[str], name: str, *arguments: object) -> dict[str, Any]:
    """What a command prints as JSON."""
    capsys.readouterr()
    load_command(name, f"fraudstream.cli.{name}").main([*map(str, arguments), "--json"], standalone_mode=False)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_threshold_written_gives_the_reviews_that_were_promised(
    shop: tuple[Path, Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Replay with the written file counts as many reviews as the budget says, and no more than there is time for."""
    data, file, where = shop
    as_it_was = file.read_text()
    found = said(capsys, "budget", file, "--data", data, "--reviews", 100, *where, "--write")
    chosen = found["chosen"]
    assert 99 < chosen["reviews"]["value"] <= 100 < found["150_reviews"]["reviews"]["value"]
    assert chosen["reviews"]["low"] < chosen["reviews"]["value"] < chosen["reviews"]["high"]
    policy = load_pipeline(file).policy
    assert policy.budget is not None and (policy.budget.reviews, policy.review_at) == (100, chosen["review_at"])
    (file.parent / "before.yaml").write_text(as_it_was)
    replayed = said(capsys, "replay", file.parent / "before.yaml", "--candidate", file, "--data", data, *where)
    days = 20  # the first and the last are whole
    assert found["periods"] == days
    assert replayed["after"]["reviewed"] == pytest.approx(chosen["reviews"]["value"] * days)
    assert replayed["before"]["reviewed"] == pytest.approx(found["as_it_is"]["reviews"]["value"] * days)
    frauds = replayed["after"]["fraud_approved_minor"] / 100
    assert chosen["fraud_approved"]["value"] * days == pytest.approx(frauds)
    # The policy's own budget is the default from now on, and the same history gives the same threshold.
    again = said(capsys, "budget", file, "--data", data, *where)
    assert again["chosen"] == chosen and again["budget"] == {"reviews": 100}


def test_costs_give_both_thresholds_and_less_cost_than_before(
    shop: tuple[Path, Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    data, file, where = shop
    prices = ("--investigation", 5, "--missed", "amount", "--blocked", 30)
    found = said(capsys, "budget", file, "--data", data, *prices, *where, "--write")
    assert found["chosen"]["cost"]["value"] < found["as_it_is"]["cost"]["value"]
    policy = load_pipeline(file).policy
    assert policy.costs is not None and (policy.costs.investigation, policy.costs.missed) == (5, None)
    assert (policy.review_at, policy.block_at) == (found["chosen"]["review_at"], found["chosen"]["block_at"])
    both = said(capsys, "budget", file, "--data", data, "--reviews", 40, *where)
    assert both["chosen"]["reviews"]["value"] <= 40
    assert both["chosen"]["cost"]["value"] >= found["chosen"]["cost"]["value"]


def test_the_table_shows_the_intervals_and_what_more_time_would_be_worth(
    shop: tuple[Path, Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    data, file, where = shop
    load_command("budget", "fraudstream.cli.budget").main(
        [str(file), "--data", str(data), "--reviews", "60", *where], standalone_mode=False
    )
    printed = capsys.readouterr().out
    assert "as it is" in printed and "120 reviews" in printed
    assert "chosen, with intervals of 95 %:" in printed and "in a single one to come" in printed


@pytest.mark.parametrize(
    ("arguments", "problem", "words"),
    [
        ((), UsageError, "Nothing says what the thresholds are for"),
        (("--per", "1d"), UsageError, "--per is given without --reviews"),
        (("--blocked", "30"), UsageError, "without --investigation"),
        (("--investigation", "5", "--missed", "much"), UsageError, "--missed much is no cost"),
        (("--reviews", "5", "--per", "9d"), DataError, "whole periods of 9d to judge on; 3 are needed"),
    ],
)
def test_a_mistake_is_named(
    shop: tuple[Path, Path, list[str]], arguments: tuple[str, ...], problem: type[Exception], words: str
) -> None:
    data, file, where = shop
    run: Callable[..., object] = load_command("budget", "fraudstream.cli.budget").main
    with pytest.raises(problem, match=words):
        run([str(file), "--data", str(data), *where, *arguments], standalone_mode=False)


def test_a_shipped_pipelines_file_is_not_written() -> None:
    run = load_command("budget", "fraudstream.cli.budget").main
    with pytest.raises(UsageError, match="whose file is not yours"):
        run(["retail", "--data", "a.csv", "--reviews", "5", "--write"], standalone_mode=False)
