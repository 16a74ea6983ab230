"""One retraining: trains, compares with the champion on one test, shadows, and promotes by rule or proposes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from fraudstream.errors import FraudstreamError, ModelError
from fraudstream.evaluate.curves import average_precision, curve_of
from fraudstream.models.gate import Evidence
from fraudstream.models.registry import Registry
from fraudstream.models.scorer import load_whole
from fraudstream.monitoring.diary import ENDS, Diary, Entry, Step, now
from fraudstream.plan.plan import Plan
from fraudstream.telemetry.series import Series, counter, gauge
from fraudstream.training.history import History
from fraudstream.training.train import Options, Trained, train
from fraudstream.training.trainers import Show
from fraudstream.training.truth import Truth

BY = "fraudstream retrain"


class Rule(NamedTuple):
    """When a new version takes the champion's place.

    Attributes:
        gain: By how much its average precision must exceed the champion's on the same test.
        least_frauds: With fewer frauds in the test it is proposed, not promoted.
        shadow: Waits until the version was scored in the shadow of live decisions, and says how that went; None: it is
            not waited for. Called with the version.
        confirm: Asks a person; None: nobody is asked. Called with what speaks for it, as a sentence.
    """

    gain: float = 0.005
    least_frauds: int = 20
    shadow: Callable[[str], Shadowed] | None = None
    confirm: Callable[[str], bool] | None = None


class Shadowed(NamedTuple):
    """How scoring in the shadow went.

    Attributes:
        well: Whether nothing speaks against the version.
        text: What was seen, as a sentence.
    """

    well: bool
    text: str


class Retraining:
    """Retrains the model of a pipeline; every step is in the diary before the next one is taken.

    Args:
        plan: A plan with a model.
        registry: The versions of its model.
        source: Reads the history and its truth, as they are now.
        options: How to train.
        rule: When a new version takes the champion's place.
        show: Progress.

    Attributes:
        moved_at_s, stuck_after_s: As of `Watched` in `telemetry/exporter.py`; whoever waits between two runs says that
            it goes on.
    """

    stuck_after_s = 21_600.0  # reading a long history and training may take hours

    def __init__(
        self,
        plan: Plan,
        registry: Registry,
        source: Callable[[], tuple[History, Truth | None]],
        options: Options,
        rule: Rule,
        show: Show = lambda stage, done, total: None,
    ) -> None:
        assert plan.pipeline.model is not None
        self._features = plan.pipeline.model.features
        self._plan, self._registry, self._source = plan, registry, source
        self._options, self._rule, self._show = options, rule, show
        self.diary = Diary(registry.folder, registry.name)
        self._run = ""
        self.moved_at_s = time.monotonic()
        self._ends = Counter({step.value: 0 for step in ENDS})
        self._took_s: float | None = None
        self._ended_at_s: float | None = None

    def run(self, why: str, labels: int | None = None) -> Entry:
        """Retrains; returns how it ended.

        Args:
            why: What called for it, as a sentence.
            labels: How many events are labelled.

        Raises:
            FraudstreamError: It could not be done; the diary says why, and the champion stays.
        """
        self._run = now()
        started_s = time.monotonic()
        self._note(Step.BEGAN, why, labels=labels)
        try:
            end = self._retrain(why)
            self._count(end.step, started_s)
            return end
        except FraudstreamError as failed:
            self._count(Step.FAILED, started_s)
            self._note(Step.FAILED, str(failed))
            raise
        except KeyboardInterrupt:
            self._note(Step.FAILED, "it was interrupted")
            raise

    def _count(self, end: Step, started_s: float) -> None:
        self._ends[end.value] += 1
        self._took_s, self._ended_at_s = time.monotonic() - started_s, time.time()

    def unready(self) -> None:
        """It is always ready to retrain."""

    def series(self) -> Iterable[Series]:
        """The metrics of retraining, for any thread."""
        yield counter("retrainings_total", "Retrainings by how they ended.", self._ends, "result")
        yield gauge("retraining_duration_seconds", "How long the last one took.", self._took_s)
        yield gauge("retraining_last_timestamp_seconds", "When the last one ended.", self._ended_at_s)

    def _retrain(self, why: str) -> Entry:
        champion = self._registry.roles().champion
        history, truth = self._source()
        done = train(self._plan, self._registry.folder, history, truth, self._options, self._show)
        version = done.manifest.version
        self._note(Step.TRAINED, f"trained on {done.manifest.data}", version, metrics=done.manifest.metrics)
        if champion is None:
            return self._note(Step.PROMOTED, "the first version is the champion", version)
        if version == champion:
            return self._note(Step.KEPT, "training gave the champion again", version)
        evidence, said = self._compare(champion, done)
        self._note(Step.COMPARED, said, version, evidence=evidence)
        if evidence is not None and evidence.challenger < evidence.champion + self._rule.gain:
            self._registry.retire(version, by=BY, reason=said)
            return self._note(Step.KEPT, f"the champion stays: {self._rule.gain:g} more was asked for", version)
        if self._rule.shadow is not None:
            shadowed = self._rule.shadow(version)
            self._note(Step.SHADOWED, shadowed.text, version)
            if not shadowed.well:
                return self._propose(version, shadowed.text)
        if self._rule.confirm is not None:
            if not self._rule.confirm(said):
                return self._propose(version, "nobody agreed yet")
        elif evidence is None or done.manifest.metrics.get("frauds", 0) < self._rule.least_frauds:
            return self._propose(version, "too little speaks for it to promote it unasked")
        if self._registry.roles().champion != champion:
            return self._note(Step.KEPT, "somebody made another version the champion meanwhile", version)
        forced = evidence is None
        self._registry.promote(version, self._features, by=BY, reason=why, evidence=evidence, force=forced)
        return self._note(Step.PROMOTED, f"it takes the place of {champion}", version)

    def _compare(self, champion: str, done: Trained) -> tuple[Evidence | None, str]:
        """Both versions on the test of the new one, which neither has learned from."""
        test, fraud = done.split.test, done.dataset.fraud
        if fraud is None or not fraud[test].any():
            return None, "no known fraud in the test to compare by"
        try:
            scorer = load_whole(self._registry.folder, self._registry.name, champion, self._features)
        except ModelError as unusable:
            return None, f"the champion cannot be compared: {unusable.found}"
        columns = [column.astype(np.float64) for column in done.dataset.matrix[test].T]
        found = average_precision(curve_of(np.nan_to_num(scorer.score(columns)), fraud[test]))
        evidence = Evidence(
            champion=found,
            challenger=done.manifest.metrics["average_precision"],
            test=f"the test {done.manifest.test} of the new version",
        )
        frauds, events = int(fraud[test].sum()), test.stop - test.start
        return evidence, (
            f"average precision {evidence.challenger:.4f} against the champion's {found:.4f} on the latest {events:,} "
            f"events, {frauds:,} of them fraud"
        )

    def _propose(self, version: str, text: str) -> Entry:
        return self._note(Step.PROPOSED, f"{text}; it waits as a challenger for `fraudstream model promote`", version)

    def _note(self, step: Step, text: str, version: str | None = None, **more: Any) -> Entry:
        champion = self._registry.roles().champion
        return self.diary.add(
            Entry(at=now(), run=self._run, step=step, text=text, version=version, champion=champion, **more)
        )
