"""What rules are worth, each and beside the others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class RuleWorth(NamedTuple):
    """A rule on n events.

    Attributes:
        hits: On how many it hit.
        frauds: How many of these are known frauds.
        genuine: How many are known to be none.
        only: On how many no other rule hit that catches anything.
        frauds_only: How many frauds no such rule hit on.
        fraud_minor: Money of the frauds it hit on.
        fraud_only_minor: Money of the frauds no such rule hit on.
        genuine_minor: Money of the genuine events it hit on.
    """

    hits: int
    frauds: int
    genuine: int
    only: int
    frauds_only: int
    fraud_minor: int
    fraud_only_minor: int
    genuine_minor: int

    @property
    def precision(self) -> float:
        """The share of frauds among hits whose truth is known; NaN without any."""
        known = self.frauds + self.genuine
        return self.frauds / known if known else float("nan")


def worth_of_rules(hits: Bools, catching: Bools, fraud: Bools, known: Bools, amount_minor: Int64s) -> list[RuleWorth]:
    """What each rule is worth.

    Args:
        hits: bool[rules, n].
        catching: bool[rules], which rules catch something; those that allow do not.
        fraud: bool[n], the truth where it is known.
        known: bool[n], where it is.
        amount_minor: int64[n].
    """
    by_event = np.count_nonzero(hits[catching], axis=0)
    found = []
    for row, catches in zip(hits, catching.tolist(), strict=True):
        at = np.flatnonzero(row)
        is_fraud, is_genuine, alone = known[at] & fraud[at], known[at] & ~fraud[at], by_event[at] == int(catches)
        money = amount_minor[at]
        found.append(
            RuleWorth(
                hits=len(at),
                frauds=int(np.count_nonzero(is_fraud)),
                genuine=int(np.count_nonzero(is_genuine)),
                only=int(np.count_nonzero(alone)),
                frauds_only=int(np.count_nonzero(is_fraud & alone)),
                fraud_minor=int(money[is_fraud].sum()),
                fraud_only_minor=int(money[is_fraud & alone].sum()),
                genuine_minor=int(money[is_genuine].sum()),
            )
        )
    return found


def overlap(hits: Bools) -> Int64s:
    """int64[rules, rules]: on how many events both of two rules hit; on the diagonal, each."""
    found = np.zeros((len(hits), len(hits)), np.int64)
    # Hits are few: sums over events where any rule hit, not a product of whole rows.
    some = hits[:, hits.any(axis=0)].astype(np.float64)
    found[:] = (some @ some.T).round()
    return found
