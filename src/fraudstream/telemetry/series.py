"""What a process tells of itself: named series of numbers, without the library that serves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from fraudstream.telemetry.histogram import Histogram

Kind = Literal["counter", "gauge", "histogram"]
Labels = tuple[str, ...]
Number = float | np.integer | np.floating


class Series(NamedTuple):
    """One metric at this moment.

    Attributes:
        name: By Prometheus's conventions, without the `fraudstream_` that all have: base units, `_total` for counters.
        kind: What it is.
        help: What it means, a sentence.
        labels: The names of its labels, those that every series of the process has left out.
        samples: The values by the labels' values. Of bounded number: never an id or a key.
    """

    name: str
    kind: Kind
    help: str
    labels: Labels
    samples: Mapping[Labels, Number | Histogram]


Values = Number | None | Mapping[Any, Number]
"""A number; or numbers by the value of one label, or by the values of several; None where it is not known."""


def counter(name: str, help_: str, values: Values, *labels: str) -> Series:
    """What only grows while the process runs."""
    return Series(name, "counter", help_, labels, _samples(values))


def gauge(name: str, help_: str, values: Values, *labels: str) -> Series:
    """What goes up and down."""
    return Series(name, "gauge", help_, labels, _samples(values))


def histogram(name: str, help_: str, values: Histogram | Mapping[Any, Histogram], *labels: str) -> Series:
    """How values are distributed."""
    return Series(name, "histogram", help_, labels, _samples(values))


def _samples(values: Values | Histogram | Mapping[Any, Histogram]) -> dict[Labels, Number | Histogram]:
    if values is None:
        return {}
    if isinstance(values, Mapping):
        return {(key,) if isinstance(key, str) else key: value for key, value in values.items()}
    return {(): values}


def shares(edges: int) -> Sequence[float]:
    """Edges that cut the numbers from 0 to 1 into so many equal parts."""
    return [round(number / edges, 10) for number in range(1, edges + 1)]
