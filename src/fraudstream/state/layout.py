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
Floats = npt.NDArray[np.float64]

_NONE = -1
_EVENTS = Stored(kind=StoredKind.TALLY)
"""What needs no column: positions count events."""


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
        means: int64[a, 5], multiples: float64[a], what the limits of `count_above` rest on.
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
        self._limits: list[tuple[tuple[int, ...], float]] = []
        self.n_outputs = 0
        if _needs_order(log):
            self._columns.append((kernel.ORDER, _NONE, _NONE, _NONE))
        for stored in log.stored:
            self._store(stored)
        looks = {0} | {look for f in log.features for look in (f.delay_ms, f.delay_ms + f.over_ms, f.mean_over_ms)}
        self._cut_of = {look: index for index, look in enumerate(sorted(looks))}
        self.outputs = [Outputs(feature, self._parts(feature)) for feature in log.features]
        self.columns: Int64s = np.array(self._columns, np.int64)
        self.cuts: Int64s = np.array(sorted(looks), np.int64)
        # By operation: the kernel computes counts, then sums, then what may build on them.
        self.reads: Int64s = np.array(sorted(self._reads), np.int64).reshape(-1, 9)
        self.means: Int64s = np.array([mean for mean, _ in self._limits], np.int64).reshape(-1, 5)
        self.multiples: Floats = np.array([times for _, times in self._limits], np.float64)

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
        elif stored.kind in (StoredKind.FRAUD_TALLY, StoredKind.FRAUD_SUM):
            kind = StoredKind.TALLY if stored.kind is StoredKind.FRAUD_TALLY else StoredKind.SUM
            base = Stored(kind=kind, of=of, where=where)
            column = self._add_column(kernel.FRAUD, _NONE, _NONE if base == _EVENTS else self._store(base))
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
        window: _Window,
        column: int = _NONE,
        second: int = _NONE,
        source: int = _NONE,
        second_source: int = _NONE,
        width: int = 1,
    ) -> int:
        """The output of a read; equal reads of different features are done once."""
        end, start = self._cut_of[window.until_ms], self._cut_of[window.from_ms]
        read = (operation, end, start, column, second, source, second_source, int(window.prior))
        if read not in self._output_of:
            self._output_of[read] = self.n_outputs
            self._reads.append((*read, self.n_outputs))
            self.n_outputs += width
        return self._output_of[read]

    def _difference(self, stored: Stored, window: _Window) -> int:
        """The sum or tally of a window."""
        if stored == _EVENTS:
            return self._read(kernel.COUNT, window)
        column = self._column_of[stored]
        return self._read(kernel.DIFFERENCE, window, column, source=self._columns[column][1])

    def _of_window(self, window: _Window, *, clean: bool, **stored: Stored) -> dict[str, int]:
        """The sums and tallies of a window by name, and those of its known frauds where they are to be left out."""
        parts = {name: self._difference(each, window) for name, each in stored.items()}
        if clean:  # the event itself is not known to be fraud
            past = window._replace(prior=True)
            parts |= {f"fraud_{name}": self._difference(_of_frauds(each), past) for name, each in stored.items()}
        return parts

    def _matches(self, feature: PlannedFeature) -> int:
        """The column that counts the filter's matches, or none without a filter."""
        if feature.where is None:
            return _NONE
        return self._column_of[Stored(kind=StoredKind.TALLY, where=feature.where)]

    def _parts(self, feature: PlannedFeature) -> dict[str, int]:
        """Adds the reads a feature needs; the names say what each output is."""
        kind, of, where = feature.kind, feature.definition.of, feature.where
        window, clean = _window_of(feature), feature.definition.clean
        tally, total = (Stored(kind=each, of=of, where=where) for each in (StoredKind.TALLY, StoredKind.SUM))
        if kind is FeatureKind.COUNT:
            return self._of_window(window, clean=clean, value=tally)
        if kind is FeatureKind.SUM:
            return self._of_window(window, clean=clean, value=total)
        if kind is FeatureKind.MEAN:
            return self._of_window(window, clean=clean, count=tally, total=total)
        if kind is FeatureKind.COUNT_ABOVE:
            return {"value": self._above(feature, window, tally, total)}
        if kind is FeatureKind.STD:
            parts = self._of_window(window, clean=False, count=tally, total=total)
            squares = self._column_of[Stored(kind=StoredKind.SQUARES, of=of, where=where)]
            number = self._columns[squares][1]
            read = self._read(kernel.STD, window, squares, number, parts["total"], parts["count"])
            return {"deviation": read}
        if kind in (FeatureKind.MIN, FeatureKind.MAX):
            column = self._column_of[Stored(kind=StoredKind.VALUE, of=of, where=where)]
            operation = kernel.MIN if kind is FeatureKind.MIN else kernel.MAX
            return {"value": self._read(operation, window, column, source=self._columns[column][1])}
        if kind is FeatureKind.DISTINCT:
            column = self._column_of[Stored(kind=StoredKind.PREVIOUS, of=of, where=where)]
            return {"value": self._read(kernel.DISTINCT, window, column, source=self._columns[column][1])}
        if kind is FeatureKind.SINCE_LAST:
            return {"value": self._read(kernel.SINCE_LAST, window, self._matches(feature))}
        if kind is FeatureKind.SINCE_FIRST:
            return {"value": self._read(kernel.SINCE_FIRST, window, self._matches(feature))}
        if kind is FeatureKind.FIRST_SEEN:
            return {"since_last": self._read(kernel.SINCE_LAST, window)}
        if kind in (FeatureKind.DISTANCE_KM, FeatureKind.SPEED_KMH):
            lat, lon = (self._column_of[Stored(kind=StoredKind.VALUE, of=f"{of}.{axis}")] for axis in ("lat", "lon"))
            first = self._read(kernel.LAST_PLACE, window, lat, lon, width=3)
            return {"lat": first, "lon": first + 1, "elapsed": first + 2}
        if kind is FeatureKind.SEQUENCE:
            column = self._column_of[Stored(kind=StoredKind.CHAIN, steps=feature.steps[:-1])]
            flag = self._contribute(Contribution(Source.FLAG, None, feature.steps[-1]))
            return {"value": self._read(kernel.COMPLETES, window, column, source=flag)}
        return self._label_parts(kind, window, tally)

    def _label_parts(self, kind: FeatureKind, window: _Window, tally: Stored) -> dict[str, int]:
        """The reads of the kinds that are about known fraud."""
        frauds = self._column_of[_of_frauds(tally)]
        if kind is FeatureKind.LABEL_COUNT:
            return {"value": self._difference(_of_frauds(tally), window)}
        if kind is FeatureKind.LABEL_RATE:
            return {"frauds": self._difference(_of_frauds(tally), window), "count": self._difference(tally, window)}
        if kind is FeatureKind.SINCE_FRAUD:
            return {"value": self._read(kernel.SINCE_LAST, window, frauds)}
        run = self._read(kernel.RUN, window, frauds, width=3)
        places = (FeatureKind.FRAUD_RUN, FeatureKind.SINCE_GENUINE, FeatureKind.SINCE_FRAUD_RUN)
        return {"value": run + places.index(kind)}

    def _above(self, feature: PlannedFeature, window: _Window, tally: Stored, total: Stored) -> int:
        """The read that counts values above a limit, after those of the mean the limit rests on."""
        clean = feature.definition.clean
        of_mean = window._replace(from_ms=feature.mean_over_ms)
        parts = self._of_window(of_mean, clean=clean, count=tally, total=total)
        outputs = (parts.get(name, _NONE) for name in _MEAN_PARTS)
        mean = (*outputs, self._column_of[_of_frauds(tally)] if clean else _NONE)
        limit = mean, feature.definition.times or 0.0
        if limit not in self._limits:
            self._limits.append(limit)
        column = self._column_of[Stored(kind=StoredKind.VALUE, of=feature.definition.of)]
        return self._read(kernel.ABOVE, window, column, self._limits.index(limit), self._columns[column][1])


