"""What was usual when a model was judged: the distributions of its inputs and of its score, for drift to be told by."""

from __future__ import annotations

import msgspec


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """How the values of an input, or the scores, were distributed.

    Attributes:
        edges: Rising: bin i holds edges[i - 1] < value <= edges[i]; the first and the last bin are open.
        counts: How many values each of the bins held; the last entry counts the nulls.
        low: The smallest value; None where all were null.
        high: The greatest.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    low: float | None
    high: float | None

    @property
    def null_rate(self) -> float:
        """The share of nulls."""
        return self.counts[-1] / max(sum(self.counts), 1)


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """The distributions over the events a model was tested on.

    The test period is the latest and none of its events was learned from: nearest to what is to come, and its scores
    are those of events the model does not know.

    Attributes:
        features: Of each input, by name.
        score: Of the model's score.
    """

    features: dict[str, Distribution]
    score: Distribution
