"""How much money is approved without the model: a running account of one period after the other."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def spend(at_ms, amount, valid, wanted, account, per_ms, at_most):
    """Which events no longer fit under the cap.

    Periods are those of event time since the epoch. An event of an earlier period than the running one counts in the
    running one, so that a late one opens nothing again. What does not fit is not counted, and one whose amount is
    unknown does not fit.

    Args:
        at_ms: int64[n], event times in processing order.
        amount: int64[n], in minor units; less than nothing counts as nothing.
        valid: bool[n], where the amount is known.
        wanted: bool[n], the events that would be approved without the model.
        account: int64[2], the start of the running period (epoch ms) and what was approved in it; moved on in place.
        per_ms: The length of a period.
        at_most: What may be approved in one, minor units.

    Returns:
        bool[n]: wanted, and not to be approved.
    """
    over = np.zeros(len(at_ms), np.bool_)
    for row in range(len(at_ms)):
        if not wanted[row]:
            continue
        start = at_ms[row] - at_ms[row] % per_ms
        if start > account[0]:
            account[0] = start
            account[1] = 0
        more = max(0, amount[row])
        if not valid[row] or more > at_most - account[1]:
            over[row] = True
        else:
            account[1] += more
    return over
