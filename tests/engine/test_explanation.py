"""Explanations of alerts: what LightGBM itself says its inputs contributed, in sentences that are true of the event."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise
from typing import Any

import lightgbm as peer
import numpy as np
import pytest

from fraudstream.define.load import parse_definition
from fraudstream.define.pipeline import Form
from fraudstream.engine.batch import Batch
from fraudstream.engine.decode import Decoder
from fraudstream.engine.encode import Encoder
from fraudstream.engine.explanation import MOST_REASONS
from fraudstream.engine.kernels.reason_text import AMOUNT, DURATION, LONGEST_VALUE, NUMBER, SHARE, WHOLE, write_values
from fraudstream.engine.program import Program
from fraudstream.models.artifact import Artifact, Manifest, version_of
from fraudstream.models.scorer import OnnxScorer
from fraudstream.plan.load import plan_definition
from fraudstream.plan.plan import Plan
from fraudstream.report.words import Speaker
from fraudstream.state.ids import Labels
from fraudstream.training.lightgbm import BoostedTrees

AT_MS = 1_767_225_600_000
EVENTS = 3_000
PIPELINE = """
name: explained
event:
  id: id
  time: at
  key: card
  amount: amount
  fields:
    id: string
    at: {type: timestamp, format: epoch_ms}
    card: string
    amount: decimal(2)
    online: boolean?
    age: integer
input: payments
features:
  card_count_{over}: {count: , by: card, over: [1h, 1d]}
  card_since_last: {since_last: , by: card, over: 7d}
  card_mean_30d: {mean: amount, by: card, over: 30d, prior: true}
  amount_ratio: {expression: "ratio(amount, card_mean_30d)"}
rules:
  LARGE: {when: amount > 230, action: review, reason: 'A "large" amount.', letter: The amount.}
  KNOWN: {when: card_count_1d > 1, action: allow}
  QUICK: {when: card_since_last < 2000000, action: review}
  AGED: {when: age > 85, action: score, score: 0.1}
model:
  features: [amount, online, age, card_count_1h, card_count_1d, card_since_last, amount_ratio]
reasons:
  UNUSUAL_AMOUNT:
    features: [amount_ratio, amount]
    sentence: "Amount {amount} is {amount_ratio} times the card's usual."
    letter: The amount is unlike earlier ones.
  PAID_ONLINE: {features: online, sentence: Paid online.}
policy: {review_at: 0.4, block_at: 0.9}
"""


@cache
def plan() -> Plan:
    return plan_definition(parse_definition(PIPELINE, "test"))


@cache
def records() -> list[bytes]:
    rng = np.random.default_rng(3)
    gaps = rng.exponential(400_000, EVENTS).astype(int)
    return [
        json.dumps(
            {
                "id": str(i), "at": int(AT_MS + at), "card": f"c{rng.integers(150)}", "age": int(rng.integers(18, 90)),
                "amount": round(float(rng.gamma(1.5, 50)), 2), "online": [True, False, None][rng.integers(3)],
            }
        ).encode()
        for i, at in enumerate(np.cumsum(gaps))
    ]  # fmt: skip


def batches(size: int) -> list[Batch]:
    decoder = Decoder(plan().pipeline.event)
    found = []
    for start in range(0, EVENTS, size):
        chunk = records()[start : start + size]
        decoded = decoder.decode(list(chunk), np.full(len(chunk), AT_MS, np.int64))
        places = np.arange(start, start + len(chunk), dtype=np.int64)
        found.append(Batch.of(decoded, "payments", np.zeros(len(chunk), np.int32), places))
    return found


@cache
def matrix() -> np.ndarray:
    """The model's inputs on all events, null as -1."""
    program = Program(plan())
    state = program.new_state()
    parts = [program.inputs(program.featurize(state, batch, Labels.none())) for batch in batches(1_000)]
    return np.nan_to_num(np.concatenate([np.stack(part, 1) for part in parts]), nan=-1.0).astype(np.float32)


@cache
def booster() -> Any:
    rows = matrix()
    risk = rows[:, 0] / 60 + (rows[:, 1] != 0) + (rows[:, 6] > 2) + (rows[:, 3] > 1) + (rows[:, 5] == -1)
    fraud = risk + np.random.default_rng(4).normal(0, 0.7, len(rows)) > 4.6
    parameters = {"objective": "binary", "num_leaves": 12, "use_missing": False, "verbosity": -1, "num_threads": 1}
    return peer.train(parameters, peer.Dataset(rows, fraud.astype(float)), 40)


