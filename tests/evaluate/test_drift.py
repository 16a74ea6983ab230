"""Drift: equal distributions give zero, known ones their known distance, nulls count."""

from __future__ import annotations

import numpy as np
import pytest

from fraudstream.evaluate.drift import SHIFTED, STABLE, counts_of, ks, ks_of_counts, psi, reference_of

RNG = np.random.default_rng(5)


def test_the_index_by_hand() -> None:
    """Half and half against a quarter and three: (0.25 - 0.5) · ln(0.5) + (0.75 - 0.5) · ln(1.5)."""
    index = psi(np.array([50, 50, 0]), np.array([25, 75, 0]))
    assert index == pytest.approx(-0.25 * np.log(0.5) + 0.25 * np.log(1.5))


def test_the_distance_is_that_of_the_distribution_functions() -> None:
    assert ks(np.array([1.0, 2, 3, 4]), np.array([3.0, 4, 5, 6])) == pytest.approx(0.5)
    assert ks(np.array([1.0, np.nan]), np.array([2.0])) == 1.0
    assert np.isnan(ks(np.array([np.nan]), np.array([1.0])))


def test_the_same_distribution_is_stable_and_a_shifted_one_is_not() -> None:
    before = RNG.gamma(2, 50, 20_000)
    reference = reference_of(before)
    same, shifted = (counts_of(RNG.gamma(2, scale, 20_000), reference.edges) for scale in (50, 90))
    assert psi(reference.counts, same) < STABLE / 5 < SHIFTED < psi(reference.counts, shifted)
    assert ks_of_counts(reference.counts, same) < 0.02 < 0.2 < ks_of_counts(reference.counts, shifted)


def test_bins_hold_about_equally_many_and_every_value_is_in_one() -> None:
    values = RNG.normal(size=10_000)
    values[:1_000] = np.nan
    reference = reference_of(values)
    assert reference.counts[-1] == 1_000
    assert reference.counts.sum() == 10_000
    assert reference.counts[:-1].min() >= 899


@pytest.mark.parametrize(
    "values",
    [np.zeros(100), np.full(100, np.nan), np.append(np.zeros(99), 1.0), np.append(np.ones(99), 0.0), np.empty(0)],
    ids=["constant", "null", "nearly always the least", "nearly always the greatest", "nothing"],
)
def test_values_that_hardly_differ_have_a_reference(values: np.ndarray) -> None:
    reference = reference_of(values)
    assert reference.counts.sum() == len(values)
    assert len(reference.edges) == (len(set(values[~np.isnan(values)])) > 1)
    changed = counts_of(np.full(100, 7.0), reference.edges)
    assert not len(values) or np.isnan(values).all() or psi(reference.counts, changed) >= 0


def test_nulls_that_appear_are_drift() -> None:
    reference = reference_of(RNG.normal(size=1_000))
    half = RNG.normal(size=1_000)
    half[::2] = np.nan
    assert psi(reference.counts, counts_of(half, reference.edges)) > SHIFTED
