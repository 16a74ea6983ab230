"""The metrics of a scorer; docs/metrics.md lists them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fraudstream.kafka.clientstats import ClientStatistics
from fraudstream.kafka.series import kafka_series, lag_series
from fraudstream.plan.plan import Plan
from fraudstream.runner.checkpoint import Checkpoints
from fraudstream.runner.observation import Observation
from fraudstream.runner.pace import Pace
from fraudstream.runner.serving import Serving
from fraudstream.runner.statistics import Statistics
from fraudstream.telemetry.series import Series, counter, gauge, histogram


class ScorerMetrics:
    """What a scorer's parts have counted, as series; read on other threads than the loop's.

    Args:
        plan: The pipeline's plan.
        observed: What was counted and timed; statistics are not older than a second.
        pace: How far behind each partition is.
        checkpoints: The snapshots.
        serving: Which models serve; None where none can.
        clients: What the Kafka clients tell, by `consumer` and `producer`.
    """

    def __init__(
        self,
        plan: Plan,
        observed: Observation,
        pace: Pace,
        checkpoints: Checkpoints,
        serving: Serving | None,
        clients: Mapping[str, Sequence[ClientStatistics]],
    ) -> None:
        self._versions = plan.versions
        self._meter, self._tally, self._stages = observed.meter, observed.tally, observed.stages
        self._pace = pace
        self._checkpoints = checkpoints
        self._serving = serving
        self._clients = clients
        self._evicted = self._evicted_early = self._expired = 0

    def series(self) -> Iterable[Series]:
        """All of them, now."""
        seen = self._meter.last
        yield from self._decisions(seen)
        yield from self._work(seen)
        yield from self._state(seen)
        yield from self._models(seen)
        yield from kafka_series(self._clients)

    def _decisions(self, seen: Statistics) -> Iterable[Series]:
        tally = self._tally
        versions = {(self._versions.pipeline, self._versions.rules, self._versions.lists): 1}
        yield gauge(
            "pipeline_info", "The versions that decisions carry.", versions,
            "pipeline_version", "rules_version", "lists_version",
        )  # fmt: skip
        outcomes = {"approve": seen.approved, "review": seen.reviewed, "block": seen.blocked}
        yield counter("decisions_total", "Decisions committed.", outcomes, "outcome")
        yield counter("decision_risk_levels_total", "Decisions by risk level.", tally.risk_levels, "risk_level")
        flags = {
            "late": seen.late, "duplicate": seen.duplicates, "degraded": seen.degraded,
            "let_through": seen.let_through, "over_limit": seen.over_limit,
        }  # fmt: skip
        yield counter("decision_flags_total", "Decisions with a flag, or reviewed over the limit.", flags, "flag")
        yield counter("alerts_total", "Decisions to review or block that are no duplicates.", seen.alerts)
        yield counter("rule_hits_total", "Decisions that a rule hit.", tally.rule_hits, "code")
        yield counter(
            "dead_letters_total", "Records that could not become decisions.", dict(tally.dead_letters), "class"
        )
        yield counter("labels_total", "Labels taken.", seen.labels)
        yield histogram("decision_score", "Scores of decisions.", tally.scores)
        newest = None if tally.newest_event_at_ms is None else tally.newest_event_at_ms / 1_000
        yield gauge("newest_event_timestamp_seconds", "The greatest event time decided.", newest)

    def _work(self, seen: Statistics) -> Iterable[Series]:
        tally, waiting = self._tally, self._pace.waiting()
        yield histogram("event_latency_seconds", "From an event's Kafka timestamp to its commit.", tally.latencies)
        yield histogram("stage_duration_seconds", "Of each stage, by batch.", self._stages.durations, "stage")
        yield histogram("transaction_records", "Input records in a transaction.", tally.records)
        ended = {"committed": seen.transactions, "redone": seen.aborted}
        yield counter("transactions_total", "Transactions by how they ended.", ended, "result")
        yield counter("rewinds_total", "Returns to the committed offsets.", tally.rewinds, "reason")
        yield counter("rebalances_total", "Changes of the partitions.", tally.rebalances, "event")
        yield counter("replayed_records_total", "Records replayed on recovery.", seen.replayed)
        lags = {place: lag + waiting.get(place, 0) for place, lag in self._pace.lags.items() if lag is not None}
        yield lag_series(lags)
        yield gauge("held_records", "Records fetched that wait for the engine.", sum(waiting.values()))

    def _state(self, seen: Statistics) -> Iterable[Series]:
        written = self._checkpoints.written
        yield gauge("state_keys", "Keys known, over all histories.", seen.keys)
        yield gauge("state_bytes", "Memory of the state.", seen.state_bytes)
        # The state's own totals go back with it; a counter must not.
        self._evicted = max(self._evicted, seen.evicted_keys_total)
        self._evicted_early = max(self._evicted_early, seen.evicted_early_total)
        self._expired = max(self._expired, seen.expired_labels_total)
        yield counter("evicted_keys_total", "Keys forgotten because of max_keys.", self._evicted)
        yield counter("evicted_early_keys_total", "Those that features could still look back on.", self._evicted_early)
        yield gauge("labels_pending", "Labels that wait for their event.", seen.pending_labels)
        yield counter("labels_expired_total", "Labels too late for any feature.", self._expired)
        results = {"written": written.written, "failed": written.failed}
        yield counter("snapshots_total", "Snapshots by what became of them.", results, "result")
        yield gauge("snapshot_timestamp_seconds", "When the newest snapshot was written.", written.at_s)
        yield gauge("snapshot_bytes", "Its size.", written.n_bytes)
        yield gauge("snapshot_duration_seconds", "How long writing it took.", written.took_s)

    def _models(self, seen: Statistics) -> Iterable[Series]:
        shadow = {} if self._serving is None else self._serving.shadow_scores
        roles = {} if self._serving is None else self._serving.versions
        yield gauge("model_info", "The versions that score now.", roles, "model", "role")
        scores = {(version, "champion"): scores for version, scores in dict(self._tally.model_scores).items()}
        scores |= {(version, "challenger"): scores for version, scores in dict(shadow).items()}
        yield histogram("model_score", "Scores of models.", scores, "model", "role")
        yield counter("shadow_scores_total", "Scores of challengers that were written.", seen.shadowed)
        yield counter("shadow_skipped_total", "Decisions the shadow had no time for.", seen.shadow_skipped)
        yield counter("rescored_total", "Decisions scored when the model was back.", seen.rescored)
        yield gauge("switched_off", "1 for what is switched off.", dict.fromkeys(seen.off, 1), "code")
