"""The oracle: what every feature of every event is, as plainly as it can be said.

This file *is* the meaning of a pipeline's history. It keeps lists of events and scans them; it is slow and obviously
right. The vectorised engine and the SQL engines are proved equal to it, case by case and at random.

An event's fields are a mapping from column name to value: text, int, decimals as int minor units, float, bool,
timestamps as int epoch milliseconds, or None. A location field `x` has three: `x` (the city), `x.lat` and `x.lon`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import asin, cos, radians, sin, sqrt
from typing import Any, NamedTuple

from fraudstream.define.feature import FeatureKind
from fraudstream.plan.expression import Node
from fraudstream.plan.plan import LABEL_KINDS, KeyedLog, Plan, PlannedFeature
from fraudstream.testing.evaluate import evaluate_plain

Value = str | int | float | bool | None
Fields = Mapping[str, Value]
Key = tuple[Value, ...]

EARTH_RADIUS_KM = 6371.0088
SHORTEST_TRIP_MS = 1_000


class Answer(NamedTuple):
    """What is known about one event.

    Attributes:
        features: Every feature's value by name: decimals as int minor units, null as None.
        late: Whether it is older than what one of its keys still remembers, and so was not stored there.
        duplicate_of: Partition and offset of the first copy, where this is a later one.
        sequence: How many events were processed before it.
    """

    features: dict[str, Value]
    late: bool
    duplicate_of: tuple[int, int] | None
    sequence: int


class Row(NamedTuple):
    """One event; rows sort by event time, then by where they stand in the input topic."""

    event_at: int
    partition: int
    offset: int
    fields: Fields


class Label(NamedTuple):
    """What was found out about an event. The greatest is believed: the latest, and fraud where two are as late."""

    labelled_at: int
    is_fraud: bool


@dataclass(slots=True)
class Known:
    """What is kept under an event's id: its first copy, the histories it came into by log, and the label believed."""

    row: Row
    histories: dict[str, History]
    label: Label | None = None


@dataclass(slots=True)
class History:
    """All that is remembered of one key of one log.

    Attributes:
        rows: Its events of the last `retention_ms`, up to the newest.
        frauds: The places of those known to be fraud.
        seen_at: The newest time of any event with the key, late ones and copies too.
    """

    seen_at: int
    rows: list[Row] = field(default_factory=list)
    frauds: set[tuple[int, int, int]] = field(default_factory=set)


