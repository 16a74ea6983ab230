"""Retraining: what calls for it, what it does, and what it leaves on record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from fraudstream.errors import DataError
from fraudstream.evaluate.curves import average_precision, curve_of
from fraudstream.models.registry import Change, Registry
from fraudstream.models.scorer import load_whole
from fraudstream.monitoring.diary import Diary, Entry, Step
from fraudstream.monitoring.measure import Periods
from fraudstream.monitoring.retraining import Retraining, Rule, Shadowed
from fraudstream.monitoring.triggers import Triggers, due
from fraudstream.monitoring.watch import Report, Watch
from fraudstream.pipelines import find_plan
from fraudstream.plan.plan import Plan
from fraudstream.training.dataset import make_dataset
from fraudstream.training.train import Options, train
from telemetry.scraped import Scraped, serving

from .drifting import DAY_MS, DELAY_MS, START_MS, Payments, decisions, payments

A_DAY, SEED = 600, 1
TRAINED, TURN, NOTICED, END = 20, 20, 34, 50
"""Days: the champion is trained, the new pattern begins, somebody looks, and it is over."""
OPTIONS = Options(test_share=0.15, label_delay_ms=DELAY_MS, settled=True)
DRIFT_ONLY = Triggers(every_ms=None, on_drift=True, new_labels=None, pause_ms=0)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return find_plan("terminal-payments", environ={})


@pytest.fixture(scope="module")
def drifted() -> Payments:
    return payments(END, TURN, A_DAY, SEED)


@pytest.fixture
def registry(plan: Plan, drifted: Payments, tmp_path: Path) -> Registry:
    """The champion knows the payments of before."""
    history, truth = drifted.between(0, TRAINED).history(plan, tmp_path / "before")
    train(plan, tmp_path / "models", history, truth, Options(test_share=0.3, label_delay_ms=DELAY_MS))
    return Registry(tmp_path / "models", plan.pipeline.name)


def seen(plan: Plan, registry: Registry, some: Payments, folder: Path, until_day: int) -> Report:
    """What is seen of these payments, decided by the champion, when that day begins."""
    champion = registry.roles().champion
    assert champion is not None and plan.pipeline.model is not None
    scorer = load_whole(registry.folder, registry.name, champion, plan.pipeline.model.features)
    so_far = some.between(0, until_day)
    made = decisions(plan, scorer, *so_far.history(plan, folder))
    periods = Periods(over_ms=4 * DAY_MS, labels_over_ms=10 * DAY_MS, label_delay_ms=DELAY_MS)
    watch = Watch(plan, registry, periods, 10**6, None)
    labels = so_far.labels(until_day)
    watch.add(made, labels, np.full(len(labels), -1))
    return watch.report()


def test_a_new_fraud_pattern_is_noticed_and_retraining_recovers_what_it_cost(
    plan: Plan, drifted: Payments, registry: Registry, tmp_path: Path
) -> None:
    """Without a hand: the loss is an alarm, the alarm is a reason, the new version is better and promoted.

    Lost is what average precision fell from the champion's own test to the days after the retraining, recovered what
    the new version has more on the same days. Without the new pattern nothing is lost, and there is no such alarm.
    """
    old = registry.roles().champion
    assert old is not None and plan.pipeline.model is not None
    before = registry.manifest(old).metrics["average_precision"]
    undisturbed = seen(plan, registry, payments(NOTICED, None, A_DAY, SEED), tmp_path / "undisturbed", NOTICED)
    assert "average_precision_loss" not in {alarm.limit for alarm in undisturbed.alarms}
    report = seen(plan, registry, drifted, tmp_path / "now", NOTICED)
    assert "average_precision_loss" in {alarm.limit for alarm in report.alarms}
    why = due(DRIFT_ONLY, None, datetime.now(UTC), report, 0)
    assert why is not None and why.startswith("drift: ")

    retraining = Retraining(
        plan,
        registry,
        lambda: drifted.between(0, NOTICED).history(plan, tmp_path / "now", NOTICED),
        OPTIONS,
        Rule(shadow=lambda version: Shadowed(True, "12 decisions were scored in the shadow")),
    )
    end = retraining.run(why)
    new = registry.roles().champion
    assert end.step is Step.PROMOTED and new == end.version != old

    dataset = make_dataset(plan, *drifted.history(plan, tmp_path / "all"), DELAY_MS)
    later = dataset.event_at_ms >= START_MS + (NOTICED + 1) * DAY_MS
    columns = [column.astype(np.float64) for column in dataset.matrix[later].T]
    assert dataset.fraud is not None
    of_old, of_new = (
        average_precision(
            curve_of(
                load_whole(registry.folder, registry.name, version, plan.pipeline.model.features).score(columns),
                dataset.fraud[later],
            )
        )
        for version in (old, new)
    )
    lost = before - of_old
    assert lost > 0.2
    assert (of_new - of_old) / lost >= 0.9, (before, of_old, of_new)

    steps = [entry.step for entry in retraining.diary.entries()]
    assert steps == [Step.BEGAN, Step.TRAINED, Step.COMPARED, Step.SHADOWED, Step.PROMOTED]
    assert {entry.run for entry in retraining.diary.entries()} == {end.run}
    promotion = registry.history()[-1]
    assert promotion.change is Change.PROMOTE and promotion.by == "fraudstream retrain" and promotion.reason == why
    assert promotion.evidence is not None and promotion.evidence.challenger > promotion.evidence.champion

    again = Retraining(
        plan, registry, lambda: drifted.between(0, NOTICED).history(plan, tmp_path / "now", NOTICED), OPTIONS, Rule()
    )
    assert again.run("asked for").step is Step.KEPT  # the same history gives the same version
    with serving(again, "retrain", pipeline=plan.pipeline.name) as port:
        told = Scraped(port)
    assert [told.of("retrainings_total", result=each) for each in ("kept", "promoted")] == [1, 0]
    told.assert_sound()
    told.assert_documented("Retraining", of_process={"pipeline"})
    assert registry.roles().champion == new


# What a retraining does where it does not promote: the champion stays, and the diary says why.


@pytest.fixture(scope="module")
def folder(plan: Plan, drifted: Payments, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A champion that knows little, and a history to learn more from."""
    found = tmp_path_factory.mktemp("steps")
    history, truth = drifted.between(0, 8).history(plan, found / "little")
    train(plan, found / "models", history, truth, Options(test_share=0.3, label_delay_ms=DELAY_MS))
    drifted.between(0, TRAINED).history(plan, found / "more")
    return found


