"""One keyed log in memory: the blocks of its keys, and the pool of rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fraudstream.state.ids import LabelChanges
from fraudstream.state.kernels import log_rows as kernel
from fraudstream.state.kernels.blocks import compact, compact_size, release_blocks
from fraudstream.state.kernels.keyed_log import run_log
from fraudstream.state.layout import LogLayout

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_SMALLEST = 1_024
_WASTED = 0.2
"""Above this share of free blocks in a full pool, compaction is worth its time."""


class Log:
    """The events of every key, and the kernel's way in.

    Args:
        layout: What its rows hold, and what is read from them.
        retention_ms: How long events are kept behind the newest of their key.
    """

    def __init__(self, layout: LogLayout, retention_ms: int) -> None:
        self.layout = layout
        self.retention_ms = retention_ms
        self.pool: Int64s = np.zeros((_SMALLEST, len(layout.columns)), np.int64)
        self.blocks: Int64s = np.full((_SMALLEST, kernel.HINTS + len(layout.cuts)), -1, np.int64)
        self.counters: Int64s = np.full(kernel.FREE + kernel.SIZE_CLASSES, -1, np.int64)
        self.counters[: kernel.FREE] = 0

    def run(
        self,
        slots: Int64s,
        times: Int64s,
        orders: Int64s,
        read: Bools,
        store: Bools,
        own: Bools,
        contributions: Int64s,
        changes: LabelChanges,
    ) -> tuple[Int64s, Floats, Bools, Bools]:
        """Reads and stores a batch in order, and applies the changes of what is known as fraud in their places.

        Returns:
            values int64[n_outputs, n], floats float64[n_outputs, n], valid bool[n_outputs, n], late bool[n].
        """
        n, layout = len(slots), self.layout
        reads, n_outputs = layout.reads, layout.n_outputs
        # Not zeroed: what is not valid is never looked at.
        values = np.empty((n_outputs, n), np.int64)
        floats = np.empty((n_outputs, n), np.float64)
        valid = np.zeros((n_outputs, n), np.bool_)
        late = np.zeros(n, np.bool_)
        self._make_blocks(int(slots.max(initial=-1)) + 1)
        done = 0
        while True:
            done = run_log(
                self.pool, self.blocks, self.counters,
                layout.columns, layout.cuts, reads, layout.means, layout.multiples, self.retention_ms,
                slots, times, orders, read, store, own, contributions,
                changes.position, changes.slots, changes.times, changes.orders, changes.change,
                values, floats, valid, late, done,
            )  # fmt: skip
            if done == n:
                # Counts and sums are valid wherever the key is; the kernel leaves saying so to us.
                valid[reads[reads[:, 0] <= kernel.DIFFERENCE, 8]] = slots >= 0
                return values, floats, valid, late
            self._grow_pool()

    def evict(self, new_of: Int64s) -> None:
        """Drops the histories of keys that are gone; see `KeyTable.evict`. Their room serves the keys that come."""
        release_blocks(self.pool, self.blocks, self.counters, new_of)

    def _make_blocks(self, keys: int) -> None:
        if keys > len(self.blocks):
            blocks = np.full((max(keys, 2 * len(self.blocks)), self.blocks.shape[1]), -1, np.int64)
            blocks[: len(self.blocks)] = self.blocks
            self.blocks = blocks

    def _grow_pool(self) -> None:
        """Makes room: by bringing the blocks together where much lies free between them, else by a larger pool."""
        rows, width = self.pool.shape
        if self.counters[kernel.FREED] > rows * _WASTED:
            needed = compact_size(self.blocks)
            pool: Int64s = np.zeros((max(rows, needed + needed // 8), width), np.int64)
            compact(self.pool, self.blocks, self.counters, pool)
            self.pool = pool
        else:
            # The system moves large arrays without copying, and rows not touched yet take no memory.
            self.pool.resize((rows + rows // 2 + 64, width), refcheck=False)
