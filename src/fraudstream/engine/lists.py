"""Membership in lists, by fingerprint."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fraudstream.define.feature import FeatureKind
from fraudstream.engine.column import Column, UInt64s
from fraudstream.engine.kernels.fingerprint import fingerprint, fingerprint_integers
from fraudstream.plan.plan import Plan, PlannedFeature
from fraudstream.plan.sensitive import tokens_of
from fraudstream.schema.types import BOOLEAN, Kind


class Lists:
    """The lists of a plan, ready for look-ups by the features that use them."""

    def __init__(self, plan: Plan) -> None:
        values = {each.name: each.values for each in plan.lists}
        self._sorted: dict[str, tuple[UInt64s, UInt64s]] = {}
        for feature in plan.features:
            if feature.kind is FeatureKind.IN_LIST and feature.definition.of and feature.definition.list:
                kind, listed = plan.types[feature.definition.of].kind, values[feature.definition.list]
                if feature.definition.of in plan.pipeline.event.sensitive:
                    listed = tokens_of(listed, plan.pipeline.event, feature.definition.of)
                self._sorted[feature.name] = _fingerprints(listed, kind)

    def contains(self, feature: PlannedFeature, columns: Mapping[str, Column]) -> Column:
        """Whether each event's value is in the feature's list; null where the value is."""
        column = columns[feature.definition.of or ""]
        low, high = self._sorted[feature.name]
        if column.type.kind is Kind.STRING:
            own_low, own_high = column.values.astype(np.uint64, copy=False), column.high
        else:
            own_low, own_high = fingerprint_integers(column.values.astype(np.int64, copy=False))
        if len(low) == 0:
            return Column(BOOLEAN, np.zeros(len(column), np.bool_), column.valid)
        place = np.minimum(np.searchsorted(low, own_low), len(low) - 1)
        return Column(BOOLEAN, (low[place] == own_low) & (high[place] == own_high), column.valid)


def _fingerprints(values: tuple[str, ...], kind: Kind) -> tuple[UInt64s, UInt64s]:
    """The fingerprints of a list's values, sorted by their low half. Text that is no integer is in no integer list."""
    if kind is Kind.INTEGER:
        numbers = [int(value) for value in values if value.removeprefix("-").isdecimal()]
        low, high = fingerprint_integers(np.array(numbers, np.int64))
    else:
        pairs = [fingerprint(value.encode()) for value in values]
        low = np.array([pair[0] for pair in pairs], np.uint64)
        high = np.array([pair[1] for pair in pairs], np.uint64)
    order = np.argsort(low)
    return low[order], high[order]
