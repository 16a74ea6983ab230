"""All that a pipeline remembers: a pure function of the input log."""

from __future__ import annotations

from fraudstream.plan.plan import KeyedLog, Plan
from fraudstream.state.ids import EventIds
from fraudstream.state.keys import EVICTED, EVICTED_EARLY, KeyTable
from fraudstream.state.layout import LogLayout
from fraudstream.state.log import Log


class KeyedState:
    """The history of one key.

    Attributes:
        reads_labels: Whether features ask which of its events are known to be fraud.
    """

    def __init__(self, log: KeyedLog) -> None:
        self.log = log
        self.layout = LogLayout(log)
        self.keys = KeyTable(log.max_keys)
        self.events = Log(self.layout, log.retention_ms)
        self.reads_labels = log.label_retention_ms > 0


class State:
    """The state of a plan, empty when made.

    Attributes:
        identity: The hash of what decides what is stored.
        logs: One for each keyed log of the plan, in its order.
        ids: First copies and labels by event id; None where events have no id.
        sequence: How many events have been decided: the place of the next in processing order.
    """

    def __init__(self, plan: Plan) -> None:
        self.identity = plan.state_identity
        self.logs = [KeyedState(log) for log in plan.logs]
        labelled = sum(1 for state in self.logs if state.reads_labels)
        self.ids = EventIds(plan.dedup_ms, plan.label_retention_ms, labelled) if plan.pipeline.event.id else None
        self.sequence = 0

    def evict(self, keyed: KeyedState) -> None:
        """Forgets the least recently seen keys of one log that is full, with all that is known of them."""
        new_of = keyed.keys.evict(keyed.log.retention_ms)
        keyed.events.evict(new_of)
        if keyed.reads_labels:
            assert self.ids is not None
            labelled = [state for state in self.logs if state.reads_labels]
            self.ids.renumber(labelled.index(keyed), new_of)

    @property
    def size_bytes(self) -> int:
        """Memory the state's arrays take, unused room included."""
        arrays = [array for state in self.logs for array in (state.events.pool, state.events.blocks)]
        arrays += [array for state in self.logs for array in state.keys.arrays().values()]
        return sum(array.nbytes for array in arrays) + (self.ids.table.nbytes if self.ids else 0)

    @property
    def n_keys(self) -> int:
        """How many keys are known, over all logs."""
        return sum(state.keys.n_keys for state in self.logs)

    @property
    def evicted_keys_total(self) -> int:
        """How many keys were forgotten to make room, over all logs."""
        return sum(int(state.keys.counters[EVICTED]) for state in self.logs)

    @property
    def evicted_early_total(self) -> int:
        """How many of them features could still have looked back on: a sign that `max_keys` is too small."""
        return sum(int(state.keys.counters[EVICTED_EARLY]) for state in self.logs)
