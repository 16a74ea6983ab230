"""What is seen of decisions: drift, quality, skew, and which of it is an alarm."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from fraudstream.define.feature import Feature, FeatureKind
from fraudstream.models.registry import Registry
from fraudstream.monitoring.measure import DAY_MS, Periods
from fraudstream.monitoring.skew import SkewCheck, Skewed
from fraudstream.monitoring.watch import Report, Watch
from fraudstream.plan.compile import plan_of
from fraudstream.plan.plan import Plan
from runner.small import START_MS, event, label

from .decided import decide, keep_model, payments, watched_plan

AMOUNTS = (200.0, 2.0, 90.0, 100.0, 110.0, 120.0)
COUNT = 600
PERIODS = Periods(over_ms=DAY_MS, labels_over_ms=30 * DAY_MS, label_delay_ms=3_600_000)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return watched_plan()


@pytest.fixture(scope="module")
def usual(plan: Plan) -> list[bytes]:
    """The decisions the model was judged on."""
    return decide(plan, payments(COUNT))


@pytest.fixture(scope="module")
def registry(plan: Plan, usual: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Registry:
    found = keep_model(plan, usual, tmp_path_factory.mktemp("models"), average_precision=0.9, alert_share=0.4)
    assert found.roles().champion == json.loads(usual[0])["decision"]["versions"]["model"]
    return found


def report_of(
    plan: Plan, registry: Registry | None, decisions: Sequence[bytes], labels: Sequence[bytes] = (), **parts: Any
) -> Report:
    watch = Watch(plan, registry, PERIODS, 10**6, parts.get("skew"))
    watch.add(decisions, labels, np.full(len(labels), -1))
    return watch.report()


def limits_of(report: Report) -> set[tuple[str, str]]:
    return {(alarm.limit, alarm.about) for alarm in report.alarms}


def test_the_same_kind_of_traffic_raises_no_alarm(plan: Plan, registry: Registry) -> None:
    report = report_of(plan, registry, decide(plan, payments(COUNT, seed=2, begin=COUNT)))
    assert report.alarms == ()
    seen = report.measured
    assert seen.traffic.decisions == COUNT and seen.score is not None
    assert {drift.name for drift in seen.inputs} == {"amount", "card_count"}
    assert max(drift.psi for drift in [*seen.inputs, seen.score]) < 0.1
    assert seen.traffic.model_alert_share == pytest.approx(0.4, abs=0.05)


def test_amounts_that_double_are_an_alarm_of_the_amount_and_of_the_score(plan: Plan, registry: Registry) -> None:
    report = report_of(plan, registry, decide(plan, payments(COUNT, seed=2, begin=COUNT, factor=2)))
    assert {("psi", "amount"), ("out_of_range", "amount"), ("psi", "score"), ("ks", "score")} <= limits_of(report)
    assert not any(alarm.about == "card_count" for alarm in report.alarms)
    assert report.measured.inputs[0].name == "amount"
    assert report.measured.inputs[0].out_of_range == pytest.approx(0.5, abs=0.1)


def test_few_decisions_say_nothing(plan: Plan, registry: Registry) -> None:
    report = report_of(plan, registry, decide(plan, payments(100, factor=2)))
    assert report.alarms == () and report.measured.inputs == () and report.measured.score is None
    assert any("too few to tell drift" in note for note in report.measured.notes)


def test_precision_recall_and_average_precision_follow_from_the_labels(
    plan: Plan, registry: Registry, usual: list[bytes]
) -> None:
    """Alerts are amounts from 600 on. Of the ten frauds eight are small ones: the score is worth little now."""
    amounts = [json.loads(each)["event"]["amount"] for each in usual]
    small = [place for place, amount in enumerate(amounts) if amount < 500][:8]
    large = [place for place, amount in enumerate(amounts) if amount > 700][:2]
    told = [label(place, True, START_MS + 10**8) for place in [*small, *large]]
    told += [label(large[0], False, START_MS), label(10**6, True, START_MS)]  # overruled, and of no event
    report = report_of(plan, registry, usual, told)
    quality = report.measured.quality
    # The label delay is an hour, events come every minute, and the very newest is not what time is told by.
    old = COUNT - 61
    alerts = sum(amount >= 600 for amount in amounts[:old])
    assert (quality.known, quality.labelled, quality.frauds, quality.alerts) == (old, 10, 10, alerts)
    assert quality.precision == pytest.approx(2 / alerts) and quality.recall == pytest.approx(0.2)
    assert quality.average_precision is not None and quality.average_precision < 0.2
    assert limits_of(report) == {("average_precision_loss", "")}


def skew_of(plan: Plan, decisions: Sequence[bytes], labels: Sequence[bytes] = (), *, complete: bool = True) -> Skewed:
    skewed = report_of(plan, None, decisions, labels, skew=SkewCheck(plan, complete=complete)).skewed
    assert skewed is not None
    return skewed


def test_features_on_record_are_those_that_the_log_gives(plan: Plan, usual: list[bytes]) -> None:
    """In whatever order the records are read."""
    skewed = skew_of(plan, usual[::-1])
    assert (skewed.checked, skewed.differing, skewed.unchecked) == (COUNT, 0, 0)


def test_a_feature_logged_otherwise_is_found(plan: Plan, usual: list[bytes]) -> None:
    forged = list(usual)
    forged[300] = usual[300].replace(b'"card_count":', b'"card_count":1', 1)
    assert forged[300] != usual[300]
    report = report_of(plan, None, forged, skew=SkewCheck(plan, complete=True))
    assert report.skewed is not None and report.skewed.differing == 1
    assert report.skewed.features == {"card_count": 1} and report.skewed.first == "0/300"
    assert limits_of(report) == {("skew", "")}


def test_in_the_middle_of_a_log_what_looks_back_before_it_is_not_checked(plan: Plan) -> None:
    """Shops' features look back a day: of three days of decisions without the first, the last two can be checked."""
    decisions = decide(plan, payments(3 * 1_440))
    skewed = skew_of(plan, decisions[1_440:], complete=False)
    assert skewed.differing == 0
    assert 0 < skewed.checked < 1_440 and skewed.checked + skewed.unchecked == 2 * 1_440
    assert skew_of(plan, decisions[1_440:], complete=True).checked == 0  # the first decisions are still to come