def retrain(plan: Plan, folder: Path, payments: Payments, days: int, rule: Rule) -> tuple[Registry, Step, str]:
    registry = Registry(folder / "models", plan.pipeline.name)
    champion = registry.roles().champion
    source = lambda: payments.between(0, days).history(plan, folder / "more", days)  # noqa: E731
    end = Retraining(plan, registry, source, OPTIONS, rule).run("asked for", labels=7)
    assert registry.roles().champion == champion == end.champion
    return registry, end.step, end.text


def test_a_version_that_gains_too_little_is_retired(plan: Plan, folder: Path, drifted: Payments) -> None:
    registry, step, text = retrain(plan, folder, drifted, TRAINED, Rule(gain=0.9))
    assert step is Step.KEPT and "0.9 more was asked for" in text
    assert registry.roles().challengers == () and registry.history()[-1].change is Change.RETIRE


def test_a_version_that_does_badly_in_the_shadow_waits_as_a_challenger(
    plan: Plan, folder: Path, drifted: Payments
) -> None:
    rule = Rule(gain=-1, shadow=lambda version: Shadowed(False, "it was not scored once"))
    registry, step, text = retrain(plan, folder, drifted, TRAINED, rule)
    assert step is Step.PROPOSED and "it was not scored once" in text
    assert len(registry.roles().challengers) == 1


