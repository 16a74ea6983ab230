"""Every fraud pattern does what its description says."""

from __future__ import annotations

import numpy as np
import orjson
import polars as pl
import pytest

from fraudstream.simulate.patterns.catalog import CODES
from fraudstream.simulate.places import haversine_km, load_places
from fraudstream.simulate.stream import Chunk, generate

START_MS = 1_767_225_600_000
DAY_MS = 86_400_000


def incidents(name: str, pattern: str, **options: object) -> tuple[pl.DataFrame, int]:
    """All events of a stream with one pattern as a frame with `at`, `episode`, `is_fraud`, `mine`; and its end."""
    defaults: dict[str, object] = {
        "customers": 3_000, "terminals": 500, "duration_ms": 10 * DAY_MS, "events": 50_000, "fraud": {pattern: 0.05},
    }  # fmt: skip
    parts = []
    chunks: list[Chunk] = list(generate(name, start_at_ms=START_MS, **(defaults | options)))
    for chunk in chunks:
        known = pl.DataFrame(
            {
                "at": chunk.event_at_ms,
                "episode": chunk.episode,
                "is_fraud": chunk.is_fraud,
                "mine": chunk.pattern == CODES[pattern],
            }
        )
        parts.append(pl.concat([chunk.frame, known], how="horizontal"))
    return pl.concat(parts), int(chunks[-1].event_at_ms[-1])


def complete(events: pl.DataFrame, end_ms: int, span_ms: int) -> pl.DataFrame:
    """The pattern's events in incidents that cannot have been cut off by the stream's end."""
    mine = events.filter("mine")
    return mine.filter(pl.col("at").min().over("episode") < end_ms - span_ms)


def test_a_fan_in_is_50_transfers_of_exactly_1000_from_50_accounts_to_one_within_24_hours() -> None:
    events, end_ms = incidents("account-transfers", "mule_fan_in")
    groups = (
        complete(events, end_ms, DAY_MS)
        .group_by("episode")
        .agg(
            pl.len().alias("transfers"),
            pl.col("source").n_unique().alias("sources"),
            pl.col("target").n_unique().alias("targets"),
            pl.col("source").is_in(pl.col("target").implode()).any().alias("own"),
            (pl.col("amount") == 1_000).all().alias("exact"),
            (pl.col("at").max() - pl.col("at").min()).alias("span"),
        )
    )
    assert len(groups) > 20
    assert set(groups["transfers"]) == set(groups["sources"]) == {50}
    assert set(groups["targets"]) == {1}
    assert groups["exact"].all()
    assert not groups["own"].any()
    assert groups["span"].max() < DAY_MS


def test_impossible_travel_is_faster_than_1000_km_an_hour_from_the_customers_own_purchase() -> None:
    events, end_ms = incidents("retail", "impossible_travel")
    pairs = complete(events, end_ms, 3_600_001).sort("episode", "at")
    places = load_places()
    index = {name: i for i, name in enumerate(places.names)}
    city = np.array([index[name] for name in pairs["transaction_location"]]).reshape(-1, 2)
    at_ms = pairs["at"].to_numpy().reshape(-1, 2)
    km = places.distance_km[city[:, 0], city[:, 1]]
    assert len(city) > 1_000
    assert (pairs["user_id"].to_numpy().reshape(-1, 2)[:, 0] == pairs["user_id"].to_numpy().reshape(-1, 2)[:, 1]).all()
    assert (km / (np.diff(at_ms)[:, 0] / 3_600_000) > 1_000).all()
    assert pairs["is_fraud"].to_numpy().reshape(-1, 2).tolist() == [[False, True]] * len(city)


def test_a_location_mismatch_is_far_from_home_and_ordinary_purchases_are_near() -> None:
    events, _ = incidents("retail", "location_mismatch")
    table = pl.DataFrame({"city": load_places().names, "lat": load_places().lat, "lon": load_places().lon})
    placed = events.join(table, left_on="location", right_on="city").join(
        table, left_on="transaction_location", right_on="city", suffix="_there"
    )
    km = haversine_km(*(placed[c].to_numpy() for c in ("lat", "lon", "lat_there", "lon_there")))
    fraud = placed["is_fraud"].to_numpy()
    assert km[fraud].min() > 2_000
    assert np.mean(km[~fraud] == 0) > 0.97


