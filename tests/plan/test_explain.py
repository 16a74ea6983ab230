"""The plan as text a reviewer reads."""

from __future__ import annotations

import json

import msgspec
from card_watch import planned

from fraudstream.plan.explain import bytes_per_event, explain, needs_one_process, outline

EXPECTED = """\
card-watch: Watches cards.

Event
  id      id; the same id again within 1d is a duplicate
  time    at, at most 1d ahead of Kafka's
  key     card
  amount  amount
  fields
    id      integer
    at      timestamp
    card    string
    device  string      may be missing
    amount  decimal(2)
    speed   float       may be missing
    place   location    may be missing

Topics
  reads   tx                  6 partitions  events, keyed by card
  reads   labels              6 partitions  labels
  writes  fraud-scores        6 partitions  every decision, form envelope
  writes  fraud-alerts        3 partitions  decisions to review or block, form alert
  writes  fraud-dead-letters  1 partition   what cannot become a decision
  reads   fraud-control       1 partition   what is switched off
  writes  fraud-shadow        1 partition   what other models would have decided

History
  by card: 7d of events, about 56 bytes each
    sum of amount
    tally where ("amount" > 100.00)
    value of device
    previous of device
    chain after ("amount" < 2.00)
  by device: 10d of events, about 24 bytes each
    fraud tally
  needs one scorer process for all partitions, because these are not by the topic's key (card):
    rate

Features
  sum_1d   decimal(2)  sum of amount of the same card in the last 1d
  big_7d   integer     number of events of the same card in the last 7d where amount > 100
  devices  integer     number of different device of the same card in the last 1d
  rate     float       share of events known to be fraud of the same device in the last 7d up to 3d ago
  tested   boolean     whether events of the same card in the last 1h were, in order and ending with this one: amount < 2, then amount > 100
  blocked  boolean     whether card is in the list blocked
  share    float       ratio(amount, sum_1d)
  doubled  float       share * 2

Rules, weakest first
  BIG     review (score 0.6) when share > 0.5 and amount > 100
  LISTED  block (score 0.85) when blocked

Decision
  risk level  MEDIUM from 0.3, HIGH from 0.6, CRITICAL from 0.85
  outcome     review from 0.6, block from 0.85
  precedence  allow < model < review < block
  list        blocked: 1 values, read by blocked
  model       lightgbm, 3 inputs:
    amount, share, rate
  without it  rules

Reasons of the model
  AMOUNT: The amount of this transaction.
    amount is {amount}.
  SHARE: How this transaction compares with earlier ones.
    amount is {share} times the sum of amount of the same card in the last 1d.
  RATE: Earlier reports of fraud connected with this transaction.
    The share of events known to be fraud of the same device in the last 7d up to 3d ago is {rate}.

Versions
"""  # noqa: E501


def test_the_whole_text_of_a_plan() -> None:
    """Everything a reviewer asks for, in the order of an event's way."""
    plan = planned()
    text = explain(plan)
    assert text.startswith(EXPECTED)
    assert text[len(EXPECTED) :].split() == [
        "state", plan.state_identity, "pipeline", plan.versions.pipeline,
        "rules", plan.versions.rules, "lists", plan.versions.lists,
    ]  # fmt: skip


def test_rules_stand_in_the_order_they_speak() -> None:
    """Scoring rules speak with the model; a stage the precedence leaves out is said to be unheard."""
    more = "  RAISE: {when: blocked, action: score, score: 0.2}\n  FREE: {when: blocked, action: allow}\n"
    plan = planned(("  BIG:", f"{more}  BIG:"), add="policy: {precedence: [block, model, review]}\n")
    lines = explain(plan).partition("Rules, weakest first\n")[2].splitlines()[:4]
    assert [line.split()[0] for line in lines] == ["LISTED", "RAISE", "BIG", "FREE"]
    assert lines[3].endswith("not heard: the policy's precedence leaves it out")


def test_aims_are_said_with_the_thresholds() -> None:
    """A budget says whether a threshold was found for it; the sample says its bound."""
    budget = "budget: {reviews: 200}, costs: {investigation: 5, blocked: 30}"
    text = explain(planned(add=f"policy: {{{budget}, let_through: {{share: 0.01, at_most: 1000}}}}\n"))
    assert "budget      at most 200 reviews in 1d; no `review_at` was found for it yet, 0.6 applies" in text
    assert "costs       a review 5, an approved fraud the amount, a blocked genuine event 30" in text
    assert "let_through 1.00% of what would be blocked is approved and flagged, money of 1,000 at most in 1d" in text
    found = explain(planned(add=f"policy: {{{budget}, review_at: 0.61}}\n"))
    assert "at most 200 reviews in 1d\n" in found


def test_a_key_that_contains_the_topics_key_needs_no_single_process() -> None:
    """All events of `card and device` are where those of the card are."""
    compound = planned(("label_rate: , by: device", "label_rate: , by: [card, device]"))
    assert needs_one_process(compound) == []
    assert "rate" in needs_one_process(planned())
    assert len(needs_one_process(planned(("  key: card\n", "")))) == 5


def test_order_matters_for_places_and_chains() -> None:
    """They take eight bytes more, to know which of two equal times came last."""
    plain = planned(("  tested: {sequence: [amount < 2, amount > 100], by: card, over: 1h}\n", ""))
    assert bytes_per_event(planned().logs[0]) - bytes_per_event(plain.logs[0]) == 16


def test_the_outline_is_plain_json() -> None:
    """Machines read the same facts."""
    plan = planned()
    found = json.loads(msgspec.json.encode(outline(plan)))
    assert found["needs_one_process"] == ["rate"]
    assert found["features"]["share"] == {"type": "float", "kind": "expression", "is": "ratio(amount, sum_1d)"}
    assert found["logs"][0]["retention_ms"] == 604_800_000
    assert found["state_identity"] == plan.state_identity
