"""How the logs of a plan lie in memory: what each column of a row holds, and which reads give which feature."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fraudstream.define.feature import FeatureKind
from fraudstream.plan.expression import Node
from fraudstream.plan.plan import KeyedLog, PlannedFeature, Stored, StoredKind
from fraudstream.state.kernels import log_rows as kernel

Int64s = npt.NDArray[np.int64]

_NONE = -1


class Source(StrEnum):
    """What an event adds to a log's columns; null and filtered-out values add nothing."""

    ONE = "one"
    """1 where the filter holds and the field is not null, else 0."""
    NUMBER = "number"
    """The field's exact value, else 0."""
    VALUE = "value"
    """The field's value as an int64 that keeps its order, else NULL."""
    FLAG = "flag"
    """1 where the step's predicate holds, else 0."""
    FRAUD = "fraud"
    """Label logs: the change in the number of known frauds."""


class Contribution(NamedTuple):
    """One row of the contributions a batch brings to a log."""

    source: Source
    of: str | None = None
    where: Node | None = None


class Outputs(NamedTuple):
    """Where the reads of one feature put their results, by name of the part."""

    feature: PlannedFeature
    parts: dict[str, int]


class LogLayout:
    """The layout of one keyed log.

    Attributes:
        columns: int64[width, 4], see `keyed_log.run_log`.
        contributions: What each event adds, in the order the kernel expects.
        cuts: int64[c], the look-backs at which windows begin and end, rising from 0.
        reads: int64[r, 9], the reads.
        outputs: For each feature, where its parts are.
        n_outputs: How many rows of output the reads fill.
    """

    def __init__(self, log: KeyedLog) -> None:
        self.log = log
        self.contributions: list[Contribution] = []
        self._columns: list[tuple[int, int, int, int]] = [(kernel.TIME, _NONE, _NONE, _NONE)]
        self._column_of: dict[Stored, int] = {}
        self._reads: list[tuple[int, ...]] = []
        self._output_of: dict[tuple[int, ...], int] = {}
        self.n_outputs = 0
        if _needs_order(log):
            self._columns.append((kernel.ORDER, _NONE, _NONE, _NONE))
        for stored in log.stored:
            self._store(stored)
        looks = {0} | {look for f in log.features for look in (f.delay_ms, f.delay_ms + f.over_ms)}
        self._cut_of = {look: index for index, look in enumerate(sorted(looks))}
        self.outputs = [Outputs(feature, self._parts(feature)) for feature in log.features]
        self.columns: Int64s = np.array(self._columns, np.int64)
        self.cuts: Int64s = np.array(sorted(looks), np.int64)
        # By operation: the kernel computes counts, then sums, then what may build on them.
        self.reads: Int64s = np.array(sorted(self._reads), np.int64).reshape(-1, 9)

    def _contribute(self, contribution: Contribution) -> int:
        if contribution not in self.contributions:
            self.contributions.append(contribution)
        return self.contributions.index(contribution)

    def _add_column(self, kind: int, source: int = _NONE, argument: int = _NONE, second: int = _NONE) -> int:
        self._columns.append((kind, source, argument, second))
        return len(self._columns) - 1

    def _store(self, stored: Stored) -> int:
        """The column of a stored thing, added with what it stands on where it is not there yet."""
        if stored in self._column_of:
            return self._column_of[stored]
        of, where = stored.of, stored.where
        if stored.kind is StoredKind.TALLY:
            column = self._add_column(kernel.SUM, self._contribute(Contribution(Source.ONE, of, where)))
        elif stored.kind is StoredKind.SUM:
            column = self._add_column(kernel.SUM, self._contribute(Contribution(Source.NUMBER, of, where)))
        elif stored.kind is StoredKind.SQUARES:
            source = self._contribute(Contribution(Source.NUMBER, of, where))
            column = self._add_column(kernel.SQUARES_LOW, source)
            self._add_column(kernel.SQUARES_HIGH)
        elif stored.kind is StoredKind.VALUE:
            column = self._add_column(kernel.VALUE, self._contribute(Contribution(Source.VALUE, of, where)))
        elif stored.kind is StoredKind.PREVIOUS:
            values = self._store(Stored(kind=StoredKind.VALUE, of=of, where=where))
            source = self._contribute(Contribution(Source.VALUE, of, where))
            column = self._add_column(kernel.PREVIOUS, source, values)
        else:
            source = self._contribute(Contribution(Source.FLAG, None, stored.steps[-1]))
            before = self._store(_shorter(stored)) if len(stored.steps) > 1 else _NONE
            flag = self._add_column(kernel.VALUE, source)
            column = self._add_column(kernel.CHAIN, source, flag, before)
        self._column_of[stored] = column
        return column

    def _read(
        self,
        operation: int,
        feature: PlannedFeature,
        column: int = _NONE,
        second: int = _NONE,
        source: int = _NONE,
        second_source: int = _NONE,
        width: int = 1,
    ) -> int:
        """The output of a read; equal reads of different features are done once."""
        end = self._cut_of[feature.delay_ms]
        start = self._cut_of[feature.delay_ms + feature.over_ms]
        # What looks back from a delay cannot hold the event itself.
        prior = int(feature.definition.prior or feature.delay_ms > 0)
        read = (operation, end, start, column, second, source, second_source, prior)
        if read not in self._output_of:
            self._output_of[read] = self.n_outputs
            self._reads.append((*read, self.n_outputs))
            self.n_outputs += width
        return self._output_of[read]

    def _tally(self, feature: PlannedFeature, of: str | None) -> int:
        if of is None and feature.where is None:
            return self._read(kernel.COUNT, feature)
        column = self._column_of[Stored(kind=StoredKind.TALLY, of=of, where=feature.where)]
        return self._read(kernel.DIFFERENCE, feature, column, source=self._columns[column][1])

    def _total(self, feature: PlannedFeature) -> int:
        column = self._column_of[Stored(kind=StoredKind.SUM, of=feature.definition.of, where=feature.where)]
        return self._read(kernel.DIFFERENCE, feature, column, source=self._columns[column][1])

    def _matches(self, feature: PlannedFeature) -> int:
        """The column that counts the filter's matches, or none without a filter."""
        if feature.where is None:
            return _NONE
        return self._column_of[Stored(kind=StoredKind.TALLY, where=feature.where)]

    def _parts(self, feature: PlannedFeature) -> dict[str, int]:
        """Adds the reads a feature needs; the names say what each output is."""
        kind, of, where = feature.kind, feature.definition.of, feature.where
        if kind is FeatureKind.COUNT:
            return {"value": self._tally(feature, None)}
        if kind is FeatureKind.SUM:
            return {"value": self._total(feature)}
        if kind is FeatureKind.MEAN:
            return {"count": self._tally(feature, of), "total": self._total(feature)}
        if kind is FeatureKind.STD:
            count, total = self._tally(feature, of), self._total(feature)
            squares = self._column_of[Stored(kind=StoredKind.SQUARES, of=of, where=where)]
            number = self._columns[squares][1]
            return {"deviation": self._read(kernel.STD, feature, squares, number, total, count)}
        if kind in (FeatureKind.MIN, FeatureKind.MAX):
            column = self._column_of[Stored(kind=StoredKind.VALUE, of=of, where=where)]
            operation = kernel.MIN if kind is FeatureKind.MIN else kernel.MAX
            return {"value": self._read(operation, feature, column, source=self._columns[column][1])}
        if kind is FeatureKind.DISTINCT:
            column = self._column_of[Stored(kind=StoredKind.PREVIOUS, of=of, where=where)]
            return {"value": self._read(kernel.DISTINCT, feature, column, source=self._columns[column][1])}
        if kind is FeatureKind.SINCE_LAST:
            return {"value": self._read(kernel.SINCE_LAST, feature, self._matches(feature))}
        if kind is FeatureKind.SINCE_FIRST:
            return {"value": self._read(kernel.SINCE_FIRST, feature, self._matches(feature))}
        if kind is FeatureKind.FIRST_SEEN:
            return {"since_last": self._read(kernel.SINCE_LAST, feature)}
        if kind in (FeatureKind.DISTANCE_KM, FeatureKind.SPEED_KMH):
            lat, lon = (self._column_of[Stored(kind=StoredKind.VALUE, of=f"{of}.{axis}")] for axis in ("lat", "lon"))
            first = self._read(kernel.LAST_PLACE, feature, lat, lon, width=3)
            return {"lat": first, "lon": first + 1, "elapsed": first + 2}
        if kind is FeatureKind.SEQUENCE:
            column = self._column_of[Stored(kind=StoredKind.CHAIN, steps=feature.steps[:-1])]
            flag = self._contribute(Contribution(Source.FLAG, None, feature.steps[-1]))
            return {"value": self._read(kernel.COMPLETES, feature, column, source=flag)}
        return {"count": self._tally(feature, None)}  # label kinds: the events; the frauds are in the label log