def test_features_of_labels_are_right_wherever_the_label_can_have_come(plan: Plan) -> None:
    values = payments(200)
    told = [label(number, True, START_MS + number * 60_000 + 1_000) for number in range(0, 100, 7)]
    decisions = decide(plan, values, told)
    assert any(json.loads(each)["decision"]["features"]["shop_frauds"] > 1 for each in decisions)
    assert skew_of(plan, decisions, told).differing == 0
    without = skew_of(plan, decisions)
    assert set(without.features) == {"shop_frauds"} and without.differing > 50


def test_a_mean_without_known_frauds_is_no_skew_where_some_of_the_labels_had_come() -> None:
    """Without one of two frauds it lies beyond both ends. Where no label is on its way, it has to be right."""
    clean = Feature(name="card_clean_mean", kind=FeatureKind.MEAN, of="amount", by=("card",), over="1d", clean=True)
    usual = watched_plan().pipeline
    plan = plan_of(replace(usual, features=(*usual.features, clean)))
    values = [event(number, START_MS + number * 60_000, amount=amount) for number, amount in enumerate(AMOUNTS)]
    at_ms = START_MS + 3 * 60_000  # the fourth knows of the first fraud, and the next of both
    told = [label(0, True, at_ms - 1), label(1, True, at_ms + 1)]
    decisions = decide(plan, values, told)
    means = [json.loads(each)["decision"]["features"]["card_clean_mean"] for each in decisions]
    assert means[3] < np.mean(AMOUNTS[2:4]) < np.mean(AMOUNTS[:4])

    def differing(decisions: Sequence[bytes]) -> int:
        watch = Watch(plan, None, PERIODS, 10**6, SkewCheck(plan, complete=True))
        watch.add(decisions, told, np.full(2, at_ms))
        skewed = watch.report().skewed
        assert skewed is not None and skewed.checked == len(AMOUNTS)
        return skewed.differing

    assert differing(decisions) == 0
    forged = decisions[4].replace(b'"card_clean_mean":', b'"card_clean_mean":1')
    assert differing([*decisions[:4], forged, decisions[5]]) == 1