class Oracle:
    """Processes events and labels one by one.

    Args:
        plan: The pipeline's plan.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.histories: dict[str, dict[Key, History]] = {log.name: {} for log in plan.logs}
        self.known: dict[str, Known] = {}
        self.waiting: dict[str, Label] = {}
        self.newest_at: int | None = None
        self.events = 0

    def event(self, event: Fields, event_at_ms: int, partition: int, offset: int) -> Answer:
        """The features of an event; then the event becomes part of history."""
        row = Row(event_at_ms, partition, offset, event)
        self.newest_at = max(event_at_ms, event_at_ms if self.newest_at is None else self.newest_at)
        first = self._first_copy(row)
        features: dict[str, Value] = {}
        late = False
        histories: dict[str, History] = {}
        for log in self.plan.logs:
            key = key_of(log, event)
            if key is None:
                features |= {feature.name: None for feature in log.features}
                continue
            history = histories[log.name] = self._history(log, key, row.event_at)
            if first is None:
                is_too_late = forget(history, row.event_at, log.retention_ms)
                late = late or is_too_late
            for feature in log.features:
                features[feature.name] = self._windowed(feature, history, row, is_duplicate=first is not None)
            if first is None and not is_too_late:
                history.rows = sorted([*history.rows, row], key=place)
        for feature in self.plan.features:
            if feature.kind is FeatureKind.IN_LIST:
                features[feature.name] = self._in_list(feature, event)
            elif feature.expression is not None:
                features[feature.name] = evaluate_plain(feature.expression, {**event, **features})
        if first is None:
            self._remember(row, histories)
        answer = Answer(
            features={feature.name: features[feature.name] for feature in self.plan.features},
            late=late,
            duplicate_of=None if first is None else (first.partition, first.offset),
            sequence=self.events,
        )
        self.events += 1
        return answer

    def label(self, event_id: str | int, is_fraud: bool, labelled_at_ms: int) -> None:
        """Notes what was found out about an event; the label of an event still to come waits for it."""
        label = Label(labelled_at_ms, is_fraud)
        known = self._known(str(event_id))
        if known is None:
            self.waiting[str(event_id)] = max(label, self.waiting.get(str(event_id), label))
        else:
            self._believe(label, known)

    def _history(self, log: KeyedLog, key: Key, event_at: int) -> History:
        """The history of a key that is seen now; where it is new and the log full, others are forgotten first."""
        histories = self.histories[log.name]
        if key not in histories and len(histories) == log.max_keys:
            kept = log.max_keys - max(1, log.max_keys // 8)
            # Of keys seen last at the same instant those go first that have been known longer: the sort is stable.
            for each in sorted(histories, key=lambda each: histories[each].seen_at)[: log.max_keys - kept]:
                del histories[each]
        history = histories.setdefault(key, History(event_at))
        history.seen_at = max(history.seen_at, event_at)
        return history

    # ── ids ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _id_of(self, row: Row) -> str | None:
        name = self.plan.pipeline.event.id
        return None if name is None else str(row.fields[name])

    def _known(self, event_id: str) -> Known | None:
        """What is kept under an id; nothing once it is too old for copies and for labels."""
        known = self.known.get(event_id)
        horizon_ms = max(2 * self.plan.dedup_ms, self.plan.label_retention_ms)
        is_forgotten = known is None or self.newest_at is None or known.row.event_at <= self.newest_at - horizon_ms
        return None if is_forgotten else known

    def _first_copy(self, row: Row) -> Row | None:
        """The event this one repeats, or None: an id is only remembered for so long."""
        event_id = self._id_of(row)
        known = None if event_id is None else self._known(event_id)
        if known is None or self.newest_at is None:
            return None
        is_near = abs(row.event_at - known.row.event_at) < self.plan.dedup_ms
        is_remembered = known.row.event_at > self.newest_at - 2 * self.plan.dedup_ms
        return known.row if is_near and is_remembered else None

    def _remember(self, row: Row, histories: dict[str, History]) -> None:
        event_id = self._id_of(row)
        if event_id is None:
            return
        self.known[event_id] = Known(row, histories)
        waiting = self.waiting.pop(event_id, None)
        # A label this old can only be about an event that is as old: the one now come merely has the same id.
        if waiting is not None and not self._is_expired(waiting.labelled_at):
            self._believe(waiting, self.known[event_id])

    # ── labels ──────────────────────────────────────────────────────────────────────────────────────────────

    def _is_expired(self, instant: int) -> bool:
        """Whether an event of that time is too old for labels to matter."""
        return self.newest_at is not None and instant <= self.newest_at - self.plan.label_retention_ms

    def _believe(self, label: Label, known: Known) -> None:
        """Believes a label if it is greater than the one believed so far, and its event not too old."""
        if not self._is_expired(known.row.event_at) and (known.label is None or label > known.label):
            known.label = label
            self._apply(label, known)

    def _apply(self, label: Label, known: Known) -> None:
        """Makes an event known as fraud, or no longer, in the histories it came into, be they forgotten or not."""
        for history in known.histories.values():
            if label.is_fraud:
                history.frauds.add(place(known.row))
            else:
                history.frauds.discard(place(known.row))

    # ── features ────────────────────────────────────────────────────────────────────────────────────────────

    def _in_list(self, feature: PlannedFeature, event: Fields) -> bool | None:
        value = event[feature.definition.of or ""]
        values = next(each.values for each in self.plan.lists if each.name == feature.definition.list)
        return None if value is None else str(value) in values

    def _windowed(self, feature: PlannedFeature, history: History, row: Row, *, is_duplicate: bool) -> Value:
        """The value of a feature over a key's history at an event.

        The window holds the stored events with t - over < time <= t for which `where` is true; and the event itself,
        if `where` is true for it, unless the feature is `prior` or the event a duplicate: its first copy is stored.
        """
        if feature.kind in LABEL_KINDS:
            return known_in_window(feature, history, row.event_at)
        rows = [each for each in history.rows if not (feature.definition.clean and place(each) in history.frauds)]
        past = between(rows, row.event_at - feature.over_ms, row.event_at)
        before = [each for each in past if is_in(feature, each)]
        itself = [row] if is_in(feature, row) and not feature.definition.prior and not is_duplicate else []
        of = feature.definition.of or ""
        match feature.kind:
            case FeatureKind.COUNT:
                return len(before + itself)
            case FeatureKind.COUNT_ABOVE:
                of_mean = between(rows, row.event_at - feature.mean_over_ms, row.event_at) + itself
                return above_mean(
                    feature, [each.fields[of] for each in of_mean], [v.fields[of] for v in before + itself]
                )
            case FeatureKind.SINCE_LAST:
                return row.event_at - before[-1].event_at if before else None
            case FeatureKind.SINCE_FIRST:
                return row.event_at - before[0].event_at if before else None
            case FeatureKind.FIRST_SEEN:
                return not before
            case FeatureKind.DISTANCE_KM | FeatureKind.SPEED_KMH:
                return travelled(feature.kind, of, before, row)
            case FeatureKind.SEQUENCE:
                return completes(feature.steps, before, row)
            case _:
                values: list[Any] = [each.fields[of] for each in before + itself]
                return aggregate(
                    feature.kind, [value for value in values if value is not None], self.plan.types[of].scale
                )


def place(row: Row) -> tuple[int, int, int]:
    """The order of history: event time, and among equal times the place in the input topic."""
    return row.event_at, row.partition, row.offset


def key_of(log: KeyedLog, event: Fields) -> Key | None:
    """The event's key in a log; None where any part of it is null."""
    key = tuple(event[name] for name in log.by)
    return None if None in key else key


