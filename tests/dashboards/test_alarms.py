"""Alarms: each goes off where what it tells of is the case, alone, and none where all is well (by promtool)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from project import ROOT

from prometheus import promtool

FOLDER = ROOT / "deploy" / "prometheus"
RULES = [rule for group in yaml.safe_load((FOLDER / "alarms.yml").read_text())["groups"] for rule in group["rules"]]
NAMES = [rule["alert"] for rule in RULES]

SCORER = 'job="fraudstream",instance="scorer",pipeline="cards"'
SINK = 'job="fraudstream",instance="sink",pipeline="cards",sink="store"'
NOTIFIER = 'job="fraudstream",instance="notifier",notifier="cards",channel="desk"'
MONITOR = 'job="fraudstream",instance="monitor",pipeline="cards"'

UP = 'up{job="fraudstream",instance="scorer"}'
INFO = f"fraudstream_pipeline_info{{{SCORER}}}"
STARTED = 'process_start_time_seconds{job="fraudstream",instance="scorer"}'
READY = f"fraudstream_ready{{{SCORER}}}"
IDLE = f"fraudstream_loop_idle_seconds{{{SCORER}}}"
SINK_IDLE = f"fraudstream_loop_idle_seconds{{{SINK}}}"
RECORDS = f"fraudstream_transaction_records_sum{{{SCORER}}}"
DEGRADED = f'fraudstream_decision_flags_total{{{SCORER},flag="degraded"}}'
LETTERS = f'fraudstream_dead_letters_total{{{SCORER},class="not_json"}}'
WITHIN = f'fraudstream_event_latency_seconds_bucket{{{SCORER},le="1"}}'
LAG = f'fraudstream_consumer_lag_records{{{SCORER},topic="payments",partition="0"}}'
SINK_LAG = f'fraudstream_consumer_lag_records{{{SINK},topic="scores",partition="0"}}'
WRITTEN = f'fraudstream_sink_records_total{{{SINK},topic="scores"}}'
OPEN = f'fraudstream_open_transaction_age_seconds{{{SCORER},topic="payments",partition="0"}}'
REWINDS = f'fraudstream_rewinds_total{{{SCORER},reason="aborted"}}'
SNAPSHOT = f"fraudstream_snapshot_timestamp_seconds{{{SCORER}}}"
FORGOTTEN = f"fraudstream_evicted_early_keys_total{{{SCORER}}}"
OLDEST = f'fraudstream_outbox_oldest_timestamp_seconds{{{NOTIFIER},state="waiting"}}'
FAILED = f'fraudstream_outbox_notifications{{{NOTIFIER},state="failed"}}'
PUT_OFF = f'fraudstream_notifications_total{{{NOTIFIER},result="put_off"}}'
DIFFERING = f"fraudstream_skew_differing{{{MONITOR}}}"
DRIFTED = f'fraudstream_alarms{{{MONITOR},limit="psi"}}'
WORSE = f'fraudstream_alarms{{{MONITOR},limit="recall"}}'

HEALTHY = {
    UP: "1x150",
    INFO: "1x150",
    'fraudstream_process_info{job="fraudstream",instance="scorer",command="run"}': "1x150",
    'fraudstream_process_info{job="fraudstream",instance="sink",command="sink"}': "1x150",
    STARTED: "1000x150",
    READY: "1x150",
    IDLE: "0.1x150",
    SINK_IDLE: "300x150",  # the lake takes its time
    RECORDS: "0+6000x150",
    f'fraudstream_decisions_total{{{SCORER},outcome="approve"}}': "0+6000x150",
    DEGRADED: "0x150",
    LETTERS: "0+6x150",
    WITHIN: "0+5990x150",
    f'fraudstream_event_latency_seconds_bucket{{{SCORER},le="2.5"}}': "0+6000x150",
    f'fraudstream_event_latency_seconds_bucket{{{SCORER},le="+Inf"}}': "0+6000x150",
    LAG: "40x150",
    SINK_LAG: "5x150",
    WRITTEN: "0+6000x150",
    OPEN: "20x150",
    REWINDS: "0x150",
    SNAPSHOT: "0+60x150",
    FORGOTTEN: "0x150",
    OLDEST: "0x150",  # quiet hours: it waits, and nothing is tried
    FAILED: "0x150",
    PUT_OFF: "0x150",
    DIFFERING: "0x150",
}
"""Series by minute, from 0 on; what is looked at is minute 120."""


class Case(NamedTuple):
    """Something that went wrong at minute 90.

    Attributes:
        alert: Who tells of it.
        series: Those that are otherwise than in `HEALTHY`.
        labels: The alarm's, without name and severity.
        summary: What it says.
    """

    alert: str
    series: dict[str, str]
    labels: dict[str, str]
    summary: str


OF_CARDS = {"pipeline": "cards"}
PLACE = {"topic": "payments", "partition": "0"}
OF_SINK = {"pipeline": "cards", "sink": "store"}
OF_DESK = {"notifier": "cards", "channel": "desk"}
AT_SCORER = {"job": "fraudstream", "instance": "scorer"}
AT_SINK = {"job": "fraudstream", "instance": "sink"}
CASES = [
    Case("FraudstreamNoScorer", {INFO: "1x90 stale"}, OF_CARDS, "Nothing scores cards."),
    Case("FraudstreamProcessDown", {UP: "1x90 0x60"}, AT_SCORER, "The process at scorer does not answer."),
    Case(
        "FraudstreamNotReady",
        {READY: "1x90 0x60"},
        AT_SCORER | OF_CARDS,
        "The process at scorer cannot do its work; its /readyz says why.",
    ),
    Case(
        "FraudstreamRestarts",
        {
            STARTED: "1000x90 5460 _ _ _ 5700 _ _ _ 5940 _ _ _ 6180 _ _ _ 6420 _ _ _ 6660 _ _ _ 6900 _ _ _ 7140x40",
            READY: "1x90 0 stale _ _ 0 stale _ _ 0 stale _ _ 0 stale _ _ 0 stale _ _ 0 stale _ _ 0 stale _ _ 0x40",
        },
        AT_SCORER,
        "The process at scorer was started 3 times within 15 minutes.",
    ),
    Case(
        "FraudstreamStuck",
        {IDLE: "0x90 60+60x60"},
        AT_SCORER | OF_CARDS,
        "The process at scorer has stood still for 30m 0s.",
    ),
    Case(
        "FraudstreamStuck",
        {SINK_IDLE: "0x90 660x60"},
        AT_SINK | OF_SINK,
        "The process at sink has stood still for 11m 0s.",
    ),
    Case(
        "FraudstreamNoTraffic",
        {RECORDS: "0+6000x90 540000x60", LETTERS: "0+6x90 540x60"},
        OF_CARDS,
        "No events of cards for 15 minutes.",
    ),
    Case(
        "FraudstreamLagGrowing",
        {LAG: "40x90 40+2000x60"},
        OF_CARDS,
        "cards is 58.04k records behind, more than a minute's work, and falls back.",
    ),
    Case(
        "FraudstreamSlow",
        {WITHIN: "0+5990x90 539100+5700x60"},
        OF_CARDS,
        "A hundredth of the decisions of cards takes 2.2s or longer.",
    ),
    Case(
        "FraudstreamTransactionHangs",
        {OPEN: "20x90 20+60x60"},
        OF_CARDS | PLACE,
        "Readers of payments 0 wait on a transaction that nobody ends.",
    ),
    Case(
        "FraudstreamRewinds",
        {REWINDS: "0x90 0+1x60"},
        OF_CARDS | {"reason": "aborted"},
        "cards returns to its committed offsets again and again: aborted.",
    ),
    Case(
        "FraudstreamDeadLetters",
        {LETTERS: "0+6x90 540+120x60"},
        OF_CARDS | {"class": "not_json"},
        "2% of the records of cards become dead letters: not_json.",
    ),
    Case(
        "FraudstreamDegraded",
        {DEGRADED: "0x90 0+600x60"},
        OF_CARDS,
        "10% of the decisions of cards are made without the model.",
    ),
    Case(
        "FraudstreamSnapshotOld",
        {SNAPSHOT: "0+60x30 1800x120"},
        OF_CARDS | {"instance": "scorer"},
        "The newest snapshot of cards is 1h 30m 0s old; a restart takes long.",
    ),
    Case(
        "FraudstreamForgetsTooEarly",
        {FORGOTTEN: "0x90 0+1x60"},
        OF_CARDS,
        "cards forgets keys that features still look back on: max_keys is too small.",
    ),
    Case(
        "FraudstreamSinkStuck",
        {WRITTEN: "0+6000x90 540000x60"},
        OF_SINK,
        "The sink store of cards has 5 records to write and writes none.",
    ),
    Case(
        "FraudstreamSinkFallsBack",
        {SINK_LAG: "5x60 5+1000x90"},
        OF_SINK,
        "The sink store of cards is 59.01k records behind and falls back.",
    ),
    Case(
        "FraudstreamOutboxOld",
        {OLDEST: "0+60x90 5400x60", PUT_OFF: "0x90 0+1x60"},
        OF_DESK,
        "The channel desk has not been told for 30m 0s.",
    ),
    Case(
        "FraudstreamNotificationsFailed",
        {FAILED: "0x90 3x60"},
        OF_DESK,
        "3 notifications to desk have failed for good.",
    ),
    Case(
        "FraudstreamDrift",
        {DRIFTED: "1x150"},
        OF_CARDS | {"limit": "psi"},
        "What the model of cards sees is not what it was tested on: psi.",
    ),
    Case(
        "FraudstreamModelWorse",
        {WORSE: "1x150"},
        OF_CARDS | {"limit": "recall"},
        "The decisions of cards have become worse: recall.",
    ),
    Case(
        "FraudstreamSkew",
        {DIFFERING: "0x90 2x60"},
        OF_CARDS,
        "2 decisions of cards rest on features that their log does not give.",
    ),
]


def test_every_alarm_has_a_case_a_severity_and_a_place_in_the_runbook() -> None:
    assert {case.alert for case in CASES} == set(NAMES) and len(NAMES) == len(set(NAMES))
    assert {rule["labels"]["severity"] for rule in RULES} == {"critical", "warning"}
    assert all("for" in rule for rule in RULES)
    page = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    assert re.findall(r"^### (\w+)$", page, re.MULTILINE) == NAMES
    assert [rule["annotations"]["runbook"] for rule in RULES] == [f"docs/runbook.md#{name.lower()}" for name in NAMES]


def test_alarms_and_dashboards_ask_only_for_metrics_that_there_are() -> None:
    known = set(re.findall(r"`(fraudstream_\w+)`", (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")))
    files = [FOLDER / "alarms.yml", *(ROOT / "deploy" / "grafana").glob("*.py")]
    asked = {name for file in files for name in re.findall(r"fraudstream_[a-z_]+", file.read_text(encoding="utf-8"))}
    assert {re.sub("_(sum|count|bucket)$", "", name) for name in asked if "_" in name} - known == set()


def test_the_rules_and_the_configuration_are_sound() -> None:
    for kind, file in (("rules", "alarms.yml"), ("config", "prometheus.yml")):
        done = promtool("check", kind, str(FOLDER / file))
        assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.slow
def test_each_alarm_goes_off_alone_on_its_condition_and_none_where_all_is_well(tmp_path: Path) -> None:
    tests = [as_promtool_takes_it("healthy", HEALTHY, None)]
    tests += [as_promtool_takes_it(case.alert, HEALTHY | case.series, case) for case in CASES]
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(FOLDER / "alarms.yml")], "tests": tests}), encoding="utf-8")
    done = promtool("test", "rules", str(file))
    assert done.returncode == 0, done.stderr + done.stdout


def as_promtool_takes_it(name: str, series: dict[str, str], case: Case | None) -> dict[str, Any]:
    """A test for promtool: at minute 120 this alarm goes off and no other; None: none at all."""
    fired = {rule["alert"]: [] for rule in RULES}
    if case is not None:
        (rule,) = (rule for rule in RULES if rule["alert"] == case.alert)
        annotations = {"summary": case.summary, "runbook": rule["annotations"]["runbook"]}
        fired[case.alert] = [{"exp_labels": rule["labels"] | case.labels, "exp_annotations": annotations}]
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": each, "values": values} for each, values in series.items()],
        "alert_rule_test": [
            {"eval_time": "120m", "alertname": alert, "exp_alerts": expected} for alert, expected in fired.items()
        ],
    }
