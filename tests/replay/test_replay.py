"""`fraudstream replay` and `backtest`: what they say is what the oracle and plain sums say."""

from __future__ import annotations

import io
import json
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from fraudstream.cli.lazy import load_command
from fraudstream.define.feature import Feature, FeatureKind
from fraudstream.define.pipeline import Form
from fraudstream.engine.decode import Decoder
from fraudstream.engine.encode import Encoder
from fraudstream.engine.program import Program
from fraudstream.errors import UsageError
from fraudstream.plan.compile import plan_of
from fraudstream.replay.contenders import shared
from fraudstream.replay.past import Past, batch_of
from fraudstream.state.ids import Labels

from .past_events import DAY_MS, PIPELINE, START_MS, changed, rows, verdicts, write

OUTCOMES = ("approve", "review", "block")


def said(name: str, *arguments: object) -> dict[str, Any]:
    """What a command prints as JSON."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        load_command(name, f"fraudstream.cli.{name}").main([*map(str, arguments), "--json"], standalone_mode=False)
    found: dict[str, Any] = json.loads(printed.getvalue())
    return found


def test_the_comparison_is_what_the_oracle_and_plain_sums_say(tmp_path: Path) -> None:
    """Outcomes, money, rules and segments of a candidate with other rules, on the second half of a history."""
    history = rows()
    data, file = write(tmp_path, history)
    other = msgspec.structs.replace(changed(BIG="amount > 700", FAST="count >= 4"), name="other")
    _, candidate = write(tmp_path, history, other)
    middle = START_MS + 10 * DAY_MS
    found = said(
        "replay", file, "--candidate", candidate, "--data", data, "--from", "2026-01-11", "--to", "2026-01-19",
        "--label", "fraud", "--label-delay", "1d", "--segment", "kind", "--minutes", 6, "--examples", 2,
    )  # fmt: skip
    before, after = (verdicts(pipeline, history, DAY_MS) for pipeline in (PIPELINE, other))
    chosen = [
        (row, was, would)
        for row, was, would in zip(history, before, after, strict=True)
        if was is not None and would is not None and middle <= row["at"] < START_MS + 18 * DAY_MS
    ]
    assert found["events"] == len(chosen) and found["duplicates"] > 0
    moves = Counter((str(was.outcome), str(would.outcome)) for _, was, would in chosen)
    assert found["matrix"] == [[moves[old, new] for new in OUTCOMES] for old in OUTCOMES]
    assert found["changed"] == sum(count for (old, new), count in moves.items() if old != new) > 0
    for side, place in (("before", 1), ("after", 2)):
        passed = [each[0] for each in chosen if each[place].outcome == "approve" and each[0]["fraud"]]
        stopped = [each[0] for each in chosen if each[place].outcome == "block" and not each[0]["fraud"]]
        assert found[side]["fraud_approved_minor"] == sum(round(row["amount"] * 100) for row in passed)
        assert found[side]["genuine_blocked_minor"] == sum(round(row["amount"] * 100) for row in stopped)
    reviews = [sum(each[place].outcome == "review" for each in chosen) for place in (1, 2)]
    assert found["review_hours"] == pytest.approx((reviews[1] - reviews[0]) * 0.1)
    rule = next(each for each in found["rules"] if each["code"] == "BIG")
    assert rule["hits_before"] == sum("BIG" in was.rules_hit for _, was, _ in chosen)
    assert rule["hits_after"] == sum("BIG" in would.rules_hit for _, _, would in chosen)
    kinds = {each["value"]: each for each in found["segments"]}
    assert {kind: each["events"] for kind, each in kinds.items()} == Counter(row["kind"] for row, _, _ in chosen)
    example = next(each for each in found["examples"] if each["after"] == "block")
    row = next(row for row in history if row["id"] == example["event_id"])
    assert 700 < row["amount"] <= 800 and example["truth"] == ("fraud" if row["fraud"] else "genuine")


def test_a_candidate_with_features_of_its_own_is_compared_event_by_event(tmp_path: Path) -> None:
    """Another feature, and one field fewer: both are computed over the whole history, not from `--from` on."""
    history = rows(600)
    data, file = write(tmp_path, history)
    count = Feature(name="count", kind=FeatureKind.COUNT, by=("card",), over="9d")
    event = msgspec.structs.replace(
        PIPELINE.event, fields=tuple(field for field in PIPELINE.event.fields if field.name != "kind")
    )
    other = msgspec.structs.replace(
        changed(FAST="count >= 6"), name="other", features=(count, *PIPELINE.features[1:]), event=event
    )
    _, candidate = write(tmp_path, history, other)
    found = said(
        "replay", file, "--candidate", candidate, "--data", data, "--from", "2026-01-12", "--label-delay", "1d"
    )
    before, after = (verdicts(pipeline, history, DAY_MS) for pipeline in (PIPELINE, other))
    moves = Counter(
        (str(was.outcome), str(would.outcome))
        for row, was, would in zip(history, before, after, strict=True)
        if was is not None and would is not None and row["at"] >= START_MS + 11 * DAY_MS
    )
    assert found["matrix"] == [[moves[old, new] for new in OUTCOMES] for old in OUTCOMES]
    assert moves["approve", "review"] > 0


def test_decisions_on_record_are_a_history_of_their_own(tmp_path: Path) -> None:
    """The same pipeline changes nothing; another is compared with what was decided then."""
    history = rows(500)
    _, file = write(tmp_path, history)
    plan = plan_of(PIPELINE)
    values = [json.dumps({name: row[name] for name in row if name != "fraud"}).encode() for row in history]
    count = len(values)
    order = np.arange(count, dtype=np.int64)
    past = Past(values, np.full(count, -1, np.int64), order % 3, order, order, np.zeros(count, np.bool_), [])
    program = Program(plan)
    batch = batch_of(plan, Decoder(plan.pipeline.event), past, slice(0, count), "events")
    made = program.decide(program.new_state(), batch, Labels.none(), START_MS)
    lines, _ = Encoder(plan).encode(Form.ENVELOPE, made, order)
    decisions = tmp_path / "decisions.jsonl"
    decisions.write_bytes(b"\n".join(lines[::-1]))
    same = said("replay", file, "--candidate", file, "--decisions", decisions)
    assert same["changed"] == 0 and same["events"] == count - same["duplicates"] and same["before"]["known"] == 0
    _, candidate = write(tmp_path, history, msgspec.structs.replace(changed(BIG="amount > 700"), name="other"))
    labels = tmp_path / "labels.jsonl"
    labels.write_bytes(
        b"\n".join(
            json.dumps({"event_id": row["id"], "label": "fraud", "labelled_at": START_MS + 30 * DAY_MS}).encode()
            for row in history
            if row["fraud"]
        )
    )
    other = said("replay", file, "--candidate", candidate, "--decisions", decisions, "--labels", labels)
    between = [row for row in {row["id"]: row for row in history}.values() if 700 < row["amount"] <= 800]
    assert sum(row[2] for row in other["matrix"][:2]) == len(between) == other["changed"]
    assert other["after"]["known"] == other["events"], "the delay of labels is over"
    gone = sum(round(row["amount"] * 100) for row in between if row["fraud"])
    assert other["after"]["fraud_approved_minor"] >= other["before"]["fraud_approved_minor"] - gone


def test_the_backtest_counts_hits_money_overlap_and_dead_rules(tmp_path: Path) -> None:
    history = rows()
    data, file = write(tmp_path, history)
    found = said(
        "backtest", file, "--data", data, "--label-delay", "1d", "--rule", "WEB: kind = 'web' and amount > 500"
    )
    tried = msgspec.structs.replace(
        PIPELINE,
        rules=(
            *PIPELINE.rules,
            msgspec.structs.replace(PIPELINE.rules[4], code="WEB", when="kind = 'web' and amount > 500"),
        ),
    )
    decided = [(row, each) for row, each in zip(history, verdicts(tried, history, DAY_MS), strict=True) if each]
    assert found["events"] == len(decided) and found["frauds"] == sum(row["fraud"] for row, _ in decided)
    assert found["dead"] == ["NEVER"]
    codes = [rule.code for rule in tried.rules]
    assert found["codes"] == codes
    for code in codes:
        hits = [(row, each) for row, each in decided if code in each.rules_hit]
        frauds = [(row, each) for row, each in hits if row["fraud"]]
        alone = [row for row, each in frauds if not set(each.rules_hit) - {code, "FRIEND"}]
        rule = found["rules"][code]
        assert (rule["hits"], rule["frauds"]) == (len(hits), len(frauds)), code
        assert rule["fraud_minor"] == sum(round(row["amount"] * 100) for row, _ in frauds)
        assert rule["fraud_only_minor"] == sum(round(row["amount"] * 100) for row in alone), code
    both = sum({"BIG", "WEB"} <= set(each.rules_hit) for _, each in decided)
    assert found["overlap"][codes.index("BIG")][codes.index("WEB")] == both > 0
    with pytest.raises(UsageError, match="--rule 'amount' is not understood"):
        said("backtest", file, "--data", data, "--rule", "amount")


def test_a_model_that_two_share_scores_once() -> None:
    """The same inputs, null among them, are remembered; others are scored."""
    asked = []

    class Model:
        version = "v"

        def score(self, inputs: list[Any]) -> Any:
            asked.append(inputs)
            return inputs[0] * 2

        def contributions(self, inputs: list[Any]) -> None:
            return None

    one, other = shared(Model(), Model())
    assert one is other and one is not None
    first = [np.array([1.0, np.nan]), np.array([3.0, 4.0])]
    scores = one.score(first)
    again = one.score([each.copy() for each in first])
    assert len(asked) == 1 and np.array_equal(scores, again, equal_nan=True) and again is not scores  # type: ignore[arg-type]
    one.score([np.array([1.0, 2.0]), np.array([3.0, 4.0])])
    assert len(asked) == 2