def scorer(*, explains: bool = True) -> OnnxScorer:
    model = BoostedTrees(booster())
    onnx, contributions = model.to_onnx(), model.contributions() if explains else b""
    version, sha256 = version_of(onnx)
    features = plan().pipeline.model.features  # type: ignore[union-attr]
    manifest = Manifest(
        name="m", version=version, sha256=sha256, trainer="lightgbm", features=features, missing=-1.0, output="score"
    )
    return OnnxScorer(Artifact(manifest, onnx, contributions), features)


def written(form: Form, size: int = 700, **options: bool) -> list[bytes]:
    program, encoder = Program(plan(), scorer(**options)), Encoder(plan())
    state = program.new_state()
    values = []
    for batch in batches(size):
        decisions = program.decide(state, batch, Labels.none(), AT_MS)
        rows = decisions.alerts if form is Form.ALERT else np.arange(len(batch), dtype=np.int64)
        values += encoder.encode(form, decisions, rows)[0]
    return values


def sentence_of(name: str, event: dict[str, Any], features: dict[str, Any]) -> str:
    """What is to be said, as plainly as possible."""
    value = (event | features)[name]
    if name in ("amount", "amount_ratio"):
        if features["amount_ratio"] is None:
            if name == "amount":
                return f"amount is {event['amount']:.2f}."
            return "amount_ratio is not known: ratio(amount, card_mean_30d)."
        return f"Amount {event['amount']:.2f} is {shown(features['amount_ratio'])} times the card's usual."
    if name == "online":
        return {True: "Paid online.", False: "online is false.", None: "online is not known."}[value]
    if name == "age":
        return f"age is {value}."
    if name.startswith("card_count"):
        return f"The number of events of the same card in the last {name[11:]} is {value}."
    if value is None:
        return "There is no earlier event of the same card in the last 7d."
    units = [(86_400_000, 2, "days"), (3_600_000, 2, "h"), (60_000, 2, "min"), (1_000, 1, "s"), (1, 0, "ms")]
    unit, _, word = next(each for each in units if value >= each[0] * each[1])
    return f"The latest earlier event of the same card in the last 7d was {shown(value / unit)} {word} ago."


def shown(value: float) -> str:
    decimals = next((d for d in range(7) if abs(value) * 10**d >= 100), 6) if value else 0
    return f"{np.rint(value * 10**decimals) / 10**decimals:.{decimals}f}".rstrip("0" if decimals else "").rstrip(".")


def test_reasons_are_what_lightgbm_says_contributed_most() -> None:
    names = list(plan().pipeline.model.features)  # type: ignore[union-attr]
    codes = dict.fromkeys(names) | {"amount": "UNUSUAL_AMOUNT", "amount_ratio": "UNUSUAL_AMOUNT"}
    codes |= {"online": "PAID_ONLINE", "age": "AGE", "card_count_1h": "CARD_COUNT", "card_count_1d": "CARD_COUNT"}
    codes["card_since_last"] = "CARD_SINCE_LAST"
    expected = booster().predict(matrix(), pred_contrib=True)
    alerts, said = [json.loads(value) for value in written(Form.ALERT)], set()
    by_model = [alert for alert in alerts if "MODEL_SCORE" in alert["reasons"]]
    assert 60 < len(by_model) < len(alerts) < EVENTS / 3
    for alert in by_model:
        place, found = alert["input"]["offset"], alert["explanation"]
        values, event = expected[place], json.loads(records()[place])
        sums = {code: sum(values[i] for i, name in enumerate(names) if codes[name] == code) for code in codes.values()}
        strongest = sorted((code for code in sums if sums[code] > 0), key=lambda code: -sums[code])[:MOST_REASONS]
        reasons = [reason for reason in found["reasons"] if reason["contribution"] is not None]
        assert [reason["code"] for reason in reasons] == strongest
        margin = found["base"] + found["rest"] + sum(reason["contribution"] for reason in reasons)
        assert margin == pytest.approx(float(values.sum()), abs=1e-9)
        for reason in reasons:
            assert reason["contribution"] == pytest.approx(sums[reason["code"]], abs=1e-9)
            members = [i for i, name in enumerate(names) if codes[name] == reason["code"]]
            leading = names[max(members, key=lambda i: values[i])]
            assert reason["sentence"] == sentence_of(leading, event, alert["features"])
            value = (event | alert["features"])[leading]
            assert reason["value"] == (None if value is None else pytest.approx(float(value)))
            said.add(" ".join(reason["sentence"].split()[:2]))
    assert {"Paid online.", "age is", "There is", "online is", "The latest", "The number", "amount is"} <= said