def test_nobody_agreeing_or_few_frauds_leave_it_to_a_person(plan: Plan, folder: Path, drifted: Payments) -> None:
    asked: list[str] = []
    rule = Rule(gain=-1, confirm=lambda said: bool(asked.append(said)))
    assert retrain(plan, folder, drifted, TRAINED, rule)[1] is Step.PROPOSED
    assert len(asked) == 1 and asked[0].startswith("average precision")
    assert retrain(plan, folder, drifted, TRAINED, Rule(gain=-1, least_frauds=10**6))[1] is Step.PROPOSED


def test_a_champion_made_by_hand_meanwhile_is_not_replaced(plan: Plan, folder: Path, drifted: Payments) -> None:
    registry = Registry(folder / "models", plan.pipeline.name)
    before = registry.roles().champion
    assert plan.pipeline.model is not None and before is not None
    features = plan.pipeline.model.features

    def shadow(version: str) -> Shadowed:
        registry.promote(version, features, by="ann", reason="test", force=True)
        return Shadowed(True, "well")

    source = lambda: drifted.between(0, TRAINED).history(plan, folder / "more", TRAINED)  # noqa: E731
    end = Retraining(plan, registry, source, OPTIONS, Rule(gain=-1, least_frauds=1, shadow=shadow)).run("asked for")
    assert end.step is Step.KEPT and "meanwhile" in end.text
    assert registry.history()[-1].by == "ann"
    registry.promote(before, features, by="ann", reason="as before", force=True)


def test_what_could_not_be_done_is_on_record_and_a_line_cut_short_is_passed_over(
    plan: Plan, folder: Path, drifted: Payments
) -> None:
    registry = Registry(folder / "models", plan.pipeline.name)
    diary = Diary(registry.folder, registry.name)
    with diary.path.open("ab") as file:
        file.write(b'{"at":"2026')  # a crash while writing
    before = len(diary.entries())
    retraining = Retraining(
        plan, registry, lambda: drifted.between(0, 0.1).history(plan, folder / "x"), OPTIONS, Rule()
    )
    with pytest.raises(DataError):
        retraining.run("asked for", labels=9)
    new = diary.entries()[before:]
    assert [entry.step for entry in new] == [Step.BEGAN, Step.FAILED] and "history" in new[-1].text
    last = diary.last_run()
    assert last is not None and last.labels == 9


AT = datetime(2026, 1, 31, tzinfo=UTC)


def begun(ago: timedelta, labels: int = 0) -> Entry:
    at = (AT - ago).isoformat()
    return Entry(at=at, run=at, step=Step.BEGAN, text="", labels=labels)


@pytest.mark.parametrize(
    ("triggers", "last", "labels", "why"),
    [
        (Triggers(DAY_MS, False, None, 0), None, 0, "the first time"),
        (Triggers(DAY_MS, False, None, 0), begun(timedelta(hours=23)), 0, None),
        (Triggers(DAY_MS, False, None, 0), begun(timedelta(hours=25)), 0, "1d have passed"),
        (Triggers(DAY_MS, False, None, 2 * DAY_MS), begun(timedelta(hours=25)), 0, None),
        (Triggers(None, False, 100, 0), None, 99, None),
        (Triggers(None, False, 100, 0), begun(timedelta(days=9), labels=50), 150, "100 new labels"),
        (Triggers(None, False, 100, 0), begun(timedelta(days=9), labels=51), 150, None),
        (Triggers(None, True, None, 0), None, 10**6, None),
    ],
)
def test_time_and_new_labels_call_for_retraining_unless_it_was_done_just_now(
    triggers: Triggers, last: Entry | None, labels: int, why: str | None
) -> None:
    assert due(triggers, last, AT, None, labels) == why
