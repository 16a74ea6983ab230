"""Online–offline skew: the features on record against those that the log of events gives when computed again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
import orjson

from fraudstream.define.feature import FeatureKind
from fraudstream.engine.batch import Batch
from fraudstream.engine.column import Int64s
from fraudstream.engine.decode import Decoder
from fraudstream.engine.encode import write_features
from fraudstream.engine.program import Program
from fraudstream.engine.record_writer import RecordWriter
from fraudstream.monitoring.logged import Recorded
from fraudstream.plan.expression import references
from fraudstream.plan.plan import Plan
from fraudstream.runner.labels import DecodedLabels
from fraudstream.state.ids import Labels
from fraudstream.state.state import State

CHUNK = 8_192
SLACK_MS = 10_000
"""A label that reached Kafka this long before a decision may or may not have been known to it."""
_FIRST = 1_000
_STEADY = (FeatureKind.LABEL_COUNT, FeatureKind.LABEL_RATE)
"""With each label that a fraud becomes known by they grow."""
_LONG_AGO, _NEVER = np.iinfo(np.int64).min, np.iinfo(np.int64).max


class Skewed(msgspec.Struct, frozen=True, kw_only=True):
    """What computing again gave.

    Attributes:
        checked: Decisions whose features were compared, byte for byte.
        differing: How many of them were logged with others.
        features: By feature, in how many decisions it differs.
        first: Where the first of them came from, partition and offset.
        unchecked: Decisions that could not be: their history lies before what was read, or another version decided.
    """

    checked: int
    differing: int
    features: dict[str, int]
    first: str | None
    unchecked: int


class SkewCheck:
    """Computes features again as decisions come, in the order in which they were decided.

    The place of labels among events is not on record. So features are computed twice, with all labels as early and with
    all as late as they can have come. A rate or count of labels is taken for right between the two. Other features that
    rest on labels, such as a mean without known frauds, may be anything where some have come and others not: nothing
    can be said of them while labels are on their way.

    Args:
        plan: The pipeline.
        complete: Whether the first decision ever is among those to come; if not, decisions that look back before the
            first one are left out.
    """

    def __init__(self, plan: Plan, *, complete: bool) -> None:
        self._plan = plan
        self._program, self._decoder = Program(plan), Decoder(plan.pipeline.event)
        runs = 2 if plan.label_retention_ms else 1
        self._runs = [_Run(self._program.new_state(), late=place > 0) for place in range(runs)]
        self._uncertain = _resting_on_labels(plan)
        self._steady = {feature.name for feature in plan.features if feature.kind in _STEADY}
        self._settled_ms = _NEVER
        self._looks_back_ms = max(
            [2 * plan.dedup_ms, plan.label_retention_ms, *(log.retention_ms for log in plan.logs)], default=0
        )
        self._waiting: dict[int, Recorded] = {}
        self._next: int | None = 0 if complete else None
        self._sure_from_ms = _LONG_AGO if complete else _NEVER
        self._checked = self._differing = self._unchecked = 0
        self._of_feature: Counter[str] = Counter()
        self._first: str | None = None

    def add(
        self,
        recorded: Iterable[Recorded],
        labels: Sequence[tuple[DecodedLabels, Int64s]] = (),
        settled_ms: int | None = None,
    ) -> None:
        """Takes decisions and labels, and compares what it can.

        Args:
            recorded: Decisions, in any order.
            labels: Labels with their Kafka timestamps; -1 where unknown.
            settled_ms: The labels that came before this instant are all here; later decisions wait for those to come.
                None: all there are.
        """
        if settled_ms is not None and self._uncertain:
            self._settled_ms = settled_ms
        for run in self._runs:
            for decoded, arrived_ms in labels:
                run.add(decoded, arrived_ms)
        for each in recorded:
            if self._next is None or each.sequence >= self._next:
                self._waiting.setdefault(each.sequence, each)
        if self._next is None:
            return  # where to begin is known once all that there is has been read
        while chunk := self._ready():
            self._compare(chunk)

    def result(self) -> Skewed:
        """What was found so far; all that there was at the beginning must have been added."""
        if self._next is None and self._waiting:
            self._next = self._begin()
            self.add([])
        features = dict(self._of_feature.most_common())
        unchecked = self._unchecked + len(self._waiting)
        return Skewed(
            checked=self._checked,
            differing=self._differing,
            features=features,
            first=self._first,
            unchecked=unchecked,
        )

    def _begin(self) -> int:
        """From the middle of a log: the first of the decisions after which none is missing."""
        sequences = np.sort(np.fromiter(self._waiting, np.int64, len(self._waiting)))
        gaps = np.flatnonzero(np.diff(sequences) != 1)
        begin = int(sequences[gaps[-1] + 1]) if len(gaps) else int(sequences[0])
        for sequence in sequences[sequences < begin].tolist():
            del self._waiting[sequence]
            self._unchecked += 1
        first = [each.event_at_ms for each in self._waiting.values() if each.sequence < begin + _FIRST]
        self._sure_from_ms = max(first) + self._looks_back_ms
        return begin

    def _ready(self) -> list[Recorded]:
        """The next decisions without a gap."""
        if self._next is None:
            return []
        chunk: list[Recorded] = []
        while len(chunk) < CHUNK and (each := self._waiting.get(self._next)) is not None:
            if each.decided_at_ms > self._settled_ms:
                break
            chunk.append(self._waiting.pop(self._next))
            self._next += 1
        return chunk

    def _compare(self, chunk: list[Recorded]) -> None:
        event_at_ms = np.array([each.event_at_ms for each in chunk], np.int64)
        decided_at_ms = np.array([each.decided_at_ms for each in chunk], np.int64)
        timed = self._plan.pipeline.event.time is not None
        decoded = self._decoder.decode(
            [each.event for each in chunk], np.full(len(chunk), -1) if timed else event_at_ms
        )
        partition = np.array([each.partition for each in chunk], np.int32)
        offset = np.array([each.offset for each in chunk], np.int64)
        batch = Batch.of(decoded, self._plan.pipeline.input.name, partition, offset)
        texts, known = [], []
        for run in self._runs:
            due = run.due(event_at_ms, decided_at_ms)
            known.append(run.handed_out + np.searchsorted(due.position, np.arange(len(batch)), side="right"))
            run.handed_out += len(due.position)
            found = self._program.featurize(run.state, batch, due)
            writer = RecordWriter(np.arange(len(batch)))
            write_features(writer, {each.name: found.columns[each.name] for each in self._plan.features}, batch)
            texts.append(writer.write())
        settled = known[0] == known[-1]  # with each decision no label can both have come and not
        mine = self._plan.versions.pipeline
        for row, each in enumerate(chunk):
            if each.pipeline != mine or each.event_at_ms < self._sure_from_ms:
                self._unchecked += 1
                continue
            self._checked += 1
            computed = [text[row] for text in texts]
            if each.features in computed:
                continue
            names = self._differences(each.features, computed, settled=bool(settled[row]))
            if names:
                self._differing += 1
                self._of_feature.update(names)
                self._first = self._first or f"{each.partition}/{each.offset}"

    def _differences(self, recorded: bytes, computed: list[bytes], *, settled: bool) -> list[str]:
        logged, *others = (orjson.loads(text) for text in (recorded, *computed))
        return [
            name
            for name, value in logged.items()
            if not any(_same(other.get(name), value) for other in others)
            and not (name in self._steady and _between(value, [other.get(name) for other in others]))
            and (settled or name in self._steady or name not in self._uncertain)
        ]


class _Run:
    """The state as it is with labels at one end of when they can have come."""

    def __init__(self, state: State, *, late: bool) -> None:
        self.state = state
        self._late = late
        self._arrived_ms = np.empty(0, np.int64)
        self._labels = Labels.none()
        self._newest_event_ms = self._newest_decided_ms = _LONG_AGO
        self.handed_out = 0

    def add(self, decoded: DecodedLabels, arrived_ms: Int64s) -> None:
        """Takes note of labels and their Kafka timestamps."""
        unknown = _LONG_AGO if self._late else _NEVER
        arrived = np.where(arrived_ms < 0, unknown, arrived_ms + (SLACK_MS if self._late else 0))
        rows = np.flatnonzero(decoded.ok)
        self._arrived_ms = np.concatenate([self._arrived_ms, arrived[rows]])
        pairs = ((each, getattr(decoded, each)[rows]) for each in ("low", "high", "fraud", "labelled_at_ms"))
        joined = {name: np.concatenate([getattr(self._labels, name), new]) for name, new in pairs}
        self._labels = Labels(np.zeros(len(self._arrived_ms), np.int64), **joined)

    def due(self, event_at_ms: Int64s, decided_at_ms: Int64s) -> Labels:
        """The labels that come before the last of these decisions, with their places among them."""
        events = np.maximum(np.maximum.accumulate(event_at_ms), self._newest_event_ms)
        decided = np.maximum(np.maximum.accumulate(decided_at_ms), self._newest_decided_ms)
        self._newest_event_ms, self._newest_decided_ms = int(events[-1]), int(decided[-1])
        by_time = np.searchsorted(events, self._labels.labelled_at_ms)
        by_arrival = np.searchsorted(decided, self._arrived_ms)
        position = np.maximum(by_time, by_arrival) if self._late else np.minimum(by_time, by_arrival)
        ready = np.flatnonzero(position < len(events))
        ready = ready[np.argsort(position[ready], kind="stable")]
        due = self._take(ready, position[ready])
        kept = np.flatnonzero(position >= len(events))
        self._labels, self._arrived_ms = self._take(kept, np.zeros(len(kept), np.int64)), self._arrived_ms[kept]
        return due

    def _take(self, rows: Int64s, position: Int64s) -> Labels:
        found = self._labels
        return Labels(
            position.astype(np.int64), found.low[rows], found.high[rows], found.fraud[rows], found.labelled_at_ms[rows]
        )


def _resting_on_labels(plan: Plan) -> frozenset[str]:
    """The features whose value depends on labels, by themselves or by those they use."""
    found: set[str] = set()
    for feature in plan.features:
        used = references(feature.expression) if feature.kind is FeatureKind.EXPRESSION and feature.expression else ()
        if feature.reads_labels or found.intersection(used):
            found.add(feature.name)
    return frozenset(found)


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


def _between(value: Any, ends: list[Any]) -> bool:
    """Whether a number lies between numbers; with a null among them it may be anything in between."""
    if value is None or None in ends or isinstance(value, bool | str):
        return value in ends or None in ends
    return bool(min(ends) <= value <= max(ends))