def test_high_amounts_are_900_and_more() -> None:
    events, _ = incidents("terminal-payments", "high_amounts")
    assert events.filter("mine")["TX_AMOUNT"].min() >= 900
    assert events.filter(~pl.col("mine"))["TX_AMOUNT"].median() < 100


def test_card_testing_is_tiny_payments_on_one_card_and_then_a_big_one() -> None:
    events, end_ms = incidents("card-payments", "micro_payments")
    groups = (
        complete(events, end_ms, 30 * 60_000)
        .sort("episode", "at")
        .group_by("episode", maintain_order=True)
        .agg("amount", pl.col("card_hash").n_unique().alias("cards"))
    )
    assert len(groups) > 100
    assert set(groups["cards"]) == {1}
    for amounts in groups["amount"].to_list():
        assert 3 <= len(amounts) - 1 <= 6
        assert max(amounts[:-1]) <= 2.0
        assert amounts[-1] >= 400


def test_round_amounts_are_whole_hundreds() -> None:
    events, _ = incidents("account-transfers", "round_amounts")
    assert (events.filter("mine")["amount"] % 100 == 0).all()
    assert (events.filter(~pl.col("mine"))["amount"] % 100 == 0).mean() < 0.01


def test_a_burst_is_8_to_16_purchases_on_one_card_within_minutes() -> None:
    events, end_ms = incidents("card-payments", "bursts")
    groups = (
        complete(events, end_ms, 400_000)
        .group_by("episode")
        .agg(
            pl.len().alias("purchases"),
            pl.col("card_hash").n_unique().alias("cards"),
            (pl.col("at").max() - pl.col("at").min()).alias("span"),
        )
    )
    assert len(groups) > 100
    assert groups["purchases"].min() == 8
    assert groups["purchases"].max() == 16
    assert set(groups["cards"]) == {1}
    assert groups["span"].max() <= 15 * 20_000


def test_a_takeover_comes_from_one_device_that_its_user_hardly_ever_has_otherwise() -> None:
    events, _ = incidents("retail", "new_device")
    mine = events.filter("mine")
    assert mine.group_by("episode").agg(pl.col("device").n_unique())["device"].max() == 1
    usual = events.filter(~pl.col("mine")).group_by("user_id", "device").len()
    met = mine.join(usual, on=["user_id", "device"], how="left")["len"].fill_null(0)
    assert met.mean() < 0.3


def test_every_transaction_at_a_compromised_terminal_is_fraud_for_days() -> None:
    events, _ = incidents("terminal-payments", "terminal_compromise", duration_ms=30 * DAY_MS)
    spans = (
        events.filter("mine")
        .group_by("episode")
        .agg(pl.col("TERMINAL_ID").unique(), pl.col("at").min().alias("first"), pl.col("at").max().alias("last"))
    )
    assert len(spans) > 50
    assert spans["TERMINAL_ID"].list.len().max() == 1
    for terminals, first, last in spans.select("TERMINAL_ID", "first", "last").iter_rows():
        meanwhile = events.filter((pl.col("TERMINAL_ID") == terminals[0]) & pl.col("at").is_between(first, last))
        assert meanwhile["is_fraud"].all()
    lasts = (spans["last"] - spans["first"]) / DAY_MS
    assert lasts.max() < 9
    assert lasts.median() > 2


def test_a_squeezed_incident_is_over_in_the_time_given_with_all_its_events() -> None:
    options = {"rate_per_s": 100.0, "incident_span_ms": 20_000, "events": None, "duration_ms": 600_000}
    events, end_ms = incidents("account-transfers", "mule_fan_in", **options)
    groups = (
        complete(events, end_ms, 20_001)
        .group_by("episode")
        .agg(pl.len().alias("transfers"), (pl.col("at").max() - pl.col("at").min()).alias("span"))
    )
    assert len(groups) > 20
    assert set(groups["transfers"]) == {50}
    assert groups["span"].max() <= 20_000


@pytest.mark.parametrize("pattern", ["bursts", "impossible_travel"])
def test_the_truth_is_not_in_the_event(pattern: str) -> None:
    for chunk in generate("retail", start_at_ms=START_MS, customers=500, events=2_000, fraud={pattern: 0.1}):
        text = b"".join(chunk.values)
        assert chunk.is_fraud.any()
        assert b"fraud" not in text
        assert pattern.encode() not in text
        assert "pattern" not in orjson.loads(chunk.values[0])