_MEAN_PARTS = ("count", "total", "fraud_count", "fraud_total")


class _Window(NamedTuple):
    """Look-backs in ms: the events with t - from < time <= t - until; `prior`: the event itself is left out."""

    from_ms: int
    until_ms: int
    prior: bool


def _window_of(feature: PlannedFeature) -> _Window:
    # What looks back from a delay cannot hold the event itself.
    prior = feature.definition.prior or feature.delay_ms > 0
    return _Window(feature.delay_ms + feature.over_ms, feature.delay_ms, prior)


def _of_frauds(stored: Stored) -> Stored:
    """The same sum or tally over known frauds."""
    kind = StoredKind.FRAUD_TALLY if stored.kind is StoredKind.TALLY else StoredKind.FRAUD_SUM
    return Stored(kind=kind, of=stored.of, where=stored.where)


def _needs_order(log: KeyedLog) -> bool:
    """Whether it matters which of two events at the same time is the later one, or the one that a label is about."""
    ordered = (FeatureKind.DISTANCE_KM, FeatureKind.SPEED_KMH, FeatureKind.SEQUENCE)
    return any(feature.kind in ordered or feature.reads_labels for feature in log.features)


def _shorter(chain: Stored) -> Stored:
    return Stored(kind=StoredKind.CHAIN, steps=chain.steps[:-1])