def between(rows: list[Row], after_ms: int, until_ms: int) -> list[Row]:
    """The rows with after < time <= until: open below, closed above."""
    return [row for row in rows if after_ms < row.event_at <= until_ms]


def is_in(feature: PlannedFeature, row: Row) -> bool:
    """Whether the feature's filter is true for an event; null is not true."""
    return feature.where is None or evaluate_plain(feature.where, row.fields) is True


def forget(history: History, event_at: int, retention_ms: int) -> bool:
    """Drops what is too old once an event of that time has come; says whether the event itself is too old."""
    newest = max([event_at, *(row.event_at for row in history.rows)])
    history.rows = between(history.rows, newest - retention_ms, newest)
    return event_at <= newest - retention_ms


def aggregate(kind: FeatureKind, values: list[Any], scale: int) -> int | float | None:
    """An aggregate of the non-null values of a window; `scale` is that of the decimals it is given as minor units."""
    n = len(values)
    match kind:
        case FeatureKind.SUM:
            total: int = sum(values)
            return total
        case FeatureKind.MEAN:
            return float(sum(values)) / float(n * 10**scale) if n else None
        case FeatureKind.STD:
            squares = n * sum(value * value for value in values) - sum(values) ** 2
            return sqrt(float(squares) / float(n * (n - 1))) / 10.0**scale if n > 1 else None
        case FeatureKind.MIN:
            least: int | float | None = min(values, default=None)
            return least
        case FeatureKind.MAX:
            greatest: int | float | None = max(values, default=None)
            return greatest
        case FeatureKind.DISTINCT:
            return len(set(values))
        case _:
            raise AssertionError(f"{kind} is not an aggregate of values")


def travelled(kind: FeatureKind, of: str, before: list[Row], row: Row) -> float | None:
    """Distance, or speed, from the last known location to this event's."""

    def coordinates(each: Row) -> tuple[float, float] | None:
        latitude, longitude = each.fields[f"{of}.lat"], each.fields[f"{of}.lon"]
        return None if latitude is None or longitude is None else (float(latitude), float(longitude))

    here = coordinates(row)
    known = [each for each in before if coordinates(each) is not None]
    there = coordinates(known[-1]) if known else None
    if here is None or there is None:
        return None
    distance_km = great_circle_km(there, here)
    if kind is FeatureKind.DISTANCE_KM:
        return distance_km
    return distance_km / (max(row.event_at - known[-1].event_at, SHORTEST_TRIP_MS) / 3_600_000)


def great_circle_km(there: tuple[float, float], here: tuple[float, float]) -> float:
    """The haversine formula on a sphere of the Earth's mean radius; latitudes and longitudes in degrees."""
    p1, l1, p2, l2 = map(radians, (*there, *here))
    half_p, half_l = sin((p2 - p1) / 2), sin((l2 - l1) / 2)
    a = half_p * half_p + cos(p1) * cos(p2) * (half_l * half_l)
    return 2 * EARTH_RADIUS_KM * asin(sqrt(min(1.0, a)))


def completes(steps: tuple[Node, ...], before: list[Row], row: Row) -> bool:
    """Whether the event satisfies the last step, and earlier events the steps before it, in order, one each."""
    *earlier, last = steps
    for each in before:
        if earlier and evaluate_plain(earlier[0], each.fields) is True:
            del earlier[0]
    return not earlier and evaluate_plain(last, row.fields) is True


def above_mean(feature: PlannedFeature, of_mean: list[Any], values: list[Any]) -> int | None:
    """How many of the values are more than so many times the mean of others; nulls are in neither."""
    known = [value for value in of_mean if value is not None]
    if not known:
        return None
    limit = (feature.definition.times or 0.0) * (float(sum(known)) / float(len(known)))
    return len([value for value in values if value is not None and float(value) > limit])


def known_in_window(feature: PlannedFeature, history: History, event_at: int) -> Value:
    """What is known of the key's events that are old enough for their labels to have come: fraud, or else genuine."""
    until = event_at - feature.delay_ms
    rows = [row for row in between(history.rows, until - feature.over_ms, until) if is_in(feature, row)]
    frauds = [row for row in rows if place(row) in history.frauds]
    genuine = [row for row in rows if place(row) not in history.frauds]
    run = [row for row in frauds if not genuine or place(row) > place(genuine[-1])]
    match feature.kind:
        case FeatureKind.LABEL_COUNT:
            return len(frauds)
        case FeatureKind.LABEL_RATE:
            return len(frauds) / len(rows) if rows else None
        case FeatureKind.SINCE_FRAUD:
            return event_at - frauds[-1].event_at if frauds else None
        case FeatureKind.SINCE_GENUINE:
            return event_at - genuine[-1].event_at if genuine else None
        case FeatureKind.FRAUD_RUN:
            return len(run)
        case FeatureKind.SINCE_FRAUD_RUN:
            return event_at - run[0].event_at if run else None
        case _:
            raise AssertionError(f"{feature.kind} is not about labels")
