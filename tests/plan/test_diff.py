"""What a change does to decisions, topics and stored state, and how recovery says why it refuses."""

from __future__ import annotations

import json

import msgspec
import pytest
from card_watch import planned
from test_identity import OTHER_STATE, SAME_STATE

from fraudstream.plan.diff import diff, explain_mismatch
from fraudstream.plan.identity import describe_state
from fraudstream.plan.plan import Plan


def described(plan: Plan) -> dict[str, object]:
    """The description as a snapshot's JSON gives it back."""
    return json.loads(msgspec.json.encode(describe_state(plan.pipeline.event, plan.logs, plan.dedup_ms)))


def test_a_pipeline_does_not_differ_from_itself_however_it_is_written() -> None:
    """Formatting, comments, descriptions and the order of features are no change."""
    for name in ("formatting", "comments", "description", "order of features"):
        found = diff(planned(), planned(*SAME_STATE[name]))
        assert found == ((), (), (), True), name


@pytest.mark.parametrize("changes", SAME_STATE.values(), ids=SAME_STATE.keys())
def test_compatible_state_has_no_reason_against_it(changes: list[tuple[str, str]]) -> None:
    """Compatible exactly where the identity stays."""
    found = diff(planned(), planned(*changes))
    assert (found.is_compatible, found.state) == (True, ())


@pytest.mark.parametrize("changes", OTHER_STATE.values(), ids=OTHER_STATE.keys())
def test_every_change_of_state_has_a_reason_that_names_it(changes: list[tuple[str, str]]) -> None:
    """Never `another version`, which would say nothing."""
    found = diff(planned(), planned(*changes))
    assert not found.is_compatible
    assert found.state
    assert not any("another version" in reason for reason in found.state)


REASONS = {
    "the longest window": "the history by card keeps events for 8d instead of 7d",
    "a label's delay": "the history by device keeps what labels say for 11d instead of 10d",
    "a key": "the history by card+device is new",
    "what is summed": "the history by card now also stores: value of amount",
    "a filter": 'the history by card no longer stores: tally where ("amount" > 100.00)',
    "a field's digits": "the field amount changed: scale was 2, now 3",
    "a new field": "the field more is new: what is a dead letter may differ",
    "event time": "event time was at, now none",
    "a cap on keys": "the history by card holds 1000 keys instead of any number of",
    "the dedup horizon": "the horizon within which an id is a duplicate was 1d, now 1h",
}


@pytest.mark.parametrize(("change", "reason"), REASONS.items())
def test_a_refusal_says_what_changed(change: str, reason: str) -> None:
    """From a description read back from JSON, as recovery has it."""
    old, new = planned(), planned(*OTHER_STATE[change])
    assert reason in explain_mismatch(described(old), describe_state(new.pipeline.event, new.logs, new.dedup_ms))
    assert explain_mismatch(described(old), described(old)) == []


def test_a_history_that_is_gone_is_named() -> None:
    """The other way round, too."""
    assert diff(planned(*OTHER_STATE["a key"]), planned()).state[-1] == "the history by card+device is no longer kept"


def test_a_foreign_description_is_refused_without_a_crash() -> None:
    """A snapshot of another version may describe itself in other words."""
    assert explain_mismatch({}, described(planned()))
    assert explain_mismatch({**described(planned()), "format": 2}, described(planned())) == [
        "what is stored was described by another version of fraudstream"
    ]


def test_changes_of_decisions_say_what_was_and_what_is() -> None:
    """Features, rules, lists, model and policy, by their paths."""
    new = planned(
        ("share > 0.5 and", "share > 0.7 and"),
        ("[c1]", "[c1, c2]"),
        ("rate]", "big_7d]"),
        ("share * 2", "share * 3"),
        ("  LISTED: {when: blocked, action: block}\n", ""),
        ("sum: amount, by: card, over: 1d", "sum: amount, by: card, over: 2d"),
        add="policy: {high: 0.5}\n",
    )
    found = {change.path: change.what for change in diff(planned(), new).decisions}
    assert found == {
        "features.sum_1d": "was: sum of amount of the same card in the last 1d; "
        "now: sum of amount of the same card in the last 2d",
        "features.doubled": "was: share * 2; now: share * 3",
        "rules.BIG": "was: review (score 0.6) when share > 0.5 and amount > 100; "
        "now: review (score 0.5) when share > 0.7 and amount > 100",
        "rules.LISTED": "is gone: block (score 0.85) when blocked",
        "lists.blocked": "was: 1 values; now: 2 values",
        "model.features": "was: amount, share, rate; now: amount, share, big_7d",
        "policy.high": "was: 0.6; now: 0.5",
        "policy.review_at": "was: 0.6; now: 0.5",
    }


def test_changes_of_topics_are_apart() -> None:
    """They change where decisions go, not what they are."""
    found = diff(planned(), planned(("input: tx", "input: other"), ("key: card", "key: device")))
    assert found.decisions == ()
    assert [str(change) for change in found.topics] == ["input was: tx; now: other", "event.key was: card; now: device"]
