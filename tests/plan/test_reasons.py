"""Reason codes: every input has one with sentences, whatever is declared, and what is wrong is reported."""

from __future__ import annotations

import pytest
from card_watch import pipeline_of, planned

from fraudstream.plan.compile import try_plan
from fraudstream.plan.plan import Plan, ReasonInput
from fraudstream.plan.reasons import LONGEST_SENTENCE

ALL = "model: {features: [amount, share, rate]}"
MANY = "model: {features: [amount, speed, share, rate, sum_1d, sum_7d, tested, blocked, last, new]}"
_FEATURES = """\
  sum_7d: {sum: amount, by: card, over: 7d}
  last: {since_last: , by: card, over: 7d}
  new: {first_seen: , by: [card, device], over: 7d, description: The card is used on a new device.}
"""
MORE = ("  share: {expression", f"{_FEATURES}  share: {{expression")


def inputs(plan: Plan) -> dict[str, ReasonInput]:
    return {each.name: each for reason in plan.reasons for each in reason.inputs}


def test_an_input_without_a_declared_reason_speaks_of_its_kind_key_and_window() -> None:
    plan = planned((ALL, MANY), MORE)
    found = {name: str(each.holds) for name, each in inputs(plan).items()}
    assert found == {
        "amount": "amount is {amount}.",
        "speed": "speed is {speed}.",
        "share": "amount is {share} times the sum of amount of the same card in the last 1d.",
        "rate": "The share of events known to be fraud of the same device in the last 7d up to 3d ago is {rate}.",
        "sum_1d": "The sum of amount of the same card in the last 1d is {sum_1d}.",
        "sum_7d": "The sum of amount of the same card in the last 7d is {sum_7d}.",
        "tested": "It is so that events of the same card in the last 1h were, in order and ending with this one: "
        "amount < 2, then amount > 100.",
        "blocked": "card is in the list blocked.",
        "last": "The latest earlier event of the same card in the last 7d was {last} ago.",
        "new": "The card is used on a new device.",
    }
    assert str(inputs(plan)["blocked"].otherwise) == "card is not in the list blocked."
    assert str(inputs(plan)["last"].unknown) == "There is no earlier event of the same card in the last 7d."
    assert all(each.letter and "{" not in each.letter for each in inputs(plan).values())


def test_windows_of_one_feature_share_a_code_and_a_rules_code_is_not_taken() -> None:
    plan = planned((ALL, MANY), MORE, ("  BIG:", "  AMOUNT:"))
    codes = {reason.code: [each.name for each in reason.inputs] for reason in plan.reasons}
    assert codes["SUM"] == ["sum_1d", "sum_7d"]
    assert codes["MODEL_AMOUNT"] == ["amount"]
    assert sum(map(len, codes.values())) == 10


def test_a_declared_reason_gathers_inputs_and_says_what_is_declared() -> None:
    add = "reasons:\n  UNUSUAL: {features: [share, amount], sentence: '{amount} is {share}.', letter: Unusual.}\n"
    plan = planned(add=add)
    assert [reason.code for reason in plan.reasons] == ["UNUSUAL", "RATE"]
    for each in plan.reasons[0].inputs:
        assert (str(each.holds), each.letter) == ("{amount} is {share}.", "Unusual.")
        assert str(each.own).startswith("amount is {")
    assert [slot.style for slot in plan.reasons[0].inputs[0].holds.slots] == ["amount", "number"]


def test_reasons_belong_to_the_pipelines_version_and_not_to_its_state() -> None:
    plain, declared = planned(), planned(add="reasons: {UNUSUAL: {features: share, letter: Unusual.}}\n")
    assert plain.versions.pipeline != declared.versions.pipeline
    assert plain.state_identity == declared.state_identity


@pytest.mark.parametrize(
    ("reason", "path", "found", "advice"),
    [
        ("unusual: {features: share}", "reasons.unusual", "not a reason code", "upper case"),
        ("BIG: {features: share}", "reasons.BIG", "taken", "of their own"),
        ("MODEL_SCORE: {features: share}", "reasons.MODEL_SCORE", "taken", "of their own"),
        ("NONE: {sentence: Nothing.}", "reasons.NONE.features", "no inputs", "Name inputs"),
        ("WRONG: {features: shrae}", "reasons.WRONG.features", "no input of the model", "'share'"),
        ("OTHER: {features: doubled}", "reasons.OTHER.features", "no input of the model", ""),
        ("TWO: {features: [share, share]}", "reasons.TWO.features", "belongs to TWO", "once"),
        ("S: {features: share}\n  SS: {features: share}", "reasons.SS.features", "belongs to S", "once"),
        ("UNKNOWN: {features: share, sentence: '{shrae}'}", "reasons.UNKNOWN.sentence", "no field", "'share'"),
        ("TEXT: {features: share, sentence: '{device}'}", "reasons.TEXT.sentence", "is string", "numbers"),
        ("HALF: {features: share, sentence: '{share'}", "reasons.HALF.sentence", "brace", "{name}"),
        ("FIVE: {features: share, sentence: '" + "{share}" * 5 + "'}", "reasons.FIVE.sentence", "5 values", "4"),
        ("LONG: {features: share, letter: " + "x" * (LONGEST_SENTENCE + 1) + "}", "reasons.LONG.letter", "401", "400"),
    ],
)
def test_a_wrong_reason_is_reported(reason: str, path: str, found: str, advice: str) -> None:
    plan, problems = try_plan(pipeline_of(add=f"reasons:\n  {reason}\n"))
    assert plan is None
    assert [(each.path, found in each.found, advice in each.advice) for each in problems if each.path == path] == [
        (path, True, True)
    ]
