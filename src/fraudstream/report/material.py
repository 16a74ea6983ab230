"""What a report is drawn from: every test period of an evaluation, with its model and what that model contributed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fraudstream.define.decision import ModelRef
from fraudstream.models.contributions import Contributor, read_contributor
from fraudstream.plan.plan import Plan
from fraudstream.report.words import Speaker
from fraudstream.training.dataset import Dataset
from fraudstream.training.prequential import Protocol, Tested
from fraudstream.units import format_instant

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass
class Material:
    """Everything a report shows.

    Attributes:
        plan: The pipeline.
        dataset: Its history.
        protocol: How it was judged.
        investigation: What a review costs, in the amount's unit.
        source: The history's name.
        tested: The test periods, in their order.
    """

    plan: Plan
    dataset: Dataset
    protocol: Protocol
    investigation: float
    source: str
    tested: list[Tested] = field(default_factory=list)

    @property
    def model(self) -> ModelRef:
        """The pipeline's model."""
        assert self.plan.pipeline.model is not None
        return self.plan.pipeline.model

    @property
    def last(self) -> Tested:
        """The last test period: its model is the one that is explained."""
        return self.tested[-1]

    @property
    def rows(self) -> Int64s:
        """int64[m], the rows tested on, of all periods."""
        return np.concatenate([each.rows for each in self.tested])

    @property
    def raw(self) -> Floats:
        """float64[m], their raw scores."""
        return np.concatenate([each.raw for each in self.tested])

    @property
    def fraud(self) -> Bools:
        """bool[m], the truth of them."""
        assert self.dataset.fraud is not None
        return self.dataset.fraud[self.rows]

    @property
    def amount(self) -> Floats | None:
        """float64[m], their amounts, 0 where an event has none; None where events have none."""
        return None if self.dataset.amount is None else np.nan_to_num(self.dataset.amount[self.rows])

    @property
    def alert(self) -> Bools | None:
        """bool[m], at each period's own threshold; None where one has none."""
        if any(each.threshold is None for each in self.tested):
            return None
        return np.concatenate([each.raw >= float(each.threshold or 0.0) for each in self.tested])

    @property
    def probability(self) -> Floats | None:
        """float64[m], what the scores say of the probability of fraud; None where they say nothing of it."""
        found = [each.probability for each in self.tested if each.probability is not None]
        return np.concatenate(found) if len(found) == len(self.tested) else None

    @property
    def speaker(self) -> Speaker:
        """Says what the inputs are."""
        return Speaker(self.plan.reasons, self.model.features, self.model.missing)

    def known(self, rows: Int64s, column: int) -> Floats:
        """float64[m], an input of some rows, null as NaN."""
        values = self.dataset.matrix[rows, column]
        return np.where(values == np.float32(self.model.missing), np.nan, values.astype(np.float64))

    def contributor(self, tested: Tested) -> Contributor | None:
        """What a period's model says of its inputs; None where it cannot."""
        file = tested.model.contributions()
        return read_contributor(file, len(self.model.features)) if file else None

    def day(self, at_ms: int) -> str:
        """The day of an instant."""
        return format_instant(at_ms)[:10]


def sample(count: int, most: int) -> Int64s:
    """int64[m], evenly spaced places among so many, at most `most`."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round()).astype(np.int64)
