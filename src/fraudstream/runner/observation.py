"""What is counted, timed and logged of a scorer's work."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fraudstream.kafka.headers import Headers
from fraudstream.kafka.transactions import TransactionAborted, TransactionExpired, TransactionInDoubt
from fraudstream.plan.plan import Plan
from fraudstream.runner.committer import Committed, Prepared
from fraudstream.runner.deadletterlog import DeadLetterLog
from fraudstream.runner.intake import Place, Portion
from fraudstream.runner.outputs import Coordinates
from fraudstream.runner.statistics import Meter
from fraudstream.runner.tally import Tally
from fraudstream.telemetry.stages import Stages

if TYPE_CHECKING:
    from fraudstream.runner.traces import Traces

LOGGER = logging.getLogger("fraudstream.runner")

STAGES = ("fetch", "decode", "merge", "featurize", "rules", "score", "decide", "encode", "commit")
_REASONS = {TransactionAborted: "aborted", TransactionInDoubt: "in_doubt", TransactionExpired: "expired"}


class Observation:
    """Keeps the books of one scorer; the loop's thread writes them, any thread may read.

    Args:
        plan: The pipeline's plan.
        traces: Follows sampled records; None: none is.

    Attributes:
        meter: The statistics.
        tally: What was counted of commits.
        stages: How long each stage took.
        dead_letters: Tells of them.
    """

    def __init__(self, plan: Plan, traces: Traces | None = None) -> None:
        self._traces = traces
        self.meter = Meter()
        self.tally = Tally(plan)
        self.stages = Stages(STAGES)
        self.dead_letters = DeadLetterLog()

    def fetched(self, messages: Sequence[Any]) -> None:
        """Records have come."""
        self.stages.ended("fetch")
        if self._traces is not None:
            self._traces.note(messages)

    def replayed(self, portion: Portion) -> None:
        """A portion moved the state on and is not decided."""
        self.meter.totals.replayed += portion.n_records
        if self._traces is not None:
            self._traces.forget(portion.next_offsets)

    def begun(self, portion: Portion) -> Mapping[Coordinates, Headers]:
        """A portion is decided from now on; returns the headers of records that are written of its records."""
        self.stages.ended("merge")
        return {} if self._traces is None else self._traces.begin(portion)

    def begun_anew(self) -> None:
        """Everything is read from the committed offsets on."""
        if self._traces is not None:
            self._traces.begin_anew()

    def close(self) -> None:
        """Tells what was not told yet."""
        self.dead_letters.tell(at_once=True)
        if self._traces is not None:
            self._traces.close()

    def committed(self, committed: Committed) -> None:
        """Counts a portion whose transaction was answered."""
        portion = committed.prepared.portion
        self.meter.committed(committed.prepared.decisions, len(portion.rejected), len(portion.labels), committed.at_ms)
        self.tally.committed(committed)
        self.dead_letters.add(portion.rejected)
        if self._traces is not None:
            self._traces.committed(portion, committed.prepared.decisions, committed.at_ms)
        if committed.took_s is not None:
            self.stages.durations["commit"].add_one(committed.took_s)

    def rewound(self, reason: TransactionAborted | TransactionInDoubt, doubtful: Prepared | None) -> None:
        """Everything goes back to the committed offsets, because of this transaction."""
        why = _REASONS[type(reason)]
        about = {} if doubtful is None else places(doubtful.portion.next_offsets)
        LOGGER.warning(
            "the transaction is done again if it was not committed: %s",
            reason,
            extra={"kind": "rewind", "reason": why, **about},
        )
        self.meter.totals.aborted += 1
        self.tally.rewinds[why] += 1

    def given_up(self, positions: Mapping[Place, int], *, lost: bool) -> None:
        """Partitions went away, at these positions."""
        how = "lost" if lost else "revoked"
        LOGGER.info("partitions were %s", how, extra={"kind": how, **places(positions)})
        self.tally.rebalances[how] += 1


def places(positions: Mapping[Place, int], also: Iterable[Place] = ()) -> dict[str, Any]:
    """Where partitions stand, for a log line; those that nothing was read from stand at 0."""
    stand = dict.fromkeys(also, 0) | dict(positions)
    return {"partitions": [{"topic": t, "partition": p, "offset": o} for (t, p), o in sorted(stand.items())]}
