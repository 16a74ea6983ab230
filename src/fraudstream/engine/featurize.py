"""Features over history: a batch and the state in, a column for each feature out, the state moved on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fraudstream.define.feature import FeatureKind
from fraudstream.engine.batch import Batch, Int32s
from fraudstream.engine.column import Bools, Column, Floats, Int64s
from fraudstream.engine.contribute import Contributor, float_of_order, key_of
from fraudstream.engine.evaluate import evaluate
from fraudstream.engine.kernels.geo import distances_km
from fraudstream.engine.lists import Lists
from fraudstream.plan.plan import Plan, PlannedFeature
from fraudstream.schema.types import Kind
from fraudstream.state.ids import LabelChanges, Labels
from fraudstream.state.layout import Outputs
from fraudstream.state.state import State

_MS_PER_HOUR = 3_600_000.0
_SHORTEST_TRIP_MS = 1_000
_OFFSET_BITS = 47


def coordinates_of(partition: Int32s, offset: Int64s) -> Int64s:
    """int64[n]: partition and offset as one number that orders like the pair."""
    return (partition.astype(np.int64) << _OFFSET_BITS) | offset


def split_coordinates(order: Int64s) -> tuple[Int64s, Int64s]:
    """Partition and offset back from `coordinates_of`."""
    return order >> _OFFSET_BITS, order & ((1 << _OFFSET_BITS) - 1)


@dataclass(slots=True)
class Features:
    """The features of a batch.

    Attributes:
        columns: The event's own columns and every feature, by name.
        late: bool[n], older than the retention of one of its keys: decided, not stored there.
        first: int64[n], the coordinates of a duplicate's first copy, -1 for others.
    """

    columns: dict[str, Column]
    late: Bools
    first: Int64s


class Featurizer:
    """Runs the features of a plan. It keeps nothing between batches: all that is remembered is in the state."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._lists = Lists(plan)
        self._is_capped = any(log.max_keys is not None for log in plan.logs)
        layouts = [state.layout for state in State(plan).logs]
        self._contributors = [Contributor(layout.contributions) for layout in layouts]

    def __call__(self, state: State, batch: Batch, labels: Labels, *, features: bool = True) -> Features:
        """Moves the state on by a batch and gives its features.

        Args:
            state: Changed in place.
            batch: Events in processing order.
            labels: Labels with their places among the events.
            features: Whether to compute features; without, only the state moves on (replay).
        """
        if self._is_capped:
            return self._within_cap(state, batch, labels, features)
        slots = [each.keys.slots(*key_of(batch.columns, each.log.by, len(batch))) for each in state.logs]
        return self._run(state, batch, labels, slots, features)

    def _within_cap(self, state: State, batch: Batch, labels: Labels, features: bool) -> Features:
        """The same where logs hold so many keys at most: in pieces, which end where a log has to make room.

        Where that is follows from the events, so that cutting the stream into other batches changes nothing.
        """
        parts: list[Features] = []
        keys = [key_of(batch.columns, each.log.by, len(batch)) for each in state.logs]
        begin = 0
        while True:
            times = batch.event_at_ms[begin:]
            found = [
                each.keys.slots_within_cap(low[begin:], high[begin:], valid[begin:], times)
                for each, (low, high, valid) in zip(state.logs, keys, strict=True)
            ]
            done = min((rows for _, rows in found), default=len(batch) - begin)
            end = begin + done
            is_last = end == len(batch)
            if done or is_last:
                piece = batch if done == len(batch) else batch.take(np.arange(begin, end))
                theirs = labels if done == len(batch) else labels.between(begin, end, to_the_end=is_last)
                slots = [of_log[:done] for of_log, _ in found]
                parts.append(self._run(state, piece, theirs, slots, features))
            if is_last:
                return parts[0] if len(parts) == 1 else _joined(parts, batch)
            for each, (_, rows) in zip(state.logs, found, strict=True):
                if rows == done:
                    state.evict(each)
            begin = end

    def _run(self, state: State, batch: Batch, labels: Labels, slots: list[Int64s], features: bool) -> Features:
        """The features of a batch whose keys have their slots in each log."""
        n = len(batch)
        columns = dict(batch.columns)
        orders = coordinates_of(batch.partition, batch.offset)
        first, changes = self._admit(state, batch, orders, slots, labels)
        original = first < 0
        late = np.zeros(n, np.bool_)
        labelled = 0
        for each, contributor, key_slots in zip(state.logs, self._contributors, slots, strict=True):
            theirs = changes.of_log(labelled) if each.reads_labels else LabelChanges.none()
            labelled += each.reads_labels
            values, floats, valid, log_late = each.events.run(
                key_slots, batch.event_at_ms, orders, np.full(n, features), original, original,
                contributor(columns, n), theirs,
            )  # fmt: skip
            late |= log_late
            if features:
                columns |= {
                    outputs.feature.name: self._finish(outputs, values, floats, valid, columns, key_slots)
                    for outputs in each.layout.outputs
                }
        if features:
            self._evaluate_rest(columns, n)
        return Features(columns, late, first)

    def _admit(
        self, state: State, batch: Batch, orders: Int64s, slots: list[Int64s], labels: Labels
    ) -> tuple[Int64s, LabelChanges]:
        """Finds duplicates and what the labels change."""
        id_field = self._plan.pipeline.event.id
        if state.ids is None or id_field is None:
            return np.full(len(batch), -1, np.int64), LabelChanges.none()
        low, high, _ = key_of(batch.columns, (id_field,), len(batch))
        labelled = [key_slots for each, key_slots in zip(state.logs, slots, strict=True) if each.reads_labels]
        label_slots = np.array(labelled, np.int64).reshape(len(labelled), len(batch))
        return state.ids.admit(low, high, batch.event_at_ms, orders, label_slots, labels)

    def _finish(
        self,
        outputs: Outputs,
        values: Int64s,
        floats: Floats,
        valid: Bools,
        columns: Mapping[str, Column],
        slots: Int64s,
    ) -> Column:
        """A feature's column from the parts its reads left."""
        feature, parts = outputs.feature, outputs.parts
        kind = feature.kind
        if kind is FeatureKind.MEAN:
            count = _less_frauds(parts, "count", values)
            scale = _scale(self._plan, feature)
            mean = _less_frauds(parts, "total", values) / np.maximum(count * 10**scale, 1)
            return Column(feature.type, mean, _where(valid[parts["count"]] & (count > 0)))
        if kind is FeatureKind.STD:
            with np.errstate(invalid="ignore"):  # rows that are not valid hold anything
                deviation = floats[parts["deviation"]] / 10.0 ** _scale(self._plan, feature)
            return Column(feature.type, deviation, _where(valid[parts["deviation"]]))
        if kind is FeatureKind.FIRST_SEEN:
            return Column(feature.type, ~valid[parts["since_last"]], _where(slots >= 0))
        if kind in (FeatureKind.DISTANCE_KM, FeatureKind.SPEED_KMH):
            return _travel(feature, parts, values, valid, columns)
        if kind is FeatureKind.LABEL_RATE:
            count = values[parts["count"]]
            rate = values[parts["frauds"]] / np.maximum(count, 1)
            return Column(feature.type, rate, _where(valid[parts["count"]] & (count > 0)))
        result = _less_frauds(parts, "value", values)
        if feature.type.kind is Kind.BOOLEAN:
            return Column(feature.type, result != 0, _where(valid[parts["value"]]))
        if feature.type.kind is Kind.FLOAT:
            return Column(feature.type, float_of_order(result), _where(valid[parts["value"]]))
        return Column(feature.type, result, _where(valid[parts["value"]]))

    def _evaluate_rest(self, columns: dict[str, Column], n: int) -> None:
        """List look-ups and expressions, in the plan's order."""
        for feature in self._plan.features:
            if feature.kind is FeatureKind.IN_LIST:
                columns[feature.name] = self._lists.contains(feature, columns)
        for feature in self._plan.features:
            if feature.expression is not None:
                columns[feature.name] = evaluate(feature.expression, columns, n)