def test_a_report_speaks_as_alerts_do() -> None:
    model = plan().pipeline.model
    assert model is not None
    speaker = Speaker(plan().reasons, model.features, model.missing)
    contributions = booster().predict(matrix(), pred_contrib=True)[:, :-1]
    compared = 0
    for alert in map(json.loads, written(Form.ALERT)):
        said = [each for each in alert["explanation"]["reasons"] if (each["contribution"] or 0.0) > 0.01]
        place = alert["input"]["offset"]
        row = matrix()[place].astype(np.float64)
        found = speaker.strongest(row, contributions[place], most=MOST_REASONS)
        expected = [f"{each['sentence']} ({each['contribution']:+.2f})" for each in said]
        assert list(found[: len(expected)]) == expected
        compared += len(expected)
    assert compared > 300


def test_rules_that_hit_come_first_and_those_that_allow_are_no_reasons() -> None:
    large = [json.loads(value) for value in written(Form.ALERT) if b'"LARGE"' in value]
    assert len(large) > 10 and any("KNOWN" in alert["rules"] for alert in large)
    for alert in large:
        rules = [code for code in alert["rules"] if code != "KNOWN"]
        assert [reason["code"] for reason in alert["explanation"]["reasons"]][: len(rules)] == rules
        assert alert["explanation"]["reasons"][0] == {
            "code": "LARGE", "sentence": 'A "large" amount.', "letter": "The amount.",
            "contribution": None, "value": None,
        }  # fmt: skip
    aged = next(alert for alert in large if "AGED" in alert["rules"])
    assert aged["explanation"]["reasons"][1]["sentence"] == "It is so that age > 85."


def test_decisions_that_are_no_alerts_say_nothing_and_alerts_say_the_same_in_both_forms() -> None:
    decisions = [json.loads(value)["decision"] for value in written(Form.ENVELOPE)]
    alerts = {alert["input"]["offset"]: alert for alert in map(json.loads, written(Form.ALERT))}
    for decision in decisions:
        alert = alerts.get(decision["input"]["offset"], {})
        assert decision.get("explanation") == alert.get("explanation")
        assert ("explanation" in decision) == (decision["outcome"] != "approve")


def test_the_same_bytes_however_events_are_batched() -> None:
    assert written(Form.ALERT, 700) == written(Form.ALERT, 1) == written(Form.ALERT, EVENTS)


def test_a_model_that_cannot_say_what_contributed_is_named_alone() -> None:
    alerts = [json.loads(value) for value in written(Form.ALERT, explains=False)]
    bare = [alert for alert in alerts if alert["reasons"] == ["MODEL_SCORE"]]
    assert len(bare) > 20
    for alert in bare:
        (reason,) = alert["explanation"]["reasons"]
        assert reason["code"] == "MODEL_SCORE" and reason["contribution"] is None
        assert alert["explanation"]["base"] is None


def test_values_are_written_as_people_read_them() -> None:
    cases: list[tuple[float, int, int, str]] = [
        (12.0, WHOLE, 0, "12"), (-3.0, WHOLE, 0, "-3"), (12.5, AMOUNT, 2, "12.50"), (-0.05, AMOUNT, 2, "-0.05"),
        (0.12345, NUMBER, 0, "0.123"), (7.3, NUMBER, 0, "7.3"), (1239.6, NUMBER, 0, "1240"), (0.0, NUMBER, 0, "0"),
        (9.999, NUMBER, 0, "10"), (-2.0, NUMBER, 0, "-2"), (1e30, NUMBER, 0, "9000000000000000000"),
        (1e-9, NUMBER, 0, "0"), (0.125, SHARE, 0, "12.5 %"), (1.0, SHARE, 0, "100 %"), (500, DURATION, 0, "500 ms"),
        (1_500, DURATION, 0, "1.5 s"), (119_000, DURATION, 0, "119 s"), (180_000, DURATION, 0, "3 min"),
        (9_000_000, DURATION, 0, "2.5 h"), (1_036_800_000, DURATION, 0, "12 days"), (np.nan, NUMBER, 0, "unknown"),
    ]  # fmt: skip
    values, styles, scales, texts = zip(*cases, strict=True)
    out = np.zeros(LONGEST_VALUE * len(cases) + 32, np.uint8)
    start, length = write_values(
        np.array(values, np.float64), np.array(styles, np.int8), np.array(scales, np.int8), out
    )
    assert [out[at : at + n].tobytes().decode() for at, n in zip(start, length, strict=True)] == list(texts)
    assert all(first + n == second for (first, second), n in zip(pairwise(start), length, strict=False))
