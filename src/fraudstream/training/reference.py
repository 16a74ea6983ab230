"""The reference kept with a model: how its inputs and its score were distributed over the test period."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fraudstream.evaluate.drift import reference_of
from fraudstream.models.reference import Distribution, Reference

Floats = npt.NDArray[np.float64]


def make_reference(
    matrix: npt.NDArray[np.float32], features: Sequence[str], missing: float, score: Floats
) -> Reference:
    """The reference of a test period.

    Args:
        matrix: float32[n, inputs], the model's inputs.
        features: Their names.
        missing: The number that stands for null: a value equal to it counts as null.
        score: float64[n], the model's scores of these events.
    """
    columns = np.where(matrix == np.float32(missing), np.nan, matrix.astype(np.float64)).T
    return Reference(
        features={name: distribution_of(column) for name, column in zip(features, columns, strict=True)},
        score=distribution_of(score),
    )


def distribution_of(values: Floats) -> Distribution:
    """The distribution of float64[n], null as NaN; what is not finite counts as null."""
    values = np.where(np.isfinite(values), values, np.nan)
    edges, counts = reference_of(values)
    known = values[~np.isnan(values)]
    return Distribution(
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        low=float(known.min()) if len(known) else None,
        high=float(known.max()) if len(known) else None,
    )
