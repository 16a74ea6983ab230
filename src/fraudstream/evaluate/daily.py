"""What investigators get: the same number of keys (cards, customers) every day, the most suspect first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Keys = npt.NDArray[np.uint64]


def precision_of_top_keys(score: Floats, fraud: Bools, key: Keys, day: Int64s, top: int) -> Floats:
    """The share of a day's `top` highest-scored keys that really had a fraud that day, for each day in order.

    A key's score is that of its highest-scored event of the day; of equal ones the key met first goes first. A key
    found out leaves the list: its later events are not looked at again. This is "card precision top-k" of the Fraud
    Detection Handbook (Le Borgne et al.), chapter 4.

    Args:
        score: float64[n].
        fraud: bool[n], the truth.
        key: uint64[n].
        day: int64[n], a number for each event's day.
        top: How many keys can be looked at in a day.
    """
    found_out = np.empty(0, np.uint64)
    shares = []
    for each in np.unique(day):
        rows = np.flatnonzero(day == each)
        rows = rows[~np.isin(key[rows], found_out)]
        keys, first, place = np.unique(key[rows], return_index=True, return_inverse=True)
        highest = np.full(len(keys), -np.inf)
        np.maximum.at(highest, place, score[rows])
        compromised = np.zeros(len(keys), np.bool_)
        np.logical_or.at(compromised, place, fraud[rows])
        chosen = np.lexsort((first, -highest))[:top]
        caught = chosen[compromised[chosen]]
        shares.append(len(caught) / top)
        found_out = np.union1d(found_out, keys[caught])
    return np.array(shares, np.float64)