def _joined(parts: list[Features], batch: Batch) -> Features:
    """The features of a batch that was processed in pieces."""
    columns = dict(batch.columns)
    for name in parts[0].columns.keys() - columns.keys():
        pieces = [part.columns[name] for part in parts]
        valid = np.concatenate([np.ones(len(p), np.bool_) if p.valid is None else p.valid for p in pieces])
        columns[name] = Column(pieces[0].type, np.concatenate([p.values for p in pieces]), _where(valid))
    late = np.concatenate([part.late for part in parts])
    return Features(columns, late, np.concatenate([part.first for part in parts]))


def _where(valid: Bools) -> Bools | None:
    """A validity mask in its shortest form: None where everything is valid."""
    return None if valid.all() else valid


def _less_frauds(parts: dict[str, int], name: str, values: Int64s) -> Int64s:
    """int64[n]: a part of a feature, without that of known frauds where these are left out."""
    frauds = parts.get(f"fraud_{name}")
    found: Int64s = values[parts[name]]
    return found if frauds is None else found - values[frauds]


def _scale(plan: Plan, feature: PlannedFeature) -> int:
    return plan.types[feature.definition.of or ""].scale


def _travel(
    feature: PlannedFeature, parts: dict[str, int], values: Int64s, valid: Bools, columns: Mapping[str, Column]
) -> Column:
    """Distance from the last known place, or the speed it takes."""
    lat, lon = (columns[f"{feature.definition.of}.{axis}"].as_float() for axis in ("lat", "lon"))
    last_lat, last_lon = (float_of_order(values[parts[axis]]) for axis in ("lat", "lon"))
    result = distances_km(last_lat, last_lon, lat, lon)
    if feature.kind is FeatureKind.SPEED_KMH:
        result = result / (np.maximum(values[parts["elapsed"]], _SHORTEST_TRIP_MS) / _MS_PER_HOUR)
    return Column(feature.type, result, _where(valid[parts["lat"]] & ~np.isnan(lat) & ~np.isnan(lon)))
