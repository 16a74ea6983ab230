"""What is counted of committed portions for metrics: by class, code and level, and how scores and times are spread.

Counted a portion at a time over whole columns, so that it costs the stream next to nothing.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from fraudstream.define.decision import RiskLevel
from fraudstream.engine.reject import RejectClass
from fraudstream.plan.plan import Plan
from fraudstream.runner.committer import Committed
from fraudstream.telemetry.histogram import SECONDS, Histogram
from fraudstream.telemetry.series import shares

SCORE_EDGES = shares(20)
RECORDS = tuple(float(2**power) for power in range(14))


class Tally:
    """Counts what was committed, since the start of the process.

    Args:
        plan: The pipeline's plan.

    Attributes:
        dead_letters: By class.
        rewinds: How often everything went back to the committed offsets, by reason.
        rebalances: How often partitions were assigned, revoked or lost.
        latencies: From the Kafka timestamp of an event to the commit of its decision, seconds.
        scores: The decisions' scores.
        model_scores: The scores of the models that served, by version.
        records: Input records in a transaction.
        newest_event_at_ms: The greatest event time, epoch ms; None before the first event.
    """

    def __init__(self, plan: Plan) -> None:
        # All from the beginning: what first appears as 1 is no increase to Prometheus.
        self.dead_letters = Counter({kind.value: 0 for kind in RejectClass})
        self.rewinds = Counter(aborted=0, in_doubt=0, expired=0)
        self.rebalances = Counter(assigned=0, revoked=0, lost=0)
        self.latencies = Histogram(SECONDS)
        self.scores = Histogram(SCORE_EDGES)
        self.model_scores: dict[str, Histogram] = {}
        self.records = Histogram(RECORDS)
        self.newest_event_at_ms: int | None = None
        self._codes = tuple(rule.definition.code for rule in plan.rules)
        self._hits = np.zeros(len(self._codes), np.int64)
        self._risk_levels = np.zeros(len(RiskLevel), np.int64)

    @property
    def rule_hits(self) -> dict[str, int]:
        """Hits by the rule's code."""
        return dict(zip(self._codes, self._hits.tolist(), strict=True))

    @property
    def risk_levels(self) -> dict[str, int]:
        """Decisions by risk level."""
        return dict(zip((level.value for level in RiskLevel), self._risk_levels.tolist(), strict=True))

    def committed(self, committed: Committed) -> None:
        """Counts a portion whose transaction was answered."""
        portion, decisions = committed.prepared.portion, committed.prepared.decisions
        if portion.rejected:
            self.dead_letters.update(each.reject.kind.value for each in portion.rejected)
        self.records.add_one(portion.n_records)
        if not len(decisions.batch):
            return
        self._hits += np.count_nonzero(decisions.rule_hits, axis=1)
        self._risk_levels += np.bincount(decisions.risk_level, minlength=len(self._risk_levels))
        self.scores.add(decisions.score)
        version = decisions.versions.get("model")
        if version is not None:
            if version not in self.model_scores:
                self.model_scores[version] = Histogram(SCORE_EDGES)
            self.model_scores[version].add(decisions.model_score)
        self.latencies.add(np.maximum(committed.at_ms - decisions.batch.timestamp_ms, 0) / 1_000.0)
        newest = int(decisions.batch.event_at_ms.max())
        self.newest_event_at_ms = max(newest, self.newest_event_at_ms or newest)
