"""The stream loop: poll → engine → produce → offsets → commit, each portion in one Kafka transaction.

The committed offsets are the only oracle for what happened. After any doubt the producer is rebuilt, and input and
state go back to exactly what was committed.

While a commit is on its way the loop fetches and decodes, and when much is waiting it computes the next portion as
well. A portion is what has come since the last one: small, and so quickly answered, when the topic is quiet; large
when it is not.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

from fraudstream import failpoints
from fraudstream.engine.fallback import Account
from fraudstream.engine.program import NOTHING, Program
from fraudstream.errors import FencedError, FraudstreamError, RegistryUnreachable
from fraudstream.kafka.partition import TopicPartition
from fraudstream.kafka.transactions import TransactionAborted, TransactionInDoubt
from fraudstream.plan.plan import Plan
from fraudstream.runner.checkpoint import Checkpoints
from fraudstream.runner.committer import LOST_S, Committed, Committer, OutputProducer, Prepared
from fraudstream.runner.inputs import ConsumerFactory, features_beyond_key, not_alone
from fraudstream.runner.intake import Intake, Place, Portion
from fraudstream.runner.metrics import ScorerMetrics
from fraudstream.runner.observation import Observation, places
from fraudstream.runner.outputs import Outputs
from fraudstream.runner.pace import BUSY_ROWS, Pace
from fraudstream.runner.positions import Reached, committed_positions, to_commit
from fraudstream.runner.replay import Replay
from fraudstream.runner.serving import Serving
from fraudstream.runner.statistics import Statistics
from fraudstream.state.state import State
from fraudstream.telemetry.exporter import STUCK_AFTER_S
from fraudstream.telemetry.series import Series

if TYPE_CHECKING:
    from fraudstream.runner.traces import Traces

LOGGER = logging.getLogger("fraudstream.runner")

MAX_ROWS = 8_192
"""Records in a portion, and so in a transaction, at most."""
FETCH_ROWS = 16_384
IDLE_S = 0.1
COMMITTING_S = 0.005
STATISTICS_S = 1.0
SNAPSHOT_S = 300.0
SNAPSHOT_EVENTS = 500_000
"""A snapshot after so many events, which a start would have to replay (some 3 s), or after so long."""
ENDS_WITHIN_S = 2.5
"""How long an end waits for the last commit; later answers are left to the next start, which asks Kafka."""
LONG_REPLAY = 100_000
"""After a replay longer than this, a snapshot spares the next start from repeating it."""


class StreamLoop:
    """One scorer at work. `run` blocks; `stop` may be called from a signal handler or another thread.

    Args:
        plan: What to compute.
        program: The engine, with its model.
        consumer_of: Builds the consumer of the input and label topics.
        producer: Commits records and offsets.
        checkpoints: The snapshots.
        intake: Decodes and merges what is fetched.
        input_partitions: How many partitions the input topic has.
        serving: Which model serves and what is switched off, batch by batch; without it the program stays as it is.
        schema_ids: By topic, the schema of each route that is not JSON.
        on_statistics: Told the statistics about once a second.
        traces: Follows sampled records; None: none is.

    Attributes:
        moved_at_s, stuck_after_s: As of `Watched` in `telemetry/exporter.py`.
    """

    stuck_after_s = STUCK_AFTER_S

    def __init__(
        self,
        plan: Plan,
        program: Program,
        consumer_of: ConsumerFactory,
        producer: OutputProducer,
        checkpoints: Checkpoints,
        intake: Intake,
        *,
        input_partitions: int,
        serving: Serving | None = None,
        schema_ids: Mapping[str, int] | None = None,
        on_statistics: Callable[[Statistics], None] | None = None,
        traces: Traces | None = None,
    ) -> None:
        self._plan = plan
        self._program = program
        self._consumer = consumer_of(on_assigned=self._assigned, on_revoked=self._revoked)
        self._producer = producer
        self._committer = Committer(producer)
        self._checkpoints = checkpoints
        self._intake = intake
        self._outputs = Outputs(plan, schema_ids or {})
        self._pace = Pace(self._consumer, intake)
        self._serving = serving
        self._input_partitions = input_partitions
        self._on_statistics = on_statistics
        self._observed = Observation(plan, traces)
        self._stages, self._totals = self._observed.stages, self._observed.meter.totals
        program.ended = self._stages.ended
        clients = {"consumer": [self._consumer.statistics], "producer": producer.statistics}
        self._metrics = ScorerMetrics(plan, self._observed, self._pace, checkpoints, serving, clients)
        self._state = State(plan)
        self._account = Account()
        self._positions: dict[Place, int] = {}
        self._replay: Replay | None = None
        self._committed_sequence = 0
        self._refusal: FraudstreamError | None = None
        self._stopping = False
        self._closing = False
        self._doubtful = False
        self._owned_all = self._owned = False
        self._unsaved = False
        self._saved_at = self._told_at = self.moved_at_s = time.monotonic()
        self._saved_sequence = 0

    def stop(self) -> None:
        """Asks the loop to finish what is in hand and return."""
        self._stopping = True
        self._intake.give_up()

    def run(self, *, until_caught_up: bool = False) -> Statistics:
        """Scores until stopped, or until everything there was at some moment has been scored.

        Raises:
            FraudstreamError: What a person must look at; nothing is lost, a restart goes on from what was committed.
        """
        try:
            self._producer.open()
            self._consumer.open()
            while not self._stopping:
                try:
                    self._step()
                    if until_caught_up and self._caught_up():
                        break
                except (TransactionAborted, TransactionInDoubt) as reason:
                    self._rewind(reason)
                except RegistryUnreachable:  # of the records that were fetched nothing has been done yet
                    if not self._stopping:
                        raise
            failpoints.hit("drain")
            try:
                self._note(self._committer.settle(ENDS_WITHIN_S))
                self._save(wait=True)
            except (TransactionAborted, TransactionInDoubt) as reason:
                LOGGER.warning("the last transaction is left to the next start: %s", reason, extra={"kind": "rewind"})
            return self._told(self._observed.meter.summary(self._pace.behind(), self._state))
        finally:
            # From here on nothing is saved: after an error the state may be ahead of its positions.
            self._closing = True
            with ExitStack() as last:  # each is closed whatever the one before says
                last.callback(self._observed.close)
                last.callback(self._checkpoints.close)
                if self._serving is not None:
                    last.callback(self._serving.close)
                last.callback(self._producer.close)
                last.callback(self._consumer.close)
                last.callback(self._committer.close)

    def unready(self) -> str | None:
        """Why nothing is decided now, or not with the model; None where all is well. For any thread."""
        if not self._owned:
            return "no partitions are assigned"
        if self._intake.waits_for is not None:
            return self._intake.waits_for
        if self._replay is not None:
            return f"the state is being rebuilt: {self._totals.replayed:,} records replayed"
        return None if self._serving is None else self._serving.unready()

    def series(self) -> Iterable[Series]:
        """The scorer's metrics, for any thread."""
        return self._metrics.series()

    # ── one step ────────────────────────────────────────────────────────────────────────────────────────────

    def _step(self) -> None:
        self.moved_at_s = time.monotonic()
        self._fetch()
        self._pace.balance()
        self._watch()
        if self._replay is not None:
            self._replay_some(self._replay)
            return
        if self._committer.in_flight and self._intake.held < BUSY_ROWS:
            return
        self._stages.begin()
        portion = self._intake.take(MAX_ROWS, self._pace.frontier())
        if portion is None:
            if not self._committer.in_flight:
                self._note(self._committer.settle())
            return
        prepared = self._decide(portion)
        self._note(self._committer.settle())
        self._committer.submit(prepared, self._consumer.group_metadata())
        self._save()

    def _fetch(self) -> None:
        """Fetches what has come, unless enough waits, and decodes it. Partition handlers run in here."""
        if self._pace.has_enough(MAX_ROWS):
            return
        busy = self._committer.in_flight
        if busy and self._intake.held < BUSY_ROWS:
            self._committer.wait(COMMITTING_S)  # fetching one by one meanwhile would take the broker's processor time
        wait_s = 0.0 if busy or self._intake.held >= BUSY_ROWS else COMMITTING_S if self._intake.held else IDLE_S
        self._stages.begin()
        messages = self._consumer.poll(FETCH_ROWS, wait_s)
        if self._refusal is not None:
            raise self._refusal
        if messages:
            self._observed.fetched(messages)
            fetched = self._intake.add(messages)
            self._stages.ended("decode")
            if self._replay is not None:
                self._replay.fetched(fetched)

    def _decide(self, portion: Portion) -> Prepared:
        """Computes a portion; from here on the state is ahead of what is committed."""
        headers = self._observed.begun(portion)
        now_ms = time.time_ns() // 1_000_000
        off = self._serving.ready(self._program) if self._serving is not None else NOTHING
        account = self._account
        self._stages.begin()
        decisions = self._program.decide(self._state, portion.batch, portion.labels, now_ms, off, account)
        records = self._outputs.of(decisions, portion.rejected, headers)
        self._stages.ended("encode")
        self._positions |= portion.next_offsets
        self._unsaved = True
        reached = Reached.of(self._state.sequence, account)
        return Prepared(portion, decisions, records, to_commit(portion.next_offsets, reached))

    def _note(self, committed: Committed | None) -> None:
        """Counts what was committed."""
        if committed is not None:
            self._observed.committed(committed)
            if self._serving is not None:
                self._serving.committed(committed.prepared.decisions)

    # ── recovery ────────────────────────────────────────────────────────────────────────────────────────────

    def _assigned(self, partitions: list[TopicPartition]) -> None:
        """New partitions: the state becomes what it was at their committed offsets."""
        owned = [partition for partition in partitions if partition.topic == self._plan.pipeline.input.name]
        if len(owned) < self._input_partitions and features_beyond_key(self._plan):
            if not self._owned_all:
                self._refusal = not_alone(self._plan)
                return
            # The newcomer is the one to be refused; what is fetched meanwhile has no lane and is dropped.
            LOGGER.warning("another scorer joined the group; this one waits until it has gone")
            return
        self._owned_all = True
        if self._doubtful:
            self._producer.rebuild()
            self._doubtful = False
        start = self._recover(partitions)
        for partition in partitions:
            partition.offset = start.get((partition.topic, partition.partition), -1)
        self._owned = bool(partitions)
        self._observed.tally.rebalances["assigned"] += 1

    def _revoked(self, partitions: list[TopicPartition], lost: bool) -> None:
        """Partitions go away: what is in flight ends first."""
        failpoints.hit("revoke")
        self._owned = False
        self._observed.given_up(self._positions, lost=lost)
        try:
            self._note(self._committer.settle(ENDS_WITHIN_S if self._closing else LOST_S))
            if not lost and not self._closing:
                self._save(wait=True)
        except (TransactionAborted, TransactionInDoubt) as reason:
            LOGGER.warning("while partitions were revoked: %s", reason, extra={"kind": "rewind"})
            # A new producer ends the doubtful transaction, but it would also fence a successor that took our place.
            self._doubtful = lost or self._closing
            if not self._doubtful:
                self._producer.rebuild()
        except FencedError:
            if not self._closing:
                raise
        self._intake.assign([])
        # Whoever lost its place is a newcomer when it comes back.
        self._owned_all &= not lost
        # The state is nobody's until partitions are assigned: without positions it must not be saved.
        self._positions = {}
        self._replay = None
        self._unsaved = False

    def _rewind(self, reason: TransactionAborted | TransactionInDoubt) -> None:
        """After doubt: a new producer, then input and state as they were at the committed offsets."""
        doubtful, self._committer.last = self._committer.last, None
        self._observed.rewound(reason, doubtful)
        # We may have been stopped for long: if another has our place by now, a new producer of ours would fence *it*.
        self._consumer.check_place()
        self._producer.rebuild()
        self._doubtful = False
        partitions = self._consumer.committed()
        start = self._recover(partitions)
        committed, _ = committed_positions(partitions)
        if doubtful is not None and all(
            committed.get(place, 0) >= offset for place, offset in doubtful.portion.next_offsets.items()
        ):
            self._note(Committed(doubtful, time.time_ns() // 1_000_000))
        self._consumer.rewind(
            [TopicPartition(p.topic, p.partition, start.get((p.topic, p.partition), -1)) for p in partitions]
        )

    def _recover(self, partitions: list[TopicPartition]) -> dict[Place, int]:
        """Takes the newest usable state; returns where reading starts (the earliest offset where it is not named)."""
        committed, reached = committed_positions(partitions)
        self._committed_sequence = reached.sequence
        self._account = reached.account()
        restored = self._checkpoints.newest(committed)
        self._state, self._positions = restored.state, dict(restored.positions)
        self._saved_sequence = self._state.sequence
        owned = [(partition.topic, partition.partition) for partition in partitions]
        self._intake.assign(owned)
        self._observed.begun_anew()
        self._pace.begin()
        self._replay = Replay(restored.positions, committed, owned)
        LOGGER.info(
            "starting from %s, replaying up to %d decided events",
            restored.snapshot.name if restored.snapshot else "an empty state",
            self._committed_sequence,
            extra={"kind": "assigned", "sequence": self._state.sequence, **places(restored.positions, owned)},
        )
        return restored.positions

    def _replay_some(self, replay: Replay) -> None:
        """Moves the state on, up to the committed offsets."""
        behind = replay.behind(self._pace.lags)
        portion = self._intake.take(MAX_ROWS, self._intake.frontier(behind), replay.stop_at)
        if portion is not None:
            self._program.learn(self._state, portion.batch, portion.labels)
            failpoints.hit("replay")
            self._positions |= portion.next_offsets
            self._observed.replayed(portion)
            return
        self._pace.refresh()
        if not replay.done(self._intake, self._pace.lags):
            return
        self._replay = None
        LOGGER.info(
            "the state is rebuilt, deciding goes on",
            extra={"kind": "ready", "sequence": self._committed_sequence, "replayed": self._totals.replayed},
        )
        if self._state.sequence < self._committed_sequence:
            # The others were decided by another member of the group on its partitions, or the log has lost them.
            replay.warn_of_gone(self._consumer.beginnings())
            self._state.sequence = self._committed_sequence
        # A larger one stands where offsets were set by hand, without ours beside them: what was replayed counts.
        if self._totals.replayed > LONG_REPLAY:
            self._unsaved = True
            self._save(wait=True)

    def _save(self, *, wait: bool = False) -> None:
        """A snapshot, now and then; its positions are those of the state, committed or not."""
        if not self._unsaved or self._replay is not None:
            return
        sequence, now = self._state.sequence, time.monotonic()
        if not wait and now - self._saved_at < SNAPSHOT_S and sequence - self._saved_sequence < SNAPSHOT_EVENTS:
            return
        if self._checkpoints.save(self._state, self._positions, wait=wait):
            self._saved_at, self._saved_sequence = now, sequence
            self._unsaved = False

    # ── keeping watch ───────────────────────────────────────────────────────────────────────────────────────

    def _watch(self) -> None:
        """Now and then: how far behind we are, and what to tell."""
        self._pace.watch()
        now = time.monotonic()
        if now - self._told_at > STATISTICS_S:
            self._told_at = now
            self._observed.meter.last = self._told(self._observed.meter.read(self._pace.behind(), self._state))
            self._observed.dead_letters.tell()
            if self._on_statistics is not None:
                self._on_statistics(self._observed.meter.last)

    def _told(self, seen: Statistics) -> Statistics:
        return seen if self._serving is None else self._serving.told(seen)

    def _caught_up(self) -> bool:
        """Whether nothing is left to do at this moment."""
        return self._replay is None and not self._committer.in_flight and self._pace.is_at_end()
