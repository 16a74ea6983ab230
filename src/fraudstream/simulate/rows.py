"""Simulated events before they take a form: a struct of arrays, one entry an event."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

ORDINARY = 0
"""The pattern code of an event that belongs to no fraud pattern."""


@dataclass
class Rows:
    """Events as columns; every form draws the ones it needs.

    Attributes:
        at_ms: Event time, epoch milliseconds, int64.
        customer: Who pays, index into the world's customers, int32.
        card: Which card, index into the world's cards, int32.
        amount_minor: Amount in hundredths, int64.
        city: Where the transaction happens, index into the places, int32.
        terminal: At which terminal or merchant, int32.
        device: With which kind of device, index into `world.DEVICES`, int32.
        payee: For transfers the customer who is paid, int32.
        is_fraud: The truth, bool.
        pattern: The fraud pattern's code, ORDINARY for none, int32.
        episode: Which incident of the pattern, unique per pattern and run; -1 for none, int64.
    """

    at_ms: NDArray[np.int64]
    customer: NDArray[np.int32]
    card: NDArray[np.int32]
    amount_minor: NDArray[np.int64]
    city: NDArray[np.int32]
    terminal: NDArray[np.int32]
    device: NDArray[np.int32]
    payee: NDArray[np.int32]
    is_fraud: NDArray[np.bool_]
    pattern: NDArray[np.int32]
    episode: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.at_ms)

    def take(self, which: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Rows:
        """The chosen events, in the order chosen."""
        return Rows(*(getattr(self, column)[which] for column in _COLUMNS))

    def in_time_order(self) -> Rows:
        """The events by event time; those at one millisecond keep their order."""
        return self.take(np.argsort(self.at_ms, kind="stable"))


_COLUMNS = tuple(field.name for field in fields(Rows))


def concatenate(parts: list[Rows]) -> Rows:
    """All events of all parts, in the order given."""
    return Rows(*(np.concatenate([getattr(part, column) for part in parts]) for column in _COLUMNS))