class LabelLayout:
    """The layout of the label log that stands beside a keyed log: its known frauds, by event time."""

    def __init__(self, log: KeyedLog) -> None:
        features = [feature for feature in log.features if feature.reads_labels]
        looks = {0} | {look for f in features for look in (f.delay_ms, f.delay_ms + f.over_ms)}
        cut_of = {look: index for index, look in enumerate(sorted(looks))}
        self.contributions = [Contribution(Source.FRAUD)]
        self.columns: Int64s = np.array([(kernel.TIME, -1, -1, -1), (kernel.SUM, 0, -1, -1)], np.int64)
        self.cuts: Int64s = np.array(sorted(looks), np.int64)
        self.reads: Int64s = np.array(
            [
                (kernel.DIFFERENCE, cut_of[f.delay_ms], cut_of[f.delay_ms + f.over_ms], 1, -1, 0, -1, 1, output)
                for output, f in enumerate(features)
            ],
            np.int64,
        ).reshape(-1, 9)
        self.output_of = {feature.name: output for output, feature in enumerate(features)}
        self.n_outputs = len(features)


def _needs_order(log: KeyedLog) -> bool:
    """Whether a feature depends on which of two events at the same time counts as the later one."""
    ordered = (FeatureKind.DISTANCE_KM, FeatureKind.SPEED_KMH, FeatureKind.SEQUENCE)
    return any(feature.kind in ordered for feature in log.features)


def _shorter(chain: Stored) -> Stored:
    return Stored(kind=StoredKind.CHAIN, steps=chain.steps[:-1])
