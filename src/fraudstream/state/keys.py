"""The table of a log's keys: from a key's fingerprint to its slot, and which keys go when there are too many."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fraudstream.state.kernels.hash_table import EMPTY, find_slots, find_slots_seen, rehash, renumber

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]

_SMALLEST = 1_024
_FULLEST = 0.6
"""Above this share of places taken, probing gets slow; the table doubles."""
_EVICTED_SHARE = 8
"""One key in so many goes when the table is full: choosing them costs a look at all, so it must not come often."""

EVICTED, EVICTED_EARLY = range(2)


def kept_keys(max_keys: int) -> int:
    """How many keys stay when a full table is thinned out: seven eighths of the cap, at least one fewer than it."""
    return max_keys - max(1, max_keys // _EVICTED_SHARE)


class KeyTable:
    """Gives every key a slot: a small number, in the order in which keys became known.

    Args:
        max_keys: How many keys there may be; None: any number, and a slot is the key's for good.

    Attributes:
        n_keys: How many keys are known.
        seen: int64[≥ n_keys], each key's newest event time; empty without a cap.
        counters: int64[2]: keys evicted, and those of them that were within the log's retention still.
    """

    def __init__(self, max_keys: int | None = None) -> None:
        self.max_keys = max_keys
        self.low: UInt64s = np.zeros(_SMALLEST, np.uint64)
        self.high: UInt64s = np.zeros(_SMALLEST, np.uint64)
        self.slot: npt.NDArray[np.int32] = np.full(_SMALLEST, EMPTY, np.int32)
        self.n_keys = 0
        self.seen: Int64s = np.zeros(0, np.int64)
        self.counters: Int64s = np.zeros(2, np.int64)

    def slots(self, low: UInt64s, high: UInt64s, valid: Bools) -> Int64s:
        """int64[n], each row's slot; -1 where its key is null."""
        self._make_room(self.n_keys + len(low))
        slots: Int64s = np.empty(len(low), np.int64)
        self.n_keys = find_slots(self.low, self.high, self.slot, low, high, valid, self.n_keys, slots)
        return slots

    def slots_within_cap(self, low: UInt64s, high: UInt64s, valid: Bools, times: Int64s) -> tuple[Int64s, int]:
        """As `slots`, up to the first new key that has no room: the slots, and how many rows have one.

        That key's event is where `evict` is due: which event it is follows from the events alone, not from how they
        are cut into batches. The rows done, and those of them again, may be asked again before.
        """
        assert self.max_keys is not None
        room = min(self.max_keys, self.n_keys + len(low))
        self._make_room(room)
        if room > len(self.seen):
            self.seen = np.concatenate([self.seen, np.zeros(max(room, len(self.seen)), np.int64)])
        slots: Int64s = np.empty(len(low), np.int64)
        self.n_keys, done = find_slots_seen(
            self.low, self.high, self.slot, low, high, valid, times, self.seen, self.n_keys, self.max_keys, slots
        )
        return slots[:done], int(done)

    def evict(self, retention_ms: int) -> Int64s:
        """Forgets the keys least recently seen by event time, of equal ones those known longer; the others move up.

        Args:
            retention_ms: Of the log: keys seen within it before the newest event count as evicted early.

        Returns:
            int64[n_keys], the new slot of each old one, -1 for those that are gone.
        """
        assert self.max_keys is not None
        seen = self.seen[: self.n_keys]
        going = self.n_keys - kept_keys(self.max_keys)
        last = np.partition(seen, going - 1)[going - 1]
        stays = seen > last
        # Of the keys seen last at that very instant, as many stay as there are more of them than have to go.
        at_last = np.flatnonzero(seen == last)
        stays[at_last[going - int(np.count_nonzero(seen < last)) :]] = True
        new_of: Int64s = np.where(stays, np.cumsum(stays) - 1, -1)
        self.counters[EVICTED] += going
        self.counters[EVICTED_EARLY] += np.count_nonzero(seen[~stays] > seen.max() - retention_ms)
        self.seen[: self.n_keys - going] = seen[stays]
        low, high, slot = self._empty(len(self.slot))
        renumber(self.low, self.high, self.slot, new_of, low, high, slot)
        self.low, self.high, self.slot = low, high, slot
        self.n_keys -= going
        return new_of

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All it holds, by name, for a snapshot."""
        return {
            "low": self.low,
            "high": self.high,
            "slot": self.slot,
            "seen": self.seen[: self.n_keys],
            "counters": self.counters,
        }

    def restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Takes over what `arrays` gave."""
        self.low, self.high, self.slot = arrays["low"], arrays["high"], arrays["slot"]
        self.seen, self.counters = arrays["seen"], arrays["counters"]
        self.n_keys = int(np.count_nonzero(self.slot >= 0))

    def _make_room(self, keys: int) -> None:
        size = len(self.slot)
        while keys > size * _FULLEST:
            size *= 2
        if size > len(self.slot):
            low, high, slot = self._empty(size)
            rehash(self.low, self.high, self.slot, low, high, slot)
            self.low, self.high, self.slot = low, high, slot

    @staticmethod
    def _empty(size: int) -> tuple[UInt64s, UInt64s, npt.NDArray[np.int32]]:
        return np.zeros(size, np.uint64), np.zeros(size, np.uint64), np.full(size, EMPTY, np.int32)
